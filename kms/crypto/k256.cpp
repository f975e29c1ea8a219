#include "kms/crypto/k256.hpp"

#include "launcher/runtime/openssl_ptr.hpp"

#include <stdexcept>

#include <openssl/rand.h>
#include <secp256k1.h>
#include <secp256k1_recovery.h>

namespace kms::crypto {
namespace {

/// Made once and never changed, so that any thread may use it. Blinded with random bytes against
/// side channels.
const secp256k1_context* context() {
    static const secp256k1_context* const made = [] {
        secp256k1_context* fresh = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
        Secret<32> seed;
        if (fresh == nullptr || RAND_priv_bytes(seed.writable().data(), 32) != 1 ||
            secp256k1_context_randomize(fresh, seed.view().data()) != 1)
            throw std::runtime_error("cannot prepare secp256k1: " + runtime::openssl_error());
        return fresh;
    }();
    return made;
}

K256PublicKey compressed(const secp256k1_pubkey& key) {
    K256PublicKey bytes{};
    std::size_t size = bytes.size();
    secp256k1_ec_pubkey_serialize(context(), bytes.data(), &size, &key, SECP256K1_EC_COMPRESSED);
    return bytes;
}

}  // namespace

Result<K256Key> K256Key::from_scalar(Secret<32> scalar) {
    secp256k1_pubkey key;
    if (secp256k1_ec_pubkey_create(context(), &key, scalar.view().data()) != 1)
        return Error{ErrorCode::invalid_argument,
                     "not a secp256k1 private key: zero, or not below the order of the curve"};
    return K256Key(std::move(scalar), compressed(key));
}

Result<K256Key> K256Key::generate() {
    Secret<32> scalar;
    do {
        if (RAND_priv_bytes(scalar.writable().data(), 32) != 1)
            return Error{ErrorCode::internal,
                         "cannot make a secp256k1 key: " + runtime::openssl_error()};
    } while (secp256k1_ec_seckey_verify(context(), scalar.view().data()) !=
             1);  // false once in 2^128
    return from_scalar(std::move(scalar));
}

Result<K256Signature> K256Key::sign(const Hash& message_hash) const {
    // No nonce function given: the library's own is RFC 6979 with HMAC-SHA256, and s comes out in
    // low form.
    secp256k1_ecdsa_recoverable_signature signature;
    if (secp256k1_ecdsa_sign_recoverable(context(), &signature, message_hash.data(),
                                         scalar_.view().data(), nullptr, nullptr) != 1)
        return Error{ErrorCode::internal, "cannot sign with a secp256k1 key"};
    K256Signature bytes{};
    int recovery_id = 0;
    secp256k1_ecdsa_recoverable_signature_serialize_compact(context(), bytes.data(), &recovery_id,
                                                            &signature);
    bytes.back() = static_cast<std::uint8_t>(recovery_id);
    return bytes;
}

Result<K256PublicKey> recover(const K256Signature& signature, const Hash& message_hash) {
    secp256k1_ecdsa_recoverable_signature parsed;
    secp256k1_pubkey key;
    if (signature.back() > 3 ||
        secp256k1_ecdsa_recoverable_signature_parse_compact(context(), &parsed, signature.data(),
                                                            signature.back()) != 1 ||
        secp256k1_ecdsa_recover(context(), &key, &parsed, message_hash.data()) != 1)
        return Error{ErrorCode::invalid_argument, "not a secp256k1 signature over this hash"};
    return compressed(key);
}

}  // namespace kms::crypto
