/// JSON text out: the few lines of it that need no library.
#pragma once

#include <string>
#include <string_view>

namespace auth {

/// Appends `text` as a JSON string, quotes included, escaped as JavaScript's JSON.stringify does:
/// the two-character forms where they exist, \u00xx (lower case) for the other control characters,
/// everything else as it is. `text` must be UTF-8.
void append_json_text(std::string& out, std::string_view text);
std::string json_text(std::string_view text);

}  // namespace auth
