/// NIST P-256 keys: the two certificate authorities, the RPC key, and the keys derived for
/// applications.
#pragma once

#include "kms/crypto/sha256.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace kms::crypto {

/// An uncompressed point: 0x04 || x || y.
using P256Point = std::array<std::uint8_t, 65>;

/// DER SubjectPublicKeyInfo of a P-256 key; always 91 bytes.
std::array<std::uint8_t, 91> spki_der(const P256Point& point);
/// The point of such a key. Errors (invalid_argument): anything else, also a compressed point, or
/// one not on the curve.
Result<P256Point> point_of_spki(ByteView der);

/// Whether `signature` (DER of ECDSA-Sig-Value, strict) over SHA-256 of `message` was made with the
/// key of `point`; false also when the point is on no curve. Both halves of s are accepted.
bool verifies(const P256Point& point, ByteView message, ByteView signature);

/// A private key with its public point. Move-only; the scalar is wiped with it.
class P256Key {
  public:
    /// A new random key. Errors (internal): no randomness.
    static Result<P256Key> generate();
    /// From a private scalar, big-endian. Errors (invalid_argument): zero, or not below the order
    /// of the curve.
    static Result<P256Key> from_scalar(Secret<32> scalar);
    /// From the first PEM block of `text`, which must be an unencrypted PKCS#8 key on P-256; the
    /// block's label is not looked at, and SEC1 ("EC PRIVATE KEY") content is refused. A public
    /// part, if there is one, must belong to the private part. Errors (invalid_argument) say what
    /// is wrong, never what was read.
    static Result<P256Key> from_pkcs8_pem(std::string_view text);

    const P256Point& public_point() const { return point_; }
    std::span<const std::uint8_t, 32> scalar() const { return scalar_.view(); }

    /// PKCS#8 DER with the public part; always 138 bytes (spec section 5.1).
    Secret<138> pkcs8_der() const;
    /// The same as PEM, label PRIVATE KEY.
    SecretBytes pkcs8_pem() const;

    /// ECDSA over SHA-256 of `message`, random nonce; the DER form of the signature. Errors
    /// (internal): OpenSSL failed.
    Result<Bytes> sign(ByteView message) const;

    /// An explicit second copy.
    P256Key clone() const { return {scalar_.clone(), point_}; }

  private:
    P256Key(Secret<32> scalar, const P256Point& point)
        : scalar_(std::move(scalar)), point_(point) {}
    Secret<32> scalar_;
    P256Point point_;
};

}  // namespace kms::crypto
