#include "kms/crypto/p256.hpp"

#include "kms/crypto/der.hpp"
#include "kms/crypto/pem.hpp"
#include "launcher/runtime/openssl_ptr.hpp"

#include <algorithm>
#include <stdexcept>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>

namespace kms::crypto {
namespace {

using OwnedPoint = runtime::Owned<EC_POINT, EC_POINT_clear_free>;
using OwnedNumber = runtime::Owned<BIGNUM, BN_clear_free>;
using OwnedParamBuilder = runtime::Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using OwnedParams = runtime::Owned<OSSL_PARAM, OSSL_PARAM_free>;
using OwnedNumberCtx = runtime::Owned<BN_CTX, BN_CTX_free>;

// id-ecPublicKey with prime256v1, as in RFC 5480.
constexpr std::uint8_t kAlgorithm[] = {0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
                                       0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
constexpr std::uint8_t kCurve[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

/// Everything before the point in a SubjectPublicKeyInfo.
constexpr std::array<std::uint8_t, 26> kSpkiHead{
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
/// A PKCS#8 key is this, the scalar, kPkcs8Middle, the point.
constexpr std::array<std::uint8_t, 36> kPkcs8Head{
    0x30, 0x81, 0x87, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
    0x03, 0x01, 0x07, 0x04, 0x6d, 0x30, 0x6b, 0x02, 0x01, 0x01, 0x04, 0x20};
constexpr std::array<std::uint8_t, 5> kPkcs8Middle{0xa1, 0x44, 0x03, 0x42, 0x00};

Error openssl_failed(std::string_view what) {
    return Error{ErrorCode::internal,
                 "cannot " + std::string(what) + ": " + runtime::openssl_error()};
}
constexpr std::string_view kNotAKey = "not a P-256 private key";

/// An error that its caller puts behind kNotAKey.
Error bad(std::string_view what) {
    return Error{ErrorCode::invalid_argument, std::string(what)};
}

/// The curve's constants, made once: making them costs as much as using them.
const EC_GROUP* curve() {
    static const EC_GROUP* const group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    if (group == nullptr)
        throw std::runtime_error("OpenSSL has no P-256: " + runtime::openssl_error());
    return group;
}

bool is_scalar(const BIGNUM* number) {
    return !BN_is_zero(number) && BN_cmp(number, EC_GROUP_get0_order(curve())) < 0;
}

Result<P256Point> public_point_of(ByteView scalar) {
    const OwnedNumberCtx scratch(BN_CTX_secure_new());
    const OwnedPoint point(EC_POINT_new(curve()));
    const OwnedNumber number(BN_secure_new());
    if (scratch == nullptr || point == nullptr || number == nullptr ||
        BN_bin2bn(scalar.data(), static_cast<int>(scalar.size()), number.get()) == nullptr)
        return openssl_failed("compute a P-256 public key");
    if (!is_scalar(number.get()))
        return bad("zero, or not below the order of the curve").within(kNotAKey);
    BN_set_flags(number.get(), BN_FLG_CONSTTIME);
    P256Point bytes{};
    if (EC_POINT_mul(curve(), point.get(), number.get(), nullptr, nullptr, scratch.get()) != 1 ||
        EC_POINT_point2oct(curve(), point.get(), POINT_CONVERSION_UNCOMPRESSED, bytes.data(),
                           bytes.size(), scratch.get()) != bytes.size())
        return openssl_failed("compute a P-256 public key");
    return bytes;
}

/// OpenSSL's form of a key, nullptr when that fails. Made from its parts: decoding PKCS#8 takes ten
/// times as long.
runtime::OwnedPkey to_openssl(ByteView scalar, const P256Point& point) {
    const OwnedNumber number(BN_secure_new());
    const OwnedParamBuilder builder(OSSL_PARAM_BLD_new());
    const runtime::OwnedPkeyCtx context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    if (number == nullptr || builder == nullptr || context == nullptr ||
        BN_bin2bn(scalar.data(), static_cast<int>(scalar.size()), number.get()) == nullptr ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) !=
            1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_PRIV_KEY, number.get()) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1)
        return nullptr;
    const OwnedParams parameters(OSSL_PARAM_BLD_to_param(builder.get()));
    EVP_PKEY* key = nullptr;
    if (parameters == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, parameters.get()) != 1)
        return nullptr;
    return runtime::OwnedPkey(key);
}

/// The parts of an unencrypted PKCS#8 key on P-256 (RFC 5208, RFC 5915); borrowed from `der`.
struct Pkcs8Parts {
    ByteView scalar;
    ByteView point;  ///< empty when the key has no public part
};

/// `contents` of a BIT STRING that holds an uncompressed point.
Result<ByteView> point_of_bit_string(ByteView contents) {
    if (contents.size() != 1 + std::tuple_size_v<P256Point> || contents[0] != 0 ||
        contents[1] != 0x04)
        return bad("its public part is not an uncompressed point");
    return contents.subspan(1);
}

Result<Pkcs8Parts> ec_private_key(ByteView der) {
    der::Peeler outer(der);
    TRY(const ByteView sequence, outer.take(der::kSequence));
    der::Peeler key(sequence);
    TRY(const ByteView version, key.take(der::kInteger));
    TRY(const ByteView scalar, key.take(der::kOctetString));
    if (version.size() != 1 || version[0] != 1 || scalar.size() != 32 || !outer.at_end())
        return bad("its inner structure is not an elliptic curve key of 32 bytes");
    Pkcs8Parts parts{scalar, {}};
    if (key.next_is(der::context_constructed(0))) {
        TRY(const ByteView parameters, key.take(der::context_constructed(0)));
        if (!std::ranges::equal(parameters, kCurve)) return bad("it is on another curve");
    }
    if (key.next_is(der::context_constructed(1))) {
        TRY(const ByteView tagged, key.take(der::context_constructed(1)));
        der::Peeler inner(tagged);
        TRY(const ByteView bits, inner.take(der::kBitString));
        TRY(parts.point, point_of_bit_string(bits));
        if (!inner.at_end()) return bad("there is something behind its public part");
    }
    if (!key.at_end()) return bad("there is something behind its inner structure");
    return parts;
}

Result<Pkcs8Parts> pkcs8_parts(ByteView der) {
    der::Peeler outer(der);
    TRY(const ByteView sequence, outer.take(der::kSequence));
    der::Peeler info(sequence);
    TRY(const ByteView version, info.take(der::kInteger));
    // The SEC1 form begins with version 1 and has no algorithm behind it.
    if (version.size() != 1 || version[0] > 1 || !info.next_is(der::kSequence))
        return bad("PKCS#8 was expected; convert it with: openssl pkcs8 -topk8 -nocrypt");
    TRY(const ByteView algorithm, info.take(der::kSequence));
    if (!std::ranges::equal(algorithm, kAlgorithm))
        return bad("another algorithm or another curve");
    TRY(const ByteView key, info.take(der::kOctetString));
    // Attributes [0] and, in version 1, another copy of the public key [1] may follow; neither says
    // anything new.
    if (info.next_is(der::context_constructed(0))) TRY_VOID(info.take(der::context_constructed(0)));
    if (info.next_is(der::context_primitive(1))) TRY_VOID(info.take(der::context_primitive(1)));
    if (!info.at_end() || !outer.at_end()) return bad("there is something behind the key");
    return ec_private_key(key);
}

}  // namespace

std::array<std::uint8_t, 91> spki_der(const P256Point& point) {
    std::array<std::uint8_t, 91> der{};
    std::ranges::copy(point, std::ranges::copy(kSpkiHead, der.begin()).out);
    return der;
}

Result<P256Point> point_of_spki(ByteView der) {
    P256Point point{};
    const OwnedPoint parsed(EC_POINT_new(curve()));
    if (parsed == nullptr) return openssl_failed("read a P-256 public key");
    if (der.size() != kSpkiHead.size() + point.size() ||
        !std::ranges::equal(der.first(kSpkiHead.size()), kSpkiHead))
        return Error{ErrorCode::invalid_argument, "not a P-256 public key"};
    std::ranges::copy(der.subspan(kSpkiHead.size()), point.begin());
    // Checks that the point is on the curve, too. The first byte rules out other forms of the same
    // length.
    if (point[0] != 0x04 ||
        EC_POINT_oct2point(curve(), parsed.get(), point.data(), point.size(), nullptr) != 1) {
        ERR_clear_error();
        return Error{ErrorCode::invalid_argument,
                     "not a P-256 public key: the point is not on the curve"};
    }
    return point;
}

bool verifies(const P256Point& point, ByteView message, ByteView signature) {
    const runtime::OwnedPkeyCtx context(EVP_PKEY_CTX_new_from_name(nullptr, "EC", nullptr));
    const OwnedParamBuilder builder(OSSL_PARAM_BLD_new());
    if (context == nullptr || builder == nullptr ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) !=
            1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1)
        return false;
    const OwnedParams parameters(OSSL_PARAM_BLD_to_param(builder.get()));
    EVP_PKEY* raw = nullptr;
    const bool made =
        parameters != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1 &&
        EVP_PKEY_fromdata(context.get(), &raw, EVP_PKEY_PUBLIC_KEY, parameters.get()) == 1;
    const runtime::OwnedPkey key(raw);
    const runtime::OwnedMdCtx digest(EVP_MD_CTX_new());
    const bool good = made && digest != nullptr &&
                      EVP_DigestVerifyInit_ex(digest.get(), nullptr, "SHA256", nullptr, nullptr,
                                              key.get(), nullptr) == 1 &&
                      EVP_DigestVerify(digest.get(), signature.data(), signature.size(),
                                       message.data(), message.size()) == 1;
    if (!good) ERR_clear_error();
    return good;
}

