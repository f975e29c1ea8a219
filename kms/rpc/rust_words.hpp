/// The words of Rust's standard library that are part of the protocol's error texts, and its rules
/// for UTF-8 and decimal numbers. Pure. Source: spec "kms-protocol" sections 1.2, 1.5 and 1.6, and
/// the recorded exchanges.
#pragma once

#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/result.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kms {

/// Where a text stops being UTF-8.
struct Utf8Fault {
    std::size_t index = 0;   ///< bytes before it are well-formed
    std::size_t length = 0;  ///< bytes that are wrong; 0 when the text ends inside a character

    /// "invalid utf-8 sequence of 1 bytes from index 0", "incomplete utf-8 byte sequence from index
    /// 3".
    std::string to_string() const;
};
std::optional<Utf8Fault> find_utf8_fault(std::string_view text);
/// The text with every malformed run replaced by U+FFFD.
std::string utf8_lossy(std::string_view text);

/// A text in double quotes, escaped as Rust's {:?} does.
std::string debug_text(std::string_view text);
/// A number with at least one digit after the point, or with an exponent: "1.0", "1e30".
std::string real_text(double value);

/// Decimal, with one optional '+'. Errors (invalid_argument): "cannot parse integer from empty
/// string", "invalid digit found in string", "number too large to fit in target type".
runtime::Result<std::uint32_t> parse_u32(std::string_view text);

/// Hexadecimal of either case after any number of "0x". Errors (invalid_argument): "Odd number of
/// digits", "Invalid character 'x' at position n"; the text is always UTF-8, whatever the input.
runtime::Result<std::string> parse_hex(std::string_view text);

}  // namespace kms
