#include "kms/rpc/rust_words.hpp"

#include <array>
#include <charconv>
#include <limits>

namespace kms {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

std::uint8_t byte_at(std::string_view text, std::size_t index) {
    return static_cast<std::uint8_t>(text[index]);
}

struct Utf8Lead {
    std::size_t size;  ///< of the whole character; 0 for a byte that cannot start one
    std::uint8_t
        second_low;  ///< range of the second byte, which shuts out overlong forms and surrogates
    std::uint8_t second_high;
};

Utf8Lead utf8_lead(std::uint8_t byte) {
    if (byte < 0x80) return {1, 0, 0};
    if (byte >= 0xC2 && byte <= 0xDF) return {2, 0x80, 0xBF};
    if (byte == 0xE0) return {3, 0xA0, 0xBF};
    if (byte == 0xED) return {3, 0x80, 0x9F};
    if (byte >= 0xE1 && byte <= 0xEF) return {3, 0x80, 0xBF};
    if (byte == 0xF0) return {4, 0x90, 0xBF};
    if (byte >= 0xF1 && byte <= 0xF3) return {4, 0x80, 0xBF};
    if (byte == 0xF4) return {4, 0x80, 0x8F};
    return {0, 0, 0};
}

std::string unicode_escape(std::uint32_t value) {
    std::array<char, 8> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, 16).ptr;
    return "\\u{" + std::string(digits.data(), end) + "}";
}

/// The common part of quoting a character (in ') and a text (in ").
void append_debug(std::string& out, std::uint8_t byte, char quote) {
    switch (byte) {
        case '\t':
            out += "\\t";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\n':
            out += "\\n";
            return;
        case '\0':
            out += "\\0";
            return;
        case '\\':
            out += "\\\\";
            return;
        default:
            break;
    }
    if (byte == static_cast<std::uint8_t>(quote)) {
        out += '\\';
        out += quote;
    } else if (byte < 0x20 || byte == 0x7F) {
        out += unicode_escape(byte);
    } else {
        out += static_cast<char>(byte);
    }
}

/// One byte shown as the character of that number, so that the message is UTF-8 even when the input
/// was not.
std::string debug_byte(std::uint8_t byte) {
    std::string out = "'";
    if (byte < 0x80) {
        append_debug(out, byte, '\'');
    } else if (byte <= 0xA0 || byte == 0xAD) {
        out += unicode_escape(byte);
    } else {
        out += static_cast<char>(0xC0 | (byte >> 6));
        out += static_cast<char>(0x80 | (byte & 0x3F));
    }
    return out + "'";
}

int hex_value(std::uint8_t byte) {
    if (byte >= '0' && byte <= '9') return byte - '0';
    if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
    return -1;
}

}  // namespace

std::string Utf8Fault::to_string() const {
    if (length == 0) return "incomplete utf-8 byte sequence from index " + std::to_string(index);
    return "invalid utf-8 sequence of " + std::to_string(length) + " bytes from index " +
           std::to_string(index);
}

std::optional<Utf8Fault> find_utf8_fault(std::string_view text) {
    std::size_t index = 0;
    while (index < text.size()) {
        const Utf8Lead lead = utf8_lead(byte_at(text, index));
        if (lead.size == 0) return Utf8Fault{index, 1};
        for (std::size_t i = 1; i < lead.size; ++i) {
            if (index + i == text.size()) return Utf8Fault{index, 0};
            const std::uint8_t low = i == 1 ? lead.second_low : std::uint8_t{0x80};
            const std::uint8_t high = i == 1 ? lead.second_high : std::uint8_t{0xBF};
            const std::uint8_t byte = byte_at(text, index + i);
            if (byte < low || byte > high) return Utf8Fault{index, i};
        }
        index += lead.size;
    }
    return std::nullopt;
}

std::string utf8_lossy(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (const auto fault = find_utf8_fault(text)) {
        out.append(text.substr(0, fault->index)).append("\xEF\xBF\xBD");
        if (fault->length == 0) return out;
        text.remove_prefix(fault->index + fault->length);
    }
    return out.append(text);
}

std::string debug_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) append_debug(out, static_cast<std::uint8_t>(c), '"');
    return out + "\"";
}

std::string real_text(double value) {
    std::array<char, 32> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                   std::chars_format::scientific)
                         .ptr;
    std::string_view text(buffer.data(), static_cast<std::size_t>(end - buffer.data()));
    std::string out;
    if (text.starts_with('-')) {
        out = "-";
        text.remove_prefix(1);
    }
    const auto e = text.find('e');
    std::string digits(text.substr(0, e));
    if (digits.size() > 1) digits.erase(1, 1);  // the point
    std::string_view exponent_text = text.substr(e + 1);
    if (exponent_text.starts_with('+')) exponent_text.remove_prefix(1);
    int exponent = 0;
    std::from_chars(exponent_text.data(), exponent_text.data() + exponent_text.size(), exponent);
    const auto count = static_cast<int>(digits.size());
    const int point = exponent + 1;  // digits before the point
    if (point >= count && point <= 16)
        return out + digits + std::string(static_cast<std::size_t>(point - count), '0') + ".0";
    if (point > 0 && point <= 16) return out + digits.insert(static_cast<std::size_t>(point), ".");
    if (point > -5 && point <= 0)
        return out + "0." + std::string(static_cast<std::size_t>(-point), '0') + digits;
    if (count > 1) digits.insert(1, ".");
    return out + digits + "e" + std::to_string(exponent);
}

Result<std::uint32_t> parse_u32(std::string_view text) {
    if (text.empty())
        return Error{ErrorCode::invalid_argument, "cannot parse integer from empty string"};
    if (text.starts_with('+') && text.size() > 1) text.remove_prefix(1);
    std::uint64_t value = 0;
    for (const char c : text) {
        if (c < '0' || c > '9')
            return Error{ErrorCode::invalid_argument, "invalid digit found in string"};
        value = value * 10 + static_cast<std::uint64_t>(c - '0');
        if (value > std::numeric_limits<std::uint32_t>::max())
            return Error{ErrorCode::invalid_argument, "number too large to fit in target type"};
    }
    return static_cast<std::uint32_t>(value);
}

Result<std::string> parse_hex(std::string_view text) {
    while (text.starts_with("0x")) text.remove_prefix(2);
    if (text.size() % 2 != 0) return Error{ErrorCode::invalid_argument, "Odd number of digits"};
    std::string out(text.size() / 2, '\0');
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int digit = hex_value(byte_at(text, i));
        if (digit < 0)
            return Error{ErrorCode::invalid_argument, "Invalid character " +
                                                          debug_byte(byte_at(text, i)) +
                                                          " at position " + std::to_string(i)};
        char& byte = out[i / 2];
        byte = static_cast<char>((static_cast<unsigned>(static_cast<std::uint8_t>(byte)) << 4) |
                                 static_cast<unsigned>(digit));
    }
    return out;
}

}  // namespace kms
