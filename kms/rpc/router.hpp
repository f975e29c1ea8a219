/// From a request's head to what is asked for: an RPC with its encoding, one of the plain pages, or
/// an error of the HTTP layer. Pure. Source: spec "kms-protocol" sections 1.1 to 1.3 and 1.7.
#pragma once

#include "kms/rpc/rpc_error.hpp"
#include "launcher/runtime/http_server.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace kms {

/// What a listener serves.
struct RouteTable {
    std::string_view service_prefix;  ///< "KMS.": cut off method names, as often as it repeats
    std::span<const std::string_view> pages;  ///< paths answered to GET and HEAD, such as "/health"
};

struct Route {
    enum class Kind {
        rpc,
        page,     ///< one of RouteTable::pages
        failure,  ///< no route; `status` with the framework's error page
        refused,  ///< not a request the protocol knows: `status`, no body, the connection ends
    };
    Kind kind = Kind::failure;
    unsigned status = 404;
    std::string page;
    /// Method name without the service prefix; UTF-8, malformed input shows as U+FFFD.
    std::string method;
    Format format = Format::protobuf;
    /// Of errors found before the method is looked at: the Content-Type does not count for them.
    Format early_error_format = Format::protobuf;
    bool arguments_in_query = false;  ///< GET and HEAD
};

Route find_route(const runtime::HttpServerRequest& request, const RouteTable& table);

/// Body limits per method: names in lower case.
using BodyLimits = std::map<std::string, std::uint64_t>;
std::size_t body_limit(const runtime::HttpServerRequest& head, const RouteTable& table,
                       const BodyLimits& limits, std::size_t otherwise);

}  // namespace kms
