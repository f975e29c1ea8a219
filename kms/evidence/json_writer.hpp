/// JSON text as the guest's tools write it: compact, with only the escapes that are needed.
#pragma once

#include <string>
#include <string_view>

namespace kms {

/// Appends `text` as a JSON string with the escapes of RFC 8785, section 3.2.2.2.
void append_json_string(std::string& out, std::string_view text);

}  // namespace kms
