/// What the HTTP layer says by itself: its error pages, and the headers of every answer. Pure.
/// Source: spec "kms-protocol" sections 1.7 and 1.8.
#pragma once

#include "launcher/runtime/http_server.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kms {

/// Whether the most preferred type of an Accept header is JSON: the highest q, of equals the first.
bool prefers_json(std::string_view accept);

/// The error page of `status` (400, 404, 422, 503), as HTML or JSON; without the common headers.
runtime::HttpServerReply error_page(unsigned status, bool json);

/// Server, the three security headers and X-App-Version, for HttpServerReply::common_headers.
/// `ident` empty = no Server header; only the main listener tells the version.
std::shared_ptr<const std::vector<runtime::HttpHeader>> common_headers(
    std::string_view ident, std::optional<std::string_view> app_version);

}  // namespace kms
