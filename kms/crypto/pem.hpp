/// PEM as the KMS reads and writes it. Source: spec "kms-protocol" sections 3.1 and 7.1.
#pragma once

#include "kms/crypto/sha256.hpp"

#include <string>
#include <string_view>

namespace kms::crypto {

/// The bytes of the first PEM block of `text`, whatever its label; text before and after it does
/// not matter, and line ends may be LF or CRLF. Errors (invalid_argument): no block, no end line
/// with the same label, or bad base64.
Result<SecretBytes> first_pem_block(std::string_view text);

/// "-----BEGIN <label>-----", 64 columns of base64, "-----END <label>-----", each line ended by LF.
SecretBytes to_pem_secret(std::string_view label, ByteView der);
std::string to_pem(std::string_view label, ByteView der);

}  // namespace kms::crypto
