#include "auth/policy/public_url.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>

namespace auth {
namespace {

std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

bool is_host(std::string_view host) {
    const bool bracketed = host.starts_with('[') && host.ends_with(']') && host.size() > 2;
    const std::string_view allowed = bracketed ? "0123456789abcdefABCDEF:.[]" : "-._~";
    return !host.empty() && std::all_of(host.begin(), host.end(), [&](char c) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool digit = c >= '0' && c <= '9';
        return allowed.find(c) != std::string_view::npos || (!bracketed && (letter || digit));
    });
}

/// The port, 0 for an empty text.
std::optional<std::uint16_t> port_from(std::string_view digits) {
    std::uint16_t port = 0;
    if (digits.empty()) return port;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return port;
}

}  // namespace

std::string public_url(std::string_view url) {
    constexpr std::string_view kBlanks = " \t\r\n";
    const std::string unreadable = "configured";
    url.remove_prefix(std::min(url.find_first_not_of(kBlanks), url.size()));
    url = url.substr(0, url.find_last_not_of(kBlanks) + 1);
    if (url.empty()) return "";
    const auto colon = url.find("://");
    if (colon == std::string_view::npos) return unreadable;
    const auto scheme = lower_case(url.substr(0, colon));
    if (scheme != "http" && scheme != "https") return unreadable;

    auto authority = url.substr(colon + 3);
    authority = authority.substr(0, authority.find_first_of("/\\?#"));
    if (const auto at = authority.rfind('@'); at != std::string_view::npos)
        authority.remove_prefix(at + 1);
    const auto bracket = authority.rfind(']');
    const auto port_colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
    const auto host = authority.substr(0, port_colon);
    const auto port =
        port_from(port_colon == std::string_view::npos ? "" : authority.substr(port_colon + 1));
    if (!is_host(host) || !port) return unreadable;

    std::string out = scheme + "://" + lower_case(host);
    if (*port != 0 && *port != (scheme == "http" ? 80 : 443)) out += ":" + std::to_string(*port);
    return out;
}

}  // namespace auth
