#include "launcher/logs/secret_forms.hpp"

#include "launcher/logs/characters.hpp"

#include <algorithm>
#include <cstdint>

namespace launcher::logs {
namespace {

constexpr auto kNone = std::string_view::npos;
constexpr std::size_t kMinSegment = 16;  // of a URL's path
constexpr std::size_t kMinQuery = 8;     // of a query's value
constexpr std::size_t kMinLine = 12;     // of a value of many lines
constexpr char kLower[] = "0123456789abcdef";
constexpr char kUpper[] = "0123456789ABCDEF";

bool is_alnum(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string percent_encoded(std::string_view text, std::string_view kept, const char* digits) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<std::uint8_t>(c);
        if (is_alnum(c) || kept.find(c) != kNone) {
            out += c;
        } else {
            out.append(1, '%').append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
        }
    }
    return out;
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '%' && i + 2 < text.size() && hex_value(text[i + 1]) >= 0 &&
                            hex_value(text[i + 2]) >= 0;
        if (escape) {
            out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

std::string json_escaped(std::string_view text) {
    TextBuffer out;
    append_json_escaped(out, text);
    return std::string(out.view());
}

std::string with_escaped_slashes(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '/') out += '\\';
        out += c;
    }
    return out;
}

std::string hexadecimal(std::string_view text, const char* digits) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<std::uint8_t>(c);
        out.append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
    }
    return out;
}

std::string base64(std::string_view text, bool url_alphabet) {
    const char* const alphabet =
        url_alphabet ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                     : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t i = 0; i < text.size(); i += 3) {
        const std::size_t bytes = std::min<std::size_t>(3, text.size() - i);
        std::uint32_t group = 0;
        for (std::size_t j = 0; j < 3; ++j) {
            group = group << 8 | (j < bytes ? static_cast<std::uint8_t>(text[i + j]) : 0u);
        }
        for (std::size_t j = 0; j <= bytes; ++j) out += alphabet[group >> (18 - 6 * j) & 63];
    }
    return out;  // without padding
}

void add_base64(std::vector<std::string>& forms, std::string_view text) {
    for (const bool url : {false, true}) {
        forms.push_back(base64(text, url));
        // Inside of a longer base64 text the value may begin at any of three alignments; characters
        // that its neighbours have a share in are left out.
        for (const std::size_t before : {0u, 1u, 2u}) {
            const std::string encoded = base64(std::string(before, '\0').append(text), url);
            const std::size_t first = before == 0 ? 0 : before + 1;
            const std::size_t shared = (before + text.size()) % 3 == 0 ? 0 : 1;
            if (encoded.size() > first + shared) {
                forms.push_back(encoded.substr(first, encoded.size() - first - shared));
            }
        }
    }
}

void add_url_part(std::vector<std::string>& parts, std::string_view part) {
    parts.emplace_back(part);
    if (part.find('%') != kNone) parts.push_back(percent_decoded(part));
}

/// What is secret in "scheme://user:pass@host/segment/segment?name=value".
std::vector<std::string> url_parts(std::string_view value) {
    std::vector<std::string> parts;
    const std::size_t scheme = value.find("://");
    if (scheme == kNone || scheme == 0) return parts;
    std::string_view rest = value.substr(scheme + 3);
    rest = rest.substr(0, rest.find('#'));
    const std::size_t query_at = rest.find('?');
    const std::string_view query =
        query_at == kNone ? std::string_view() : rest.substr(query_at + 1);
    rest = rest.substr(0, query_at);
    const std::size_t path_at = std::min(rest.find('/'), rest.size());
    const std::string_view authority = rest.substr(0, path_at);
    if (const std::size_t at = authority.rfind('@'); at != kNone) {
        const std::string_view user_info = authority.substr(0, at);
        add_url_part(parts, user_info);
        const std::size_t colon = user_info.find(':');
        if (colon != kNone) add_url_part(parts, user_info.substr(colon + 1));
    }
    for (std::string_view path = rest.substr(path_at); !path.empty();) {
        path.remove_prefix(1);
        const std::string_view segment = path.substr(0, path.find('/'));
        const bool plain = std::all_of(segment.begin(), segment.end(),
                                       [](char c) { return is_alnum(c) || c == '_' || c == '-'; });
        if (segment.size() >= kMinSegment && plain) parts.emplace_back(segment);
        path.remove_prefix(segment.size());
    }
    for (std::string_view left = query; !left.empty();) {
        const std::string_view pair = left.substr(0, left.find('&'));
        const std::size_t equals = pair.find('=');
        if (equals != kNone && pair.size() - equals - 1 >= kMinQuery)
            add_url_part(parts, pair.substr(equals + 1));
        left.remove_prefix(std::min(pair.size() + 1, left.size()));
    }
    std::erase_if(parts, [](const std::string& part) { return part.size() < kMinSecret; });
    return parts;
}

}  // namespace

std::vector<std::string> secret_parts(std::string_view value) {
    while (!value.empty() &&
           (value.back() == '\n' || value.back() == '\r' || value.back() == ' ')) {
        value.remove_suffix(1);
    }
    if (value.size() < kMinSecret) return {};
    std::vector<std::string> parts = url_parts(value);
    if (!parts.empty()) return parts;
    parts.emplace_back(value);
    if (value.find('\n') == kNone) return parts;
    for (std::string_view left = value; !left.empty();) {
        std::string_view line = left.substr(0, left.find('\n'));
        left.remove_prefix(std::min(line.size() + 1, left.size()));
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
        while (!line.empty() && (line.front() == ' ' || line.front() == '\t'))
            line.remove_prefix(1);
        if (line.size() >= kMinLine && !line.starts_with("-----")) parts.emplace_back(line);
    }
    return parts;
}

std::vector<std::string> secret_forms(std::string_view text) {
    constexpr std::string_view kUnreserved = "-._~";
    std::vector<std::string> forms{
        std::string(text),
        percent_encoded(text, kUnreserved, kUpper),
        percent_encoded(text, kUnreserved, kLower),
        percent_encoded(text, "-_.!~*'()", kUpper),             // JavaScript's encodeURIComponent
        percent_encoded(text, "-_.!~*'();/?:@&=+$,#", kUpper),  // and encodeURI
        json_escaped(text),
        with_escaped_slashes(json_escaped(text)),
        json_escaped(json_escaped(text)),
        hexadecimal(text, kLower),
        hexadecimal(text, kUpper),
    };
    std::string form_encoded = percent_encoded(text, "-._* ", kUpper);
    std::replace(form_encoded.begin(), form_encoded.end(), ' ', '+');
    forms.push_back(std::move(form_encoded));
    add_base64(forms, text);
    std::erase_if(forms, [](const std::string& form) { return form.size() < kMinSecret; });
    std::sort(forms.begin(), forms.end());
    forms.erase(std::unique(forms.begin(), forms.end()), forms.end());
    return forms;
}

}  // namespace launcher::logs
