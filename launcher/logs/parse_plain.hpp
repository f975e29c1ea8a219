/// Lines of no structured format: node's warnings, JavaScript errors, Rust panics, anyhow reports,
/// and everything else. Pure. Source: spec "launcher" section 3.4.
#pragma once

#include "launcher/logs/record_view.hpp"

#include <string_view>

namespace launcher::logs {

/// Fills message, and level, error_type, error_message and action where the text says so.
/// `record.level` holds the stream's default before. `text` may be several lines.
void parse_plain(std::string_view text, RecordView& record);

}  // namespace launcher::logs
