/// Logging of our own programs: one line per event, in the text form of Rust's tracing, so that one
/// parser serves both these programs and upstream's:
///
///     2026-11-22T20:49:30.754838Z  WARN kms::authorize: webhook failed url=http://auth:8000
///     after=2s
///
/// Set up once, in main(). Writing never blocks the caller: lines go through a bounded queue to one
/// writer thread; when the reader of stdout stalls, lines are dropped, counted, and the loss is
/// announced when writing works again.
#pragma once

#include "launcher/runtime/log_filter.hpp"

#include <chrono>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace runtime {

/// A field of a log line. Values that need it are quoted when the line is written.
struct LogField {
    std::string_view name;
    std::string value;
};
inline LogField kv(std::string_view name, std::string_view value) {
    return {name, std::string(value)};
}
/// A template, so that a string literal does not decay to a pointer and that to a boolean.
template <std::same_as<bool> T>
LogField kv(std::string_view name, T value) {
    return {name, value ? "true" : "false"};
}
template <class T>
    requires(std::integral<T> && !std::same_as<T, bool>)
LogField kv(std::string_view name, T value) {
    return {name, std::to_string(value)};
}
LogField kv(std::string_view name, std::chrono::nanoseconds span);  ///< "1.234ms", "2s"

struct LogOptions {
    LogFilter filter;
    int descriptor = 1;                     ///< where lines go; borrowed
    std::size_t queue_bytes = 1024 * 1024;  ///< bound of what waits for a slow reader
};

/// Starts logging; ends with a flush of at most 1 s (a writer stuck in write(2) is abandoned). One
/// at a time.
class Logging {
  public:
    explicit Logging(const LogOptions& options);
    ~Logging();
    Logging(const Logging&) = delete;
    Logging& operator=(const Logging&) = delete;

    static void set_filter(const LogFilter& filter);
    /// Lines lost since the start because the queue was full or the descriptor failed.
    static std::uint64_t lines_dropped();
    /// A text that must never appear: every later line has it replaced by [redacted]. At least 6
    /// bytes; shorter ones are ignored. Call before other threads log.
    static void add_secret(std::string_view secret);
};

bool log_enabled(LogLevel level, std::string_view target);
void log(LogLevel level, std::string_view target, std::string_view message,
         std::initializer_list<LogField> fields = {});

inline void log_debug(std::string_view target, std::string_view message,
                      std::initializer_list<LogField> fields = {}) {
    if (log_enabled(LogLevel::debug, target)) log(LogLevel::debug, target, message, fields);
}
inline void log_info(std::string_view target, std::string_view message,
                     std::initializer_list<LogField> fields = {}) {
    log(LogLevel::info, target, message, fields);
}
inline void log_warn(std::string_view target, std::string_view message,
                     std::initializer_list<LogField> fields = {}) {
    log(LogLevel::warn, target, message, fields);
}
inline void log_error(std::string_view target, std::string_view message,
                      std::initializer_list<LogField> fields = {}) {
    log(LogLevel::error, target, message, fields);
}

/// The filter of the environment variable's text (RUST_LOG): lenient, mistakes are returned for a
/// warning.
LogFilter log_filter_from_environment(const char* value, std::vector<LogFilterProblem>& problems);

}  // namespace runtime
