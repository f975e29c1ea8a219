/// What the parsers of log lines need to know and have at hand.
#pragma once

#include "launcher/logs/json_scan.hpp"
#include "launcher/logs/known_targets.hpp"
#include "launcher/logs/record_view.hpp"
#include "launcher/logs/text_buffer.hpp"

#include <vector>

namespace launcher::logs {

/// Borrowed by the parsers for a call. The vectors and the buffer are memory to work in.
struct ParseContext {
    ParseContext(TextArena& texts, KnownTargets& known, bool fields_wanted)
        : arena(texts), targets(known), extract_fields(fields_wanted) {}

    TextArena& arena;  ///< decoded texts; lives as long as the record
    KnownTargets& targets;
    bool extract_fields;  ///< name=value pairs of text lines

    std::vector<JsonMember> members, inner, innermost;
    std::vector<JsonValue> elements;
    std::vector<FieldView> fields;
    TextBuffer scratch;
};

}  // namespace launcher::logs
