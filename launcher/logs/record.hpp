/// Record: one structured log record, of a service or of the launcher itself. Source: spec
/// "launcher" section 3.7.
#pragma once

#include "launcher/runtime/log_filter.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace launcher::logs {

enum class Stream : std::uint8_t { none, out, err };

/// A field's value. Text unless the source said otherwise; json is a ready JSON value (arrays and
/// objects).
struct JsonText {
    std::string text;
};
using FieldValue =
    std::variant<std::string, std::int64_t, std::uint64_t, double, bool, std::nullptr_t, JsonText>;
using Fields = std::vector<std::pair<std::string, FieldValue>>;

struct Span {
    std::string name;
    Fields fields;
};

struct Record {
    std::chrono::system_clock::time_point
        timestamp{};  ///< the service's own time if plausible, else receipt
    std::chrono::system_clock::time_point received{};
    runtime::LogLevel level = runtime::LogLevel::info;
    std::string message;
    std::string service;  ///< "kms", "auth-eth", "launcher"
    std::string logger;   ///< tracing target, or "launcher::…"
    Stream stream = Stream::none;
    int pid = 0;                 ///< service lines
    std::uint64_t sequence = 0;  ///< given by the pipeline
    std::string action;          ///< event.action of launcher records; empty for service lines
    std::vector<Span> spans;     ///< outermost first
    Fields fields;
    std::uint32_t fields_dropped = 0;
    std::string error_type, error_message, error_stack;
    std::string http_method, url_path;
    std::optional<unsigned> http_status;
    std::uint32_t part = 0;  ///< 1, 2, … for a line in parts; 0 = whole
    bool partial = false;    ///< a part that is not the last, or a line without LF
    std::uint32_t invalid_utf8 = 0;
    std::string original;   ///< event.original, only when asked for
    std::string code_file;  ///< where in the service's source, when the line says so
    std::uint32_t code_line = 0;
};

/// One line of JSON (ECS names, section 3.7), with its LF.
std::string to_json_line(const Record& record);
/// One or more lines of text for a terminal, with their LF.
std::string to_text_line(const Record& record, bool colour);

}  // namespace launcher::logs
