#include "kms/crypto/sha256.hpp"

#include "launcher/runtime/openssl_ptr.hpp"

#include <algorithm>
#include <stdexcept>

namespace kms::crypto {
namespace {

constexpr std::size_t kBlockSize = 64;

/// Fetched once: looking the algorithm up costs more than hashing a short text.
const EVP_MD* algorithm() {
    static const EVP_MD* const fetched = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    if (fetched == nullptr)
        throw std::runtime_error("OpenSSL has no SHA256: " + runtime::openssl_error());
    return fetched;
}

class Hasher {
  public:
    Hasher() : context_(EVP_MD_CTX_new()) {
        check(context_ != nullptr && EVP_DigestInit_ex2(context_.get(), algorithm(), nullptr) == 1);
    }
    void add(ByteView bytes) {
        check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
    }
    void finish(std::span<std::uint8_t, 32> digest) {
        check(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    }

  private:
    static void check(bool good) {
        // Hashing in memory fails only when memory has run out.
        if (!good) throw std::runtime_error("SHA-256 failed: " + runtime::openssl_error());
    }
    runtime::OwnedMdCtx context_;
};

void hash_into(std::span<std::uint8_t, 32> digest, std::initializer_list<ByteView> parts) {
    Hasher hasher;
    for (const ByteView part : parts) hasher.add(part);
    hasher.finish(digest);
}

}  // namespace

Hash sha256(std::initializer_list<ByteView> parts) {
    Hash digest{};
    hash_into(digest, parts);
    return digest;
}

Secret<32> sha256_secret(std::initializer_list<ByteView> parts) {
    Secret<32> digest;
    hash_into(digest.writable(), parts);
    return digest;
}

Secret<32> hmac_sha256(ByteView key, std::initializer_list<ByteView> parts) {
    Secret<kBlockSize> pad;  // the key, filled up with zeros
    if (key.size() > kBlockSize) {
        const Secret<32> hashed = sha256_secret({key});
        std::ranges::copy(hashed.view(), pad.writable().begin());
    } else {
        std::ranges::copy(key, pad.writable().begin());
    }
    for (std::uint8_t& byte : pad.writable()) byte = static_cast<std::uint8_t>(byte ^ 0x36);
    Hasher inner;
    inner.add(pad.view());
    for (const ByteView part : parts) inner.add(part);
    Secret<32> code;
    inner.finish(code.writable());

    for (std::uint8_t& byte : pad.writable()) byte = static_cast<std::uint8_t>(byte ^ 0x36 ^ 0x5c);
    hash_into(code.writable(), {pad.view(), code.view()});
    return code;
}

}  // namespace kms::crypto
