/// Keccak-256 with the original padding (first byte 0x01), as Ethereum uses it. This is not
/// SHA3-256.
#pragma once

#include "kms/crypto/sha256.hpp"

namespace kms::crypto {

/// Keccak-256 of the concatenation of `parts`. For public values only: the state is not wiped.
Hash keccak256(std::initializer_list<ByteView> parts);

}  // namespace kms::crypto
