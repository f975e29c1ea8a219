/// X25519 public keys (RFC 7748).
#pragma once

#include "kms/crypto/sha256.hpp"

namespace kms::crypto {

using X25519PublicKey = std::array<std::uint8_t, 32>;

/// The public key of `secret`, which need not be clamped: clamping happens inside, on a copy.
/// Errors (internal): OpenSSL failed.
Result<X25519PublicKey> x25519_public_key(const Secret<32>& secret);

}  // namespace kms::crypto
