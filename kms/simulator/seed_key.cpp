#include "kms/simulator/seed_key.hpp"

#include "kms/crypto/der.hpp"
#include "launcher/runtime/openssl_ptr.hpp"

#include <algorithm>
#include <stdexcept>

#include <openssl/bn.h>
#include <openssl/ec.h>

namespace kms::simulator {
namespace {

namespace der = crypto::der;
using runtime::Owned;
using OwnedGroup = Owned<EC_GROUP, EC_GROUP_free>;
using OwnedPoint = Owned<EC_POINT, EC_POINT_free>;
using OwnedNumber = Owned<BIGNUM, BN_free>;
using OwnedScratch = Owned<BN_CTX, BN_CTX_free>;
using Block = std::array<std::uint8_t, 32>;

[[noreturn]] void no_memory() {
    throw std::runtime_error("the simulator cannot sign: " + runtime::openssl_error());
}

OwnedNumber number(ByteView bytes) {
    OwnedNumber made(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
    if (made == nullptr) no_memory();
    return made;
}

Block block(const BIGNUM* value) {
    Block bytes{};
    if (BN_bn2binpad(value, bytes.data(), static_cast<int>(bytes.size())) < 0) no_memory();
    return bytes;
}

/// The stream of nonces of RFC 6979, section 3.2, for one key and one digest.
class Nonces {
  public:
    Nonces(ByteView scalar, ByteView reduced_digest) {
        key_.fill(0);
        value_.fill(1);
        stir(0, scalar, reduced_digest);
        stir(1, scalar, reduced_digest);
    }
    Block next() {
        if (used_) stir(0, {}, {});
        used_ = true;
        value_ = mac({value_});
        return value_;
    }

  private:
    Block mac(std::initializer_list<ByteView> parts) const {
        const auto tag = crypto::hmac_sha256(key_, parts);
        Block out;
        std::ranges::copy(tag.view(), out.begin());
        return out;
    }
    void stir(std::uint8_t mark, ByteView scalar, ByteView digest) {
        key_ = mac({value_, ByteView(&mark, 1), scalar, digest});
        value_ = mac({value_});
    }
    Block key_{}, value_{};
    bool used_ = false;
};

}  // namespace

Result<Seed> seed_from_hex(std::string_view text) {
    TRY(const Bytes bytes, runtime::from_hex(text).within("the seed"));
    Seed seed{};
    if (bytes.size() != seed.size())
        return Error{
            ErrorCode::invalid_argument,
            "the seed: 64 hexadecimal digits are expected, not " + std::to_string(text.size())};
    std::ranges::copy(bytes, seed.begin());
    return seed;
}

crypto::P256Key seed_key(const Seed& seed, std::string_view label) {
    constexpr std::string_view kDomain = "dstack-mock-p256-v1";
    for (std::uint8_t counter = 0;; ++counter) {
        const std::array<std::uint8_t, 4> count{0, 0, 0, counter};
        auto scalar = crypto::sha256_secret(
            {runtime::as_bytes(kDomain), seed, runtime::as_bytes(label), count});
        if (auto key = crypto::P256Key::from_scalar(std::move(scalar))) return std::move(*key);
    }
}

RawSignature sign(const crypto::P256Key& key, ByteView message) {
    const OwnedGroup curve(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
    const OwnedScratch scratch(BN_CTX_new());
    const OwnedPoint point(curve ? EC_POINT_new(curve.get()) : nullptr);
    if (scratch == nullptr || point == nullptr) no_memory();
    const BIGNUM* order = EC_GROUP_get0_order(curve.get());
    const crypto::Hash hash = crypto::sha256({message});
    const OwnedNumber digest = number(hash);
    const OwnedNumber scalar = number(key.scalar());
    const OwnedNumber reduced(BN_new()), r(BN_new()), s(BN_new());
    if (reduced == nullptr || r == nullptr || s == nullptr ||
        BN_nnmod(reduced.get(), digest.get(), order, scratch.get()) != 1)
        no_memory();
    Nonces nonces(key.scalar(), block(reduced.get()));
    for (;;) {
        const OwnedNumber nonce = number(nonces.next());
        if (BN_is_zero(nonce.get()) || BN_cmp(nonce.get(), order) >= 0) continue;
        const OwnedNumber inverse(BN_mod_inverse(nullptr, nonce.get(), order, scratch.get()));
        if (inverse == nullptr ||
            EC_POINT_mul(curve.get(), point.get(), nonce.get(), nullptr, nullptr, scratch.get()) !=
                1 ||
            EC_POINT_get_affine_coordinates(curve.get(), point.get(), r.get(), nullptr,
                                            scratch.get()) != 1 ||
            BN_nnmod(r.get(), r.get(), order, scratch.get()) != 1 ||
            BN_mod_mul(s.get(), r.get(), scalar.get(), order, scratch.get()) != 1 ||
            BN_mod_add(s.get(), s.get(), reduced.get(), order, scratch.get()) != 1 ||
            BN_mod_mul(s.get(), s.get(), inverse.get(), order, scratch.get()) != 1)
            no_memory();
        if (BN_is_zero(r.get()) || BN_is_zero(s.get())) continue;
        RawSignature signature;
        std::ranges::copy(block(r.get()), signature.bytes.begin());
        std::ranges::copy(block(s.get()), signature.bytes.begin() + 32);
        return signature;
    }
}

Bytes signature_der(const RawSignature& signature) {
    return der::element(der::kSequence, {der::unsigned_integer(signature.r()),
                                         der::unsigned_integer(signature.s())});
}

}  // namespace kms::simulator
