/// The log filter language (RUST_LOG), and the log levels. Source: spec "launcher" sections 4.1
/// to 4.3.
#pragma once

#include "launcher/runtime/result.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error, fatal, off };
std::string_view to_string(LogLevel level);  ///< lower case

/// A name and its value as text; borrowed.
struct LogFieldView {
    std::string_view name;
    std::string_view value;
};
struct LogSpanView {
    std::string_view name;
    std::span<const LogFieldView> fields;
};
/// What a filter looks at. All borrowed for the call.
struct LogEventView {
    LogLevel level = LogLevel::info;
    std::string_view target;
    std::string_view service;  ///< for "service:NAME" directives; empty when not from a service
    std::string_view message;
    std::span<const LogSpanView> spans;
    std::span<const LogFieldView> fields;
};

enum class LogFilterSyntax { tracing, env_logger };

/// A mistake in a filter text. column counts from 0, inside the text.
struct LogFilterProblem {
    std::size_t column = 0;
    std::string text;
    std::string hint;
};

/// An immutable, parsed filter; cheap to copy, safe to share between threads.
class LogFilter {
  public:
    /// Lets everything at info and above pass.
    LogFilter();

    /// Parses the whole text. Directives with mistakes are left out and reported in `problems`;
    /// when any is reported, strict callers refuse the filter and lenient callers (environment
    /// variables) use what is left. When nothing is left, as for an empty text, the filter is
    /// "info" (tracing) or "error" (env_logger).
    static LogFilter parse(std::string_view text, LogFilterSyntax syntax,
                           std::vector<LogFilterProblem>& problems);

    bool enabled(const LogEventView& event) const;
    /// A quick refusal: false only if no event of this level can pass whatever its target.
    bool may_enable(LogLevel level) const;
    /// The text without the blanks around it; the name of the default when it is empty.
    const std::string& text() const;

    struct State;

  private:
    explicit LogFilter(std::shared_ptr<const State> state) : state_(std::move(state)) {}
    std::shared_ptr<const State> state_;
};

}  // namespace runtime
