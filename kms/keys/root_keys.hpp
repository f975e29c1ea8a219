/// RootKeys: the two secrets that everything a KMS hands out is derived from, behind a handful of
/// verbs.
///
/// Nothing outside of this class reads them. It says no to nobody: who may call a verb is decided
/// before the call, by the RPC layer and the authorisation service. Source: spec "kms-protocol"
/// section 5.
#pragma once

#include "kms/crypto/certificate.hpp"
#include "kms/crypto/k256.hpp"
#include "kms/crypto/p256.hpp"
#include "kms/crypto/x25519.hpp"
#include "kms/keys/recent.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace kms::keys {

using runtime::Bytes;
using runtime::ByteView;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;
using runtime::Secret;
using runtime::SecretBytes;
using runtime::WallTime;

/// Identities as derivation sees them: borrowed bytes of any length, also none. Two types, so that
/// they cannot be swapped.
struct AppId {
    ByteView bytes;
};
struct InstanceId {
    ByteView bytes;
};

/// What GetAppEnvEncryptPubKey answers.
struct EnvPublicKey {
    crypto::X25519PublicKey public_key{};
    crypto::K256Signature signature{};     ///< over the public key
    crypto::K256Signature signature_v1{};  ///< over the timestamp and the public key
};

/// An application's secp256k1 key and the KMS's signature over its public key.
struct AppK256Key {
    Secret<32> key;
    crypto::K256Signature signature{};
};

/// Move-only; wiped when it goes. All verbs may be called from several threads at once.
class RootKeys {
  public:
    RootKeys(crypto::P256Key ca_key, crypto::K256Key k256_key);
    /// New random keys. Errors (internal): no randomness.
    static Result<RootKeys> generate();

    const crypto::P256Point& ca_public_key() const { return ca_key_.public_point(); }
    const crypto::K256PublicKey& k256_public_key() const { return k256_key_.public_key(); }

    // Derived keys. Errors (internal): the derived scalar is not valid for its curve, which happens
    // for about one identity in 2^32 and cannot be helped (spec section 5.1).
    Result<Secret<32>> disk_crypt_key(AppId app, InstanceId instance) const;
    Result<Secret<32>> env_crypt_key(AppId app) const;
    /// `unix_seconds` goes into signature_v1. About 100 microseconds of CPU; for an application
    /// that was asked about lately 25, since only signature_v1 is new then.
    Result<EnvPublicKey> env_public_key(AppId app, std::uint64_t unix_seconds) const;
    Result<AppK256Key> app_k256_key(AppId app) const;
    Result<crypto::P256Key> app_ca_key(AppId app) const;

    /// A certificate issued by the root CA (issuer: profiles.hpp, root_ca_subject), as PEM; errors
    /// as crypto::issue_certificate.
    Result<std::string> certify(const crypto::CertificateProfile& profile, WallTime now) const;

    /// The root keys themselves, for the two places that need them: an authorised KMS that asks for
    /// them (GetKmsKey), and the key files.
    struct HandOver {
        SecretBytes ca_key_pem;  ///< PKCS#8
        Secret<32> k256_key;     ///< scalar, big-endian
    };
    HandOver hand_over() const;

  private:
    struct SignedEnvKey {
        crypto::X25519PublicKey public_key{};
        crypto::K256Signature signature{};
    };
    Result<SignedEnvKey> signed_env_key(AppId app) const;

    crypto::P256Key ca_key_;
    crypto::K256Key k256_key_;
    std::unique_ptr<Recent<SignedEnvKey>> env_keys_;
};

}  // namespace kms::keys
