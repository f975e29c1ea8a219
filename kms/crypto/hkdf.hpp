/// The key derivation function of the KMS. Source: spec "kms-protocol" section 5.1, RFC 5869.
#pragma once

#include "kms/crypto/sha256.hpp"

namespace kms::crypto {

/// HKDF-SHA256 with salt "RATLS", 32 bytes of output. `info` is the plain concatenation of
/// `context`, without separators or lengths: ("ab", "c") and ("a", "bc") give the same key. Does
/// not fail.
Secret<32> derive_key(ByteView input_key, std::initializer_list<ByteView> context);

}  // namespace kms::crypto
