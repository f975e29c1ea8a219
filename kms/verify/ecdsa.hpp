/// Checking ECDSA signatures: P-256 with SHA-256, which is what everything in a quote uses, without
/// an allocation per check; the other combinations that certificates may use through OpenSSL's EVP.
/// Source: spec "attestation" sections 3.4.5, 3.13.
#pragma once

#include "kms/crypto/sha256.hpp"
#include "kms/evidence/report_body.hpp"

#include <optional>

namespace kms {

/// x | y, big-endian: a point that may or may not be on the curve.
using RawPoint = FixedView<64>;

/// r | s as two numbers of 32 bytes.
struct RawSignature {
    std::array<std::uint8_t, 64> bytes{};

    FixedView<32> r() const { return FixedView<64>(bytes).first<32>(); }
    FixedView<32> s() const { return FixedView<64>(bytes).last<32>(); }
};

/// From the form of quotes and collateral: 32 bytes of r, then all of s, however many bytes that
/// are. Nothing when r is not all there or s does not fit into 32 bytes.
std::optional<RawSignature> raw_signature(ByteView bytes);
/// From the DER form of certificates: SEQUENCE of two minimal, positive INTEGERs.
std::optional<RawSignature> raw_signature_of_der(ByteView der);

/// Whether `signature` over a message with this SHA-256 digest was made by the key. False for a
/// point off the curve, and for r or s that is 0 or not below the order; a high s is fine.
bool is_signed_p256(RawPoint key, const crypto::Hash& digest, const RawSignature& signature);

/// The same through EVP, for P-256 and P-384 keys with SHA-256 and SHA-384; `spki` and `signature`
/// are DER.
enum class DigestAlgorithm { sha256, sha384 };
bool is_signed_evp(ByteView spki, DigestAlgorithm digest, ByteView message, ByteView signature);

}  // namespace kms
