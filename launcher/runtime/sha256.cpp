#define OPENSSL_SUPPRESS_DEPRECATED  // the direct functions: see the header
#include "launcher/runtime/sha256.hpp"

#include <openssl/sha.h>

namespace runtime {

std::array<std::uint8_t, 32> sha256_of_public(std::string_view text) {
    std::array<std::uint8_t, 32> hash{};
    SHA256_CTX context;
    SHA256_Init(&context);
    SHA256_Update(&context, text.data(), text.size());
    SHA256_Final(hash.data(), &context);
    return hash;
}

}  // namespace runtime
