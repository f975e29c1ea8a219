#include "kms/verify/signature_checker.hpp"

#include "kms/crypto/der.hpp"
#include "kms/verify/ecdsa.hpp"

#include <algorithm>

namespace kms {
namespace {

// The AlgorithmIdentifiers' OIDs: ecdsa-with-SHA256 and -SHA384; both come without parameters.
constexpr std::uint8_t kEcdsaSha256[] = {0x06, 0x08, 0x2a, 0x86, 0x48,
                                         0xce, 0x3d, 0x04, 0x03, 0x02};
constexpr std::uint8_t kEcdsaSha384[] = {0x06, 0x08, 0x2a, 0x86, 0x48,
                                         0xce, 0x3d, 0x04, 0x03, 0x03};

bool equal(ByteView a, ByteView b) {
    return std::ranges::equal(a, b);
}

}  // namespace

bool GoodSignatures::has(FixedView<64> key, const x509::SignedData& data) const {
    return std::ranges::any_of(entries_, [&](const Entry& entry) {
        return equal(entry.data.signature, data.signature) &&
               equal(entry.data.message, data.message) &&
               equal(entry.data.algorithm, data.algorithm) && equal(entry.key, key);
    });
}

bool SignatureChecker::is_signed_by(const x509::PublicKey& key, const x509::SignedData& data) {
    const bool is_sha256 = equal(data.algorithm, kEcdsaSha256);
    if (!is_sha256 && !equal(data.algorithm, kEcdsaSha384)) return false;
    if (!key.p256 || !is_sha256) {
        ++computed_;
        return is_signed_evp(key.spki,
                             is_sha256 ? DigestAlgorithm::sha256 : DigestAlgorithm::sha384,
                             data.message, data.signature);
    }
    if (good_.has(*key.p256, data) || (before_ != nullptr && before_->has(*key.p256, data)))
        return true;
    const auto signature = raw_signature_of_der(data.signature);
    if (!signature) return false;
    ++computed_;
    if (!is_signed_p256(*key.p256, crypto::sha256({data.message}), *signature)) return false;
    good_.add(*key.p256, data);
    return true;
}

}  // namespace kms
