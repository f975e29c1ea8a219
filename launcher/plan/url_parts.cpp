#include "launcher/plan/url_parts.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace launcher {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return port;
}

struct HostPort {
    std::string_view host;
    std::optional<std::string_view> port;
};

std::optional<HostPort> split_host_port(std::string_view authority) {
    HostPort result;
    std::string_view rest;
    if (authority.starts_with('[')) {
        const auto close = authority.find(']');
        if (close == std::string_view::npos) return std::nullopt;
        result.host = authority.substr(1, close - 1);
        rest = authority.substr(close + 1);
    } else {
        const auto colon = authority.find(':');
        result.host = authority.substr(0, colon);
        rest = colon == std::string_view::npos ? "" : authority.substr(colon);
    }
    if (result.host.empty()) return std::nullopt;
    if (rest.empty()) return result;
    if (!rest.starts_with(':')) return std::nullopt;
    result.port = rest.substr(1);
    return result;
}

}  // namespace

std::optional<UrlParts> split_url(std::string_view url) {
    UrlParts parts;
    const auto scheme_end = url.find("://");
    if (scheme_end == std::string_view::npos) return std::nullopt;
    parts.scheme = std::string(url.substr(0, scheme_end));
    std::transform(parts.scheme.begin(), parts.scheme.end(), parts.scheme.begin(), [](char c) {
        return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    });
    if (parts.scheme != "http" && parts.scheme != "https") return std::nullopt;
    auto rest = url.substr(scheme_end + 3);
    rest = rest.substr(0, rest.find('#'));
    const auto path_at = rest.find_first_of("/?");
    auto authority = rest.substr(0, path_at);
    parts.path = path_at == std::string_view::npos ? "/" : std::string(rest.substr(path_at));
    if (parts.path.starts_with('?')) parts.path.insert(parts.path.begin(), '/');
    if (const auto at = authority.rfind('@'); at != std::string_view::npos)
        authority.remove_prefix(at + 1);
    const auto host_port = split_host_port(authority);
    if (!host_port) return std::nullopt;
    parts.host = std::string(host_port->host);
    parts.port = parts.scheme == "https" ? 443 : 80;
    if (host_port->port) {
        const auto port = parse_port(*host_port->port);
        if (!port || *port == 0) return std::nullopt;
        parts.port = *port;
    }
    return parts;
}

std::optional<UrlParts> split_address(std::string_view address, bool allow_zero) {
    const auto host_port = split_host_port(address);
    if (!host_port || !host_port->port) return std::nullopt;
    const auto port = parse_port(*host_port->port);
    if (!port || (*port == 0 && !allow_zero)) return std::nullopt;
    UrlParts parts;
    parts.host = std::string(host_port->host);
    parts.port = *port;
    return parts;
}

bool is_loopback(std::string_view host) {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace launcher
