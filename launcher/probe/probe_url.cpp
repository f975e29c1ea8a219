#include "launcher/probe/probe_url.hpp"

#include <algorithm>
#include <charconv>

namespace launcher {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

Error bad_url(std::string_view url, std::string_view why) {
    return {ErrorCode::invalid_argument,
            "'" + std::string(url) + "' is not a usable address: " + std::string(why)};
}

Result<std::uint16_t> parse_port(std::string_view text, std::string_view url) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value == 0 || value > 65535)
        return bad_url(url, "the port must be a number from 1 to 65535");
    return static_cast<std::uint16_t>(value);
}

bool is_scheme_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '-' || c == '.';
}

}  // namespace

Result<ProbeTarget> parse_target(std::string_view url) {
    // What is written into a request line must not be able to end it.
    if (std::any_of(url.begin(), url.end(), [](char c) {
            return c <= ' ' || c >= 0x7f || static_cast<unsigned char>(c) >= 0x80;
        }))
        return bad_url(
            url, "blanks, control characters and non-ASCII characters must be percent-encoded");
    const auto colon = url.find("://");
    if (colon == std::string_view::npos || colon == 0 ||
        !std::all_of(url.begin(), url.begin() + static_cast<std::ptrdiff_t>(colon),
                     is_scheme_character))
        return bad_url(url, "it must begin with a scheme, such as https://");

    ProbeTarget parts;
    for (const char c : url.substr(0, colon))
        parts.scheme += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    std::string_view rest = url.substr(colon + 3);
    rest = rest.substr(0, rest.find('#'));
    const auto authority_end = std::min(rest.find_first_of("/?"), rest.size());
    const std::string_view authority = rest.substr(0, authority_end);
    rest.remove_prefix(authority_end);
    // Not repeated in the message: it may hold a password.
    if (authority.find('@') != std::string_view::npos)
        return Error{ErrorCode::invalid_argument,
                     "an address to probe must not hold a user name or password"};

    std::string_view port;
    if (authority.starts_with('[')) {
        const auto close = authority.find(']');
        if (close == std::string_view::npos)
            return bad_url(url, "the ']' of the IPv6 address is missing");
        parts.host = authority.substr(1, close - 1);
        port = authority.substr(close + 1);
        if (!port.empty() && !port.starts_with(':'))
            return bad_url(url, "only a port may follow the IPv6 address");
    } else {
        const auto port_colon = std::min(authority.find(':'), authority.size());
        parts.host = authority.substr(0, port_colon);
        port = authority.substr(port_colon);
    }
    if (parts.host.empty()) return bad_url(url, "the host is missing");
    if (!port.empty()) {
        TRY(parts.port, parse_port(port.substr(1), url));
    }
    parts.authority = authority;
    parts.target = rest.starts_with('/') ? std::string(rest) : "/" + std::string(rest);
    return parts;
}

Result<ProbePlan> probe_plan_from_url(std::string_view url) {
    ProbePlan plan;
    if (url.starts_with("unix:")) {
        plan.kind = ProbeKind::unix_socket;
        plan.path = url.substr(5);
        while (plan.path.starts_with("//")) plan.path.erase(0, 1);
        if (!plan.path.starts_with('/'))
            return bad_url(url, "unix: must be followed by an absolute path");
        return plan;
    }
    TRY(auto parts, parse_target(url));
    if (parts.scheme == "tcp" || parts.scheme == "tls") {
        if (parts.port == 0) return bad_url(url, "the port is missing");
        plan.kind = parts.scheme == "tcp" ? ProbeKind::tcp : ProbeKind::tls;
        plan.host = parts.host;
        plan.port = parts.port;
        return plan;
    }
    plan.url = url;
    if (parts.scheme == "http")
        plan.kind = ProbeKind::http;
    else if (parts.scheme == "https")
        plan.kind = ProbeKind::https;
    else if (parts.scheme == "http-auto")
        plan.kind = ProbeKind::http_auto;
    else
        return bad_url(url, "the scheme must be http, https, http-auto, tcp, tls or unix");
    return plan;
}

}  // namespace launcher
