#include "kms/keys/root_keys.hpp"

#include "kms/crypto/hkdf.hpp"
#include "kms/crypto/keccak.hpp"
#include "kms/keys/profiles.hpp"

#include <utility>

namespace kms::keys {
namespace {

using runtime::as_bytes;

constexpr std::string_view kEnvKeyPrefix = "dstack-env-encrypt-pubkey";

/// derive_p256 of the specification. There is no retry with another input: that would be another
/// key.
Result<crypto::P256Key> derive_p256(const crypto::P256Key& root,
                                    std::initializer_list<ByteView> context) {
    Result<crypto::P256Key> key =
        crypto::P256Key::from_scalar(crypto::derive_key(root.scalar(), context));
    if (!key.has_value()) return Error{ErrorCode::internal, "failed to decode derived secret key"};
    return key;
}

/// derive_dh of the specification.
Result<Secret<32>> derive_secret(const crypto::P256Key& root,
                                 std::initializer_list<ByteView> context) {
    TRY(const crypto::P256Key key, derive_p256(root, context));
    return crypto::sha256_secret({key.pkcs8_der().view()});
}

/// A signature over "<prefix>:" || app id || message.
Result<crypto::K256Signature> sign(const crypto::K256Key& key, std::string_view prefix, AppId app,
                                   std::initializer_list<ByteView> message) {
    Bytes joined;
    for (const ByteView part : message) joined.insert(joined.end(), part.begin(), part.end());
    return key.sign(crypto::keccak256({as_bytes(prefix), as_bytes(":"), app.bytes, joined}));
}

std::array<std::uint8_t, 8> big_endian(std::uint64_t number) {
    std::array<std::uint8_t, 8> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::uint8_t>(number >> (8 * (bytes.size() - 1 - i)));
    return bytes;
}

}  // namespace

RootKeys::RootKeys(crypto::P256Key ca_key, crypto::K256Key k256_key)
    : ca_key_(std::move(ca_key)),
      k256_key_(std::move(k256_key)),
      env_keys_(std::make_unique<Recent<SignedEnvKey>>()) {}

Result<RootKeys> RootKeys::generate() {
    TRY(crypto::P256Key ca_key, crypto::P256Key::generate());
    TRY(crypto::K256Key k256_key, crypto::K256Key::generate());
    return RootKeys(std::move(ca_key), std::move(k256_key));
}

Result<Secret<32>> RootKeys::disk_crypt_key(AppId app, InstanceId instance) const {
    return derive_secret(ca_key_, {app.bytes, instance.bytes, as_bytes("app-disk-crypt-key")});
}

Result<Secret<32>> RootKeys::env_crypt_key(AppId app) const {
    return derive_secret(ca_key_, {app.bytes, as_bytes("env-encrypt-key")});
}

Result<RootKeys::SignedEnvKey> RootKeys::signed_env_key(AppId app) const {
    if (const auto known = env_keys_->find(app.bytes)) return *known;
    TRY(const Secret<32> secret, env_crypt_key(app));
    SignedEnvKey key;
    TRY(key.public_key, crypto::x25519_public_key(secret));
    TRY(key.signature, sign(k256_key_, kEnvKeyPrefix, app, {key.public_key}));
    env_keys_->keep(app.bytes, key);
    return key;
}

Result<EnvPublicKey> RootKeys::env_public_key(AppId app, std::uint64_t unix_seconds) const {
    TRY(const SignedEnvKey key, signed_env_key(app));
    TRY(const crypto::K256Signature signature_v1,
        sign(k256_key_, kEnvKeyPrefix, app, {big_endian(unix_seconds), key.public_key}));
    return EnvPublicKey{key.public_key, key.signature, signature_v1};
}

Result<AppK256Key> RootKeys::app_k256_key(AppId app) const {
    Secret<32> scalar = crypto::derive_key(k256_key_.scalar(), {app.bytes, as_bytes("app-key")});
    Result<crypto::K256Key> key = crypto::K256Key::from_scalar(scalar.clone());
    if (!key.has_value()) return Error{ErrorCode::internal, "failed to decode derived secret key"};
    TRY(const crypto::K256Signature signature,
        sign(k256_key_, "dstack-kms-issued", app, {key->public_key()}));
    return AppK256Key{std::move(scalar), signature};
}

Result<crypto::P256Key> RootKeys::app_ca_key(AppId app) const {
    return derive_p256(ca_key_, {app.bytes, as_bytes("app-ca")});
}

Result<std::string> RootKeys::certify(const crypto::CertificateProfile& profile,
                                      WallTime now) const {
    return crypto::issue_certificate(profile, {crypto::encode_name(root_ca_subject()), ca_key_},
                                     now);
}

RootKeys::HandOver RootKeys::hand_over() const {
    Secret<32> k256_key;
    std::ranges::copy(k256_key_.scalar(), k256_key.writable().begin());
    return {ca_key_.pkcs8_pem(), std::move(k256_key)};
}

}  // namespace kms::keys
