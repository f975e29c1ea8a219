/// Log lines that are JSON objects: tracing's, pino's, and others'. Pure. Source: spec "launcher"
/// section 3.4.
#pragma once

#include "launcher/logs/parse_context.hpp"

#include <string_view>

namespace launcher::logs {

/// Fills the record from a line. False when `line` is not one JSON object; the record is then
/// unchanged.
///
/// pino is told by a numeric `level`; tracing by `timestamp`, a `level` in words and `fields` or
/// `message`; anything else is read by the usual names (level, severity; msg, message; time,
/// timestamp, ts; logger, target).
bool parse_json(std::string_view line, ParseContext& context, RecordView& record);

}  // namespace launcher::logs
