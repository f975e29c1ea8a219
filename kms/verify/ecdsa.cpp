#include "kms/verify/ecdsa.hpp"

#include "kms/crypto/der.hpp"
#include "launcher/runtime/openssl_ptr.hpp"

#include <algorithm>
#include <stdexcept>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

namespace kms {
namespace {

using runtime::Owned;
namespace der = crypto::der;

/// What one check needs, made once per thread: loading a key into EVP costs as much as half a
/// check, and this does not need one.
struct Workspace {
    Owned<EC_GROUP, EC_GROUP_free> group{EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1)};
    Owned<BN_CTX, BN_CTX_free> numbers{BN_CTX_new()};
    Owned<BN_MONT_CTX, BN_MONT_CTX_free> order_arithmetic{BN_MONT_CTX_new()};
    Owned<EC_POINT, EC_POINT_free> key;
    Owned<EC_POINT, EC_POINT_free> sum;

    Workspace() {
        if (group != nullptr) {
            key.reset(EC_POINT_new(group.get()));
            sum.reset(EC_POINT_new(group.get()));
        }
        const bool good = key != nullptr && sum != nullptr && numbers != nullptr &&
                          order_arithmetic != nullptr &&
                          BN_MONT_CTX_set(order_arithmetic.get(), EC_GROUP_get0_order(group.get()),
                                          numbers.get()) == 1;
        if (!good) throw std::runtime_error("OpenSSL has no P-256: " + runtime::openssl_error());
    }
};

Workspace& workspace() {
    thread_local Workspace made;
    return made;
}

/// BN_CTX_start and _end as a scope.
class NumberScope {
  public:
    explicit NumberScope(BN_CTX* context) : context_(context) { BN_CTX_start(context); }
    ~NumberScope() { BN_CTX_end(context_); }
    NumberScope(const NumberScope&) = delete;
    NumberScope& operator=(const NumberScope&) = delete;
    BIGNUM* next() { return BN_CTX_get(context_); }

  private:
    BN_CTX* context_;
};

bool load_point(Workspace& work, RawPoint point) {
    std::array<std::uint8_t, 65> encoded;
    encoded[0] = POINT_CONVERSION_UNCOMPRESSED;
    std::ranges::copy(point, encoded.begin() + 1);
    // Checks that the point is on the curve.
    return EC_POINT_oct2point(work.group.get(), work.key.get(), encoded.data(), encoded.size(),
                              work.numbers.get()) == 1;
}

bool in_range(const BIGNUM* number, const BIGNUM* order) {
    return !BN_is_zero(number) && BN_cmp(number, order) < 0;
}

bool check(Workspace& work, RawPoint key, const crypto::Hash& digest,
           const RawSignature& signature) {
    BN_CTX* const context = work.numbers.get();
    const EC_GROUP* const group = work.group.get();
    const BIGNUM* const order = EC_GROUP_get0_order(group);
    NumberScope scope(context);
    BIGNUM* const r = scope.next();
    BIGNUM* const s = scope.next();
    BIGNUM* const hash = scope.next();
    BIGNUM* const inverse = scope.next();
    BIGNUM* const u1 = scope.next();
    BIGNUM* const u2 = scope.next();
    BIGNUM* const x = scope.next();
    if (x == nullptr || BN_bin2bn(signature.r().data(), 32, r) == nullptr ||
        BN_bin2bn(signature.s().data(), 32, s) == nullptr ||
        BN_bin2bn(digest.data(), 32, hash) == nullptr)
        return false;
    if (!in_range(r, order) || !in_range(s, order) || !load_point(work, key)) return false;
    // SEC 1 section 4.1.4: u1 = hash / s, u2 = r / s, and x of u1 G + u2 Q must be r.
    BN_MONT_CTX* const arithmetic = work.order_arithmetic.get();
    return BN_mod_inverse(inverse, s, order, context) != nullptr &&
           BN_to_montgomery(inverse, inverse, arithmetic, context) == 1 &&
           BN_mod_mul_montgomery(u1, hash, inverse, arithmetic, context) == 1 &&
           BN_mod_mul_montgomery(u2, r, inverse, arithmetic, context) == 1 &&
           EC_POINT_mul(group, work.sum.get(), u1, work.key.get(), u2, context) == 1 &&
           EC_POINT_is_at_infinity(group, work.sum.get()) == 0 &&
           EC_POINT_get_affine_coordinates(group, work.sum.get(), x, nullptr, context) == 1 &&
           BN_nnmod(x, x, order, context) == 1 && BN_cmp(x, r) == 0;
}

/// The content of a minimal, positive INTEGER into 32 bytes.
bool take_number(der::Peeler& list, std::span<std::uint8_t, 32> out) {
    const auto content = list.take(der::kInteger);
    if (!content || content->empty()) return false;
    ByteView number = *content;
    if ((number[0] & 0x80U) != 0) return false;
    if (number[0] == 0 && number.size() > 1) {
        if ((number[1] & 0x80U) == 0) return false;
        number = number.subspan(1);
    }
    if (number.size() > out.size()) return false;
    std::ranges::copy(number, out.end() - static_cast<std::ptrdiff_t>(number.size()));
    return true;
}

}  // namespace

std::optional<RawSignature> raw_signature(ByteView bytes) {
    if (bytes.size() < 32) return std::nullopt;
    ByteView s = bytes.subspan(32);
    while (!s.empty() && s[0] == 0) s = s.subspan(1);
    if (s.size() > 32) return std::nullopt;
    RawSignature signature;
    std::ranges::copy(bytes.first(32), signature.bytes.begin());
    std::ranges::copy(s, signature.bytes.end() - static_cast<std::ptrdiff_t>(s.size()));
    return signature;
}

std::optional<RawSignature> raw_signature_of_der(ByteView bytes) {
    der::Peeler outer(bytes);
    const auto content = outer.take(der::kSequence);
    if (!content || !outer.at_end()) return std::nullopt;
    der::Peeler list(*content);
    RawSignature signature;
    const std::span<std::uint8_t, 64> out(signature.bytes);
    if (!take_number(list, out.first<32>()) || !take_number(list, out.last<32>()) || !list.at_end())
        return std::nullopt;
    return signature;
}

bool is_signed_p256(RawPoint key, const crypto::Hash& digest, const RawSignature& signature) {
    const bool good = check(workspace(), key, digest, signature);
    if (!good) ERR_clear_error();
    return good;
}

bool is_signed_evp(ByteView spki, DigestAlgorithm digest, ByteView message, ByteView signature) {
    const std::uint8_t* at = spki.data();
    const runtime::OwnedPkey key(d2i_PUBKEY(nullptr, &at, static_cast<long>(spki.size())));
    const runtime::OwnedMdCtx context(EVP_MD_CTX_new());
    const EVP_MD* const algorithm = digest == DigestAlgorithm::sha256 ? EVP_sha256() : EVP_sha384();
    const bool good =
        key != nullptr && EVP_PKEY_is_a(key.get(), "EC") == 1 &&
        EVP_DigestVerifyInit(context.get(), nullptr, algorithm, nullptr, key.get()) == 1 &&
        EVP_DigestVerify(context.get(), signature.data(), signature.size(), message.data(),
                         message.size()) == 1;
    ERR_clear_error();
    return good;
}

}  // namespace kms
