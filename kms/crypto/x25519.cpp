#include "kms/crypto/x25519.hpp"

#include "launcher/runtime/openssl_ptr.hpp"

namespace kms::crypto {

Result<X25519PublicKey> x25519_public_key(const Secret<32>& secret) {
    const runtime::OwnedPkey key(EVP_PKEY_new_raw_private_key(
        EVP_PKEY_X25519, nullptr, secret.view().data(), secret.view().size()));
    X25519PublicKey public_key{};
    std::size_t size = public_key.size();
    if (key == nullptr || EVP_PKEY_get_raw_public_key(key.get(), public_key.data(), &size) != 1 ||
        size != public_key.size())
        return Error{ErrorCode::internal,
                     "cannot compute an X25519 public key: " + runtime::openssl_error()};
    return public_key;
}

}  // namespace kms::crypto
