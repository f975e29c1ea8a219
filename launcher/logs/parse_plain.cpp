#include "launcher/logs/parse_plain.hpp"

#include "launcher/logs/line_start.hpp"

namespace launcher::logs {
namespace {

constexpr auto kNone = std::string_view::npos;
constexpr std::string_view kPanicked = " panicked at ";

std::string_view first_line(std::string_view text) {
    return text.substr(0, text.find('\n'));
}

/// "(node:7228) Warning: …", "(node:7228) [DEP0040] DeprecationWarning: …"
bool is_node_warning(std::string_view text) {
    const std::size_t marker = node_marker_size(text);
    if (marker == 0) return false;
    const std::string_view line = first_line(text).substr(marker);
    const std::size_t colon = line.find(": ");
    return colon != kNone && line.substr(0, colon).ends_with("Warning");
}

/// What a panic says: newer Rust puts it on the lines after the place, older Rust in quotes before
/// it.
std::string_view panic_message(std::string_view text) {
    const std::string_view first = first_line(text);
    if (first.size() < text.size()) {
        std::string_view rest = text.substr(first.size() + 1);
        for (const std::string_view end : {"\nnote: ", "\nstack backtrace:"})
            rest = rest.substr(0, rest.find(end));
        if (rest.starts_with("note: ") || rest.starts_with("stack backtrace:")) return {};
        return rest;
    }
    const std::size_t quote = first.find(kPanicked);
    if (quote == kNone) return {};
    const std::string_view after = first.substr(quote + kPanicked.size());
    const std::size_t close = after.rfind("', ");
    return after.starts_with('\'') && close != kNone && close > 0 ? after.substr(1, close - 1)
                                                                  : std::string_view();
}

bool parse_panic(std::string_view text, RecordView& record) {
    if (!text.starts_with("thread '") || first_line(text).find(kPanicked) == kNone) return false;
    record.level = runtime::LogLevel::error;
    record.action = "panic";
    record.error_type = "panic";
    record.error_message = panic_message(text);
    const std::size_t backtrace = text.find("\nstack backtrace:");
    if (backtrace != kNone) record.error_stack = text.substr(backtrace + 1);
    return true;
}

/// An error counts as one only with its stack or its causes: "Error: …" alone may be any text.
bool parse_error(std::string_view text, RecordView& record) {
    const std::size_t name = error_name_size(text);
    if (name == 0) return false;
    const bool stack = text.find("\n    at ") != kNone;
    if (!stack && text.find("\nCaused by:") == kNone) return false;
    record.level = runtime::LogLevel::error;
    record.error_type = text.substr(0, name);
    const std::string_view line = first_line(text);
    const std::size_t colon = line.find(": ", name);
    if (colon != kNone) record.error_message = line.substr(colon + 2);
    return true;
}

}  // namespace

void parse_plain(std::string_view text, RecordView& record) {
    record.message = text;
    if (text.empty()) return;
    switch (text.front()) {
        case 't':
            parse_panic(text, record);
            break;
        case '(':
            if (is_node_warning(text)) record.level = runtime::LogLevel::warn;
            break;
        default:
            parse_error(text, record);
            break;
    }
}

}  // namespace launcher::logs
