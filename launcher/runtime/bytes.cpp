#include "launcher/runtime/bytes.hpp"

#include <array>
#include <cstring>

namespace runtime {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

/// Value of a hexadecimal digit, or -1.
int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string printable(char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7f) return {c};
    return std::string("\\x") + kDigits[byte >> 4] + kDigits[byte & 15];
}

/// Length of the UTF-8 sequence that starts at `text[at]`, or 0 when it is not well-formed (RFC
/// 3629 section 4).
std::size_t sequence_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[at + i]); };
    const std::size_t left = text.size() - at;
    const auto continued = [&](std::size_t i) { return (byte(i) & 0xc0) == 0x80; };
    const std::uint8_t first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return left >= 2 && continued(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        if (left < 3 || !continued(1) || !continued(2)) return 0;
        const bool overlong = first == 0xe0 && byte(1) < 0xa0;
        const bool surrogate = first == 0xed && byte(1) > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (left < 4 || !continued(1) || !continued(2) || !continued(3)) return 0;
        const bool overlong = first == 0xf0 && byte(1) < 0x90;
        const bool too_large = first == 0xf4 && byte(1) > 0x8f;
        return overlong || too_large ? 0 : 4;
    }
    return 0;
}

Error too_short(std::size_t offset, std::size_t wanted, std::size_t left) {
    return Error{ErrorCode::invalid_argument,
                 "unexpected end at offset " + std::to_string(offset) + ": " +
                     std::to_string(wanted) + " bytes needed, " + std::to_string(left) + " left"};
}

template <class T>
T little_endian(ByteView bytes) {
    T value = 0;
    for (std::size_t i = sizeof(T); i-- > 0;)
        value = static_cast<T>(static_cast<T>(value << 8) | bytes[i]);
    return value;
}

template <class T>
T big_endian(ByteView bytes) {
    T value = 0;
    for (const std::uint8_t byte : bytes) value = static_cast<T>(static_cast<T>(value << 8) | byte);
    return value;
}

}  // namespace

std::string to_hex(ByteView bytes) {
    std::string text(bytes.size() * 2, '\0');
    std::size_t at = 0;
    for (const std::uint8_t byte : bytes) {
        text[at++] = kDigits[byte >> 4];
        text[at++] = kDigits[byte & 15];
    }
    return text;
}

Result<Bytes> from_hex(std::string_view text) {
    if (text.size() % 2 != 0) return Error{ErrorCode::invalid_argument, "Odd number of digits"};
    Bytes bytes;
    bytes.reserve(text.size() / 2);
    int high = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int value = digit_value(text[i]);
        if (value < 0)
            return Error{ErrorCode::invalid_argument, "Invalid character '" + printable(text[i]) +
                                                          "' at position " + std::to_string(i)};
        if (i % 2 == 0)
            high = value;
        else
            bytes.push_back(static_cast<std::uint8_t>(high * 16 + value));
    }
    return bytes;
}

bool is_utf8(std::string_view text) {
    std::size_t at = 0;
    while (at < text.size()) {
        // Nearly all text is ASCII: skip eight bytes at a time while no high bit is set.
        std::uint64_t word = 0;
        if (text.size() - at >= sizeof word) {
            std::memcpy(&word, text.data() + at, sizeof word);
            if ((word & 0x8080808080808080U) == 0) {
                at += sizeof word;
                continue;
            }
        }
        const std::size_t length = sequence_length(text, at);
        if (length == 0) return false;
        at += length;
    }
    return true;
}

Result<ByteView> Reader::take(std::size_t size) {
    if (size > left()) return too_short(offset_, size, left());
    const ByteView taken = bytes_.subspan(offset_, size);
    offset_ += size;
    return taken;
}

Result<std::uint8_t> Reader::u8() {
    TRY(const ByteView bytes, take(1));
    return bytes[0];
}

Result<std::uint16_t> Reader::u16_le() {
    TRY(const ByteView bytes, take(2));
    return little_endian<std::uint16_t>(bytes);
}

Result<std::uint32_t> Reader::u32_le() {
    TRY(const ByteView bytes, take(4));
    return little_endian<std::uint32_t>(bytes);
}

Result<std::uint64_t> Reader::u64_le() {
    TRY(const ByteView bytes, take(8));
    return little_endian<std::uint64_t>(bytes);
}

Result<std::uint16_t> Reader::u16_be() {
    TRY(const ByteView bytes, take(2));
    return big_endian<std::uint16_t>(bytes);
}

Result<std::uint32_t> Reader::u32_be() {
    TRY(const ByteView bytes, take(4));
    return big_endian<std::uint32_t>(bytes);
}

Result<std::uint64_t> Reader::u64_be() {
    TRY(const ByteView bytes, take(8));
    return big_endian<std::uint64_t>(bytes);
}

}  // namespace runtime