Result<P256Key> P256Key::from_scalar(Secret<32> scalar) {
    TRY(const P256Point point, public_point_of(scalar.view()));
    return P256Key(std::move(scalar), point);
}

Result<P256Key> P256Key::generate() {
    for (;;) {
        Secret<32> scalar;
        if (RAND_priv_bytes(scalar.writable().data(), 32) != 1)
            return openssl_failed("make a P-256 key");
        Result<P256Key> key = from_scalar(std::move(scalar));
        // One candidate in 2^32 is not below the order.
        if (key.has_value() || key.error().code != ErrorCode::invalid_argument) return key;
    }
}

Result<P256Key> P256Key::from_pkcs8_pem(std::string_view text) {
    TRY(const SecretBytes der, first_pem_block(text));
    Result<Pkcs8Parts> parts = pkcs8_parts(der.view());
    if (!parts.has_value()) return std::move(parts.error()).within(kNotAKey);
    TRY(Secret<32> scalar, Secret<32>::copy_of(parts->scalar));
    TRY(P256Key key, from_scalar(std::move(scalar)));
    if (!parts->point.empty() && !std::ranges::equal(parts->point, key.point_))
        return bad("its public part does not belong to its private part").within(kNotAKey);
    return key;
}

Secret<138> P256Key::pkcs8_der() const {
    Secret<138> der;
    auto out = std::ranges::copy(kPkcs8Head, der.writable().begin()).out;
    out = std::ranges::copy(scalar_.view(), out).out;
    out = std::ranges::copy(kPkcs8Middle, out).out;
    std::ranges::copy(point_, out);
    return der;
}

SecretBytes P256Key::pkcs8_pem() const {
    return to_pem_secret("PRIVATE KEY", pkcs8_der().view());
}

Result<Bytes> P256Key::sign(ByteView message) const {
    const runtime::OwnedPkey key = to_openssl(scalar_.view(), point_);
    const runtime::OwnedMdCtx context(EVP_MD_CTX_new());
    if (key == nullptr || context == nullptr ||
        EVP_DigestSignInit_ex(context.get(), nullptr, "SHA256", nullptr, nullptr, key.get(),
                              nullptr) != 1)
        return openssl_failed("sign with a P-256 key");
    Bytes signature(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())));
    std::size_t size = signature.size();
    if (EVP_DigestSign(context.get(), signature.data(), &size, message.data(), message.size()) != 1)
        return openssl_failed("sign with a P-256 key");
    signature.resize(size);
    return signature;
}

}  // namespace kms::crypto
