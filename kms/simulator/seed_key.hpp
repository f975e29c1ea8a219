/// Keys of the simulator: everything it signs with follows from a seed, and so do its signatures.
/// Nothing here keeps a secret: whoever knows the seed has the keys. Pure. Source: spec
/// "attestation" section 7.5, RFC 6979.
#pragma once

#include "kms/crypto/p256.hpp"
#include "kms/verify/ecdsa.hpp"

#include <array>
#include <string_view>

namespace kms::simulator {

using Seed = std::array<std::uint8_t, 32>;

/// From 64 hexadecimal digits. Errors (invalid_argument): another length, another character.
Result<Seed> seed_from_hex(std::string_view text);

/// The P-256 key of a label such as "tdx-root": the first of
/// SHA-256("dstack-mock-p256-v1" | seed | label | counter) that is a scalar.
crypto::P256Key seed_key(const Seed& seed, std::string_view label);

/// ECDSA over SHA-256 of `message` with the nonce of RFC 6979: the same bytes each time. Throws
/// when OpenSSL has no memory.
RawSignature sign(const crypto::P256Key& key, ByteView message);
/// The DER form of a signature, as certificates hold it.
Bytes signature_der(const RawSignature& signature);

}  // namespace kms::simulator
