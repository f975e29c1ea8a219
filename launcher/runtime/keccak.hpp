/// Keccak with the original padding (first byte 0x01), as Ethereum uses it. This is not SHA-3.
/// Source: FIPS 202 section 3 for the permutation.
#pragma once

#include "launcher/runtime/bytes.hpp"

#include <array>
#include <cstdint>
#include <initializer_list>

namespace runtime {

using KeccakHash = std::array<std::uint8_t, 32>;

/// Keccak-256 of the concatenation of `parts`. For public values only: the state is not wiped.
KeccakHash keccak256(std::initializer_list<ByteView> parts);
KeccakHash keccak256(ByteView bytes);
/// The same with 384 and 512 bits of output.
std::array<std::uint8_t, 48> keccak384(std::initializer_list<ByteView> parts);
std::array<std::uint8_t, 64> keccak512(std::initializer_list<ByteView> parts);

}  // namespace runtime
