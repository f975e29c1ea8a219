/// SHA-256 and HMAC-SHA256 over values held in memory.
#pragma once

#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/secret.hpp"

#include <array>
#include <cstdint>
#include <initializer_list>

namespace kms::crypto {

using runtime::Bytes;
using runtime::ByteView;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;
using runtime::Secret;
using runtime::SecretBytes;

using Hash = std::array<std::uint8_t, 32>;

/// SHA-256 of the concatenation of `parts` (FIPS 180-4).
Hash sha256(std::initializer_list<ByteView> parts);
/// The same where the digest is itself a secret.
Secret<32> sha256_secret(std::initializer_list<ByteView> parts);
/// HMAC-SHA256 of the concatenation of `parts` (RFC 2104).
Secret<32> hmac_sha256(ByteView key, std::initializer_list<ByteView> parts);

}  // namespace kms::crypto
