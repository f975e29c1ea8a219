/// secp256k1 keys and Ethereum-style recoverable signatures. Source: spec "kms-protocol"
/// section 5.3, RFC 6979.
#pragma once

#include "kms/crypto/sha256.hpp"

#include <array>
#include <cstdint>

namespace kms::crypto {

/// A compressed point: 0x02 or 0x03 || x.
using K256PublicKey = std::array<std::uint8_t, 33>;
/// r || s || recovery id (0..3, without the offset of 27); s is in the lower half of the order.
using K256Signature = std::array<std::uint8_t, 65>;

/// A private key with its public key. Move-only; the scalar is wiped with it. Thread-safe for
/// reading and signing.
class K256Key {
  public:
    /// A new random key. Errors (internal): no randomness.
    static Result<K256Key> generate();
    /// From a private scalar, big-endian. Errors (invalid_argument): zero, or not below the order
    /// of the curve.
    static Result<K256Key> from_scalar(Secret<32> scalar);

    const K256PublicKey& public_key() const { return public_key_; }
    std::span<const std::uint8_t, 32> scalar() const { return scalar_.view(); }

    /// Signs a 32-byte message hash. Deterministic: the nonce is RFC 6979 with HMAC-SHA256.
    Result<K256Signature> sign(const Hash& message_hash) const;

    /// An explicit second copy.
    K256Key clone() const { return {scalar_.clone(), public_key_}; }

  private:
    K256Key(Secret<32> scalar, const K256PublicKey& key)
        : scalar_(std::move(scalar)), public_key_(key) {}
    Secret<32> scalar_;
    K256PublicKey public_key_;
};

/// The public key that made `signature` over `message_hash`. Errors (invalid_argument): no key
/// could have.
Result<K256PublicKey> recover(const K256Signature& signature, const Hash& message_hash);

}  // namespace kms::crypto
