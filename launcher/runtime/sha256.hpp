/// SHA-256 for naming public things, such as a configuration. By OpenSSL's direct functions: the
/// first use of EVP costs a program most of a millisecond, which a launcher would lose before its
/// first service runs. Source: FIPS 180-4, section 6.2.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace runtime {

/// For public values only: nothing is wiped.
std::array<std::uint8_t, 32> sha256_of_public(std::string_view text);

}  // namespace runtime
