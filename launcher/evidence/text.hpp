/// Small readers of the texts that /proc and cgroup files hold. Pure.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace launcher::evidence {

/// The pieces between blanks, tabs and line ends.
std::vector<std::string_view> words_of(std::string_view text);
/// The lines, without their ends.
std::vector<std::string_view> lines_of(std::string_view text);
std::string_view trimmed(std::string_view text);
/// What follows "NAME:" at the start of a line, trimmed; empty when there is none.
std::string_view field_of(std::string_view text, std::string_view name);

/// A whole number at the start of the text; nothing when there is none.
template <class Number = std::uint64_t>
std::optional<Number> number_of(std::string_view text, int base = 10) {
    Number number = 0;
    if (base == 16 && text.starts_with("0x")) text.remove_prefix(2);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
    if (error != std::errc{} || end == text.data()) return std::nullopt;
    return number;
}

}  // namespace launcher::evidence
