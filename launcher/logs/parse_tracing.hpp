/// The text forms of tracing-subscriber (`full`, `compact`, `pretty`). Pure. Source: spec
/// "launcher" section 3.4.
#pragma once

#include "launcher/logs/parse_context.hpp"

#include <cstddef>
#include <string_view>

namespace launcher::logs {

/// Fills level, service_time, spans, target, message, fields. False when `text` (a line and its
/// continuation lines) has no such header; the record is then unchanged.
bool parse_tracing(std::string_view text, ParseContext& context, RecordView& record);

/// Splits "message name=value name=value" into the message and its fields, appended to `fields`.
/// Fields are taken only where everything up to the end of the text is one. Returns the message.
/// `decoded` is set when a value is not a part of `text` as it stands.
std::string_view split_fields(std::string_view text, TextArena& arena,
                              std::vector<FieldView>& fields, bool& decoded);

}  // namespace launcher::logs
