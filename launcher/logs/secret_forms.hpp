/// The texts to look for when a secret value must not appear in a log. Pure. Source: spec
/// "launcher" section 3.9 rule 1.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace launcher::logs {

/// Shorter values are refused: they occur everywhere.
inline constexpr std::size_t kMinSecret = 6;

/// What of a value must not be seen. Of a URL that carries credentials: user info, long path
/// segments and long query values, so that the host stays readable; of anything else: the value,
/// and each long line of a value of many lines.
std::vector<std::string> secret_parts(std::string_view value);

/// The ways in which a text may be written: as it is, percent-encoded, JSON-escaped, in base64 (at
/// every alignment, both alphabets), in hexadecimal. Each at least kMinSecret bytes.
std::vector<std::string> secret_forms(std::string_view text);

}  // namespace launcher::logs
