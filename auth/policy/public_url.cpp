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

/// Shorter pieces are words such as "api" or "mainnet", and replacing those would hide more than it
/// saves.
constexpr std::size_t kShortestKey = 12;
constexpr std::size_t kShortestSecret = 6;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                            hex_digit(text[i + 2]) >= 0;
        if (!escape) {
            out += text[i];
            continue;
        }
        out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
        i += 2;
    }
    return out;
}

class SecretList {
  public:
    void add(std::string_view text, std::size_t shortest) {
        for (auto& form : {std::string(text), percent_decoded(text)})
            if (form.size() >= shortest &&
                std::find(list_.begin(), list_.end(), form) == list_.end())
                list_.push_back(form);
    }
    /// `text` whole, and its pieces between any of `marks`.
    void add_with_pieces(std::string_view text, std::string_view marks, std::size_t shortest) {
        add(text, kShortestSecret);
        while (!text.empty()) {
            const auto end = std::min(text.find_first_of(marks), text.size());
            add(text.substr(0, end), shortest);
            text.remove_prefix(std::min(end + 1, text.size()));
        }
    }
    std::vector<std::string> longest_first() && {
        std::stable_sort(list_.begin(), list_.end(),
                         [](const auto& a, const auto& b) { return a.size() > b.size(); });
        return std::move(list_);
    }

  private:
    std::vector<std::string> list_;
};

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

std::vector<std::string> url_secrets(std::string_view url) {
    SecretList secrets;
    const auto colon = url.find("://");
    // Text that is no URL may be a key as a whole.
    if (colon == std::string_view::npos) {
        secrets.add_with_pieces(url, "/?#&=@:", kShortestKey);
        return std::move(secrets).longest_first();
    }
    auto rest = url.substr(colon + 3);
    const auto split = [&rest](char mark) {
        const auto at = std::min(rest.find(mark), rest.size());
        const auto after = rest.substr(std::min(at + 1, rest.size()));
        rest = rest.substr(0, at);
        return after;
    };
    secrets.add_with_pieces(split('#'), "&=/", kShortestKey);
    secrets.add_with_pieces(split('?'), "&=", kShortestSecret);
    // A password may hold an unescaped slash: everything before the last @ is user info.
    if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
        secrets.add_with_pieces(rest.substr(0, at), ":", kShortestSecret);
        rest.remove_prefix(at + 1);
    }
    secrets.add_with_pieces(split('/'), "/", kShortestKey);
    return std::move(secrets).longest_first();
}

std::string without_secrets(std::string text, const std::vector<std::string>& secrets) {
    constexpr std::string_view kInstead = "[redacted]";
    for (const auto& secret : secrets)
        for (auto at = text.find(secret); at != std::string::npos;
             at = text.find(secret, at + kInstead.size()))
            text.replace(at, secret.size(), kInstead);
    return text;
}

}  // namespace auth
