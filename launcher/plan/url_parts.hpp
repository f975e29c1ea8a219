/// The few parts of a probe's URL that checks and diagnoses need. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace launcher {

struct UrlParts {
    std::string scheme;      ///< lower case
    std::string host;        ///< without the brackets of an IPv6 address
    std::uint16_t port = 0;  ///< the scheme's own when the URL names none
    std::string path;        ///< with query, at least "/"
};

/// Splits an http or https URL; nothing when it is not one, names no host, or has a port that is
/// none.
std::optional<UrlParts> split_url(std::string_view url);
/// "127.0.0.1:9180" or "[::1]:9180"; nothing when it is neither. Port 0 is allowed when
/// `allow_zero`.
std::optional<UrlParts> split_address(std::string_view address, bool allow_zero);
bool is_loopback(std::string_view host);

}  // namespace launcher
