/// Characters of foreign text: UTF-8, control characters, terminal sequences, JSON strings. Pure.
/// Source: spec "launcher" section 3.3; RFC 8259 section 7; Unicode 15, table 3-7 (well-formed
/// UTF-8).
#pragma once

#include "launcher/logs/text_buffer.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace launcher::logs {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  ///< U+FFFD

/// What stands at the front of a text: a code point, or the maximal part of a sequence that is not
/// UTF-8.
struct Utf8Step {
    char32_t code = 0;
    std::size_t size = 0;  ///< 1 to 4 bytes; 0 only for empty text
    bool valid = false;
};
Utf8Step utf8_step(std::string_view text);

/// The length of the longest prefix of at most `limit` bytes that does not cut a character in two.
std::size_t utf8_cut(std::string_view text, std::size_t limit);

/// The number of bytes in front of the first one that cannot be copied into a JSON string as it is:
/// a quote, a backslash, a control character, DEL, or anything beyond ASCII.
std::size_t plain_prefix(std::string_view text);

/// The position of the first '@', '?' or '&' at or after `from`; text.size() when there is none.
/// These are the marks by which credentials in URLs are told.
std::size_t find_url_mark(std::string_view text, std::size_t from);

/// Appends `text` as the inside of a JSON string: control characters, DEL and C1 as \u00xx, parts
/// that are not UTF-8 as U+FFFD. Returns how many of the latter there were.
std::uint32_t append_json_escaped(TextBuffer& out, std::string_view text);

/// Appends `text` for a terminal or the journal: control characters, DEL and C1 as \xNN, TAB as it
/// is, parts that are not UTF-8 as U+FFFD. A line feed becomes a line feed and `after_lf`, so that
/// no input byte ever stands first in a line of output; without `after_lf` it is a control
/// character like any other.
void append_text_escaped(TextBuffer& out, std::string_view text,
                         std::optional<std::string_view> after_lf = std::nullopt);

/// Whether ESC occurs, that is, whether strip_ansi() has anything to do.
bool has_escape(std::string_view text);
/// Copies `text` to `out` (room for text.size() bytes; may be the same memory) without CSI, OSC and
/// the other string sequences. A sequence that does not end stays. Returns the new length.
std::size_t strip_ansi(std::string_view text, char* out);

/// Decodes the inside of a well-formed JSON string into `out` (room for text.size() bytes); returns
/// the length. A surrogate without its other half becomes U+FFFD.
std::size_t decode_json_string(std::string_view text, char* out);
/// Decodes the inside of a string as Rust's Debug writes it (\" \\ \' \n \r \t \0 \u{...}); what is
/// no escape stays.
std::size_t decode_rust_string(std::string_view text, char* out);

/// Writes `code` as UTF-8 (at most 4 bytes) and returns the length.
std::size_t encode_utf8(char32_t code, char* out);

}  // namespace launcher::logs
