/// How a line begins: enough to tell whether it starts a record or continues one. Pure.
/// Source: spec "launcher" sections 3.4 and 3.5.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/runtime/log_filter.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace launcher::logs {

enum class LineStart : std::uint8_t {
    tracing,   ///< the header of tracing's text forms
    json,      ///< "{" … "}"
    panic,     ///< "thread 'main' panicked at …"
    error,     ///< "TypeError: …", "Error: …"
    warning,   ///< "(node:7228) Warning: …"
    indented,  ///< a blank or TAB
    other,
};
LineStart line_start(std::string_view line, LogFormat format);

/// The fixed front of a line that tracing-subscriber wrote.
struct TracingHeader {
    std::size_t time_at = 0, time_size = 0;  ///< time_size is 0 when there is no time
    runtime::LogLevel level = runtime::LogLevel::info;
    std::size_t size = 0;  ///< where spans, target and message begin
    bool pretty = false;   ///< the two-space indent of the `pretty` form
};
std::optional<TracingHeader> tracing_header(std::string_view line);

/// The length of "TypeError" in "TypeError: text" or "Error [ERR_CODE]: text"; 0 when the line does
/// not start so.
std::size_t error_name_size(std::string_view line);
/// The length of the marker "(node:7228) " at the front; 0 when there is none.
std::size_t node_marker_size(std::string_view line);

}  // namespace launcher::logs
