/// Base64 of RFC 4648, section 4; padding may be left out, but must be right when it is there.
#pragma once

#include "kms/evidence/report_body.hpp"

#include <string>
#include <string_view>

namespace kms {

/// Errors (invalid_argument): another character, a lone digit at the end, wrong padding, or bits
/// after the end.
Result<Bytes> from_base64(std::string_view text);
/// The same for the body of a PEM block: line ends, spaces and tabs are passed over. Appends to
/// `out`, so that several blocks can share one buffer.
Result<void> append_base64_lines(std::string_view text, Bytes& out);
std::string to_base64(ByteView bytes);

}  // namespace kms
