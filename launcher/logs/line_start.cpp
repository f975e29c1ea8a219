#include "launcher/logs/line_start.hpp"

#include "launcher/logs/timestamp.hpp"

namespace launcher::logs {
namespace {

using runtime::LogLevel;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::optional<LogLevel> level_word(std::string_view word) {
    if (word == "INFO") return LogLevel::info;
    if (word == "WARN") return LogLevel::warn;
    if (word == "ERROR") return LogLevel::error;
    if (word == "DEBUG") return LogLevel::debug;
    if (word == "TRACE") return LogLevel::trace;
    return std::nullopt;
}

/// The usual 27 characters are recognised by their shape alone; the parser checks the numbers.
std::size_t time_size(std::string_view text) {
    if (text.size() < 20 || !is_digit(text[0]) || text[4] != '-' || text[10] != 'T') return 0;
    if (text.size() > 27 && text[26] == 'Z' && text[19] == '.' && text[13] == ':' &&
        is_digit(text[25]))
        return 27;
    const auto time = parse_timestamp(text);
    return time ? time->size : 0;
}

}  // namespace

std::optional<TracingHeader> tracing_header(std::string_view line) {
    if (line.empty()) return std::nullopt;
    TracingHeader header;
    std::size_t at = 0;
    if (line.size() > 2 && line[0] == ' ' && line[1] == ' ' && is_digit(line[2])) {
        header.pretty = true;
        at = 2;
    }
    std::string_view word;
    if (is_digit(line[at])) {
        header.time_at = at;
        header.time_size = time_size(line.substr(at));
        if (header.time_size == 0) return std::nullopt;
        at += header.time_size;
        if (at >= line.size() || line[at] != ' ') return std::nullopt;
        while (at < line.size() && line[at] == ' ') ++at;
        const std::size_t end = line.find(' ', at);
        if (end == std::string_view::npos) return std::nullopt;
        word = line.substr(at, end - at);
        at = end;
    } else {
        // Without a time only the exact five columns count: "INFO something" may be anybody's text.
        if (line.size() < 7 || line[5] != ' ') return std::nullopt;
        word = line.substr(0, 5);
        if (word[0] == ' ') word.remove_prefix(1);
        if (word.size() != 5 && word != "INFO" && word != "WARN") return std::nullopt;
        at = 5;
    }
    const auto level = level_word(word);
    if (!level) return std::nullopt;
    header.level = *level;
    header.size = at + 1;
    return header;
}

std::size_t error_name_size(std::string_view line) {
    std::size_t end = 0;
    while (end < line.size() && (is_letter(line[end]) || is_digit(line[end]) || line[end] == '_'))
        ++end;
    const std::string_view name = line.substr(0, end);
    if (end == 0 || !(name.ends_with("Error") || name.ends_with("Exception"))) return 0;
    std::string_view rest = line.substr(end);
    if (rest.starts_with(" [")) {
        const std::size_t close = rest.find(']');
        if (close == std::string_view::npos) return 0;
        rest.remove_prefix(close + 1);
    }
    return rest.empty() || rest == ":" || rest.starts_with(": ") || rest.starts_with("\n") ? end
                                                                                           : 0;
}

std::size_t node_marker_size(std::string_view line) {
    constexpr std::string_view kMarker = "(node:";
    if (!line.starts_with(kMarker)) return 0;
    std::size_t at = kMarker.size();
    while (at < line.size() && is_digit(line[at])) ++at;
    return at > kMarker.size() && line.substr(at).starts_with(") ") ? at + 2 : 0;
}

LineStart line_start(std::string_view line, LogFormat format) {
    if (line.empty()) return LineStart::other;
    const bool json = format != LogFormat::plain;
    const bool tracing = format == LogFormat::automatic || format == LogFormat::tracing;
    const char first = line.front();
    if (json && first == '{') return line.back() == '}' ? LineStart::json : LineStart::other;
    if (tracing &&
        (is_digit(first) || first == ' ' || first == 'E' || first == 'D' || first == 'T') &&
        tracing_header(line)) {
        return LineStart::tracing;
    }
    if (first == ' ' || first == '\t') return LineStart::indented;
    if (first == 't' && line.starts_with("thread '") &&
        line.find(" panicked at ") != std::string_view::npos) {
        return LineStart::panic;
    }
    if (first == '(' && node_marker_size(line) != 0) return LineStart::warning;
    if (is_letter(first) && error_name_size(line) != 0) return LineStart::error;
    return LineStart::other;
}

}  // namespace launcher::logs
