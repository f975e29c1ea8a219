#include "kms/crypto/k256.hpp"
#include "kms/crypto/p256.hpp"
#include "kms/crypto/pem.hpp"
#include "kms/crypto/x25519.hpp"
#include "launcher/runtime/openssl_ptr.hpp"
#include "tests/support/kms_vectors.hpp"

#include <openssl/pem.h>

using namespace kms::crypto;
using runtime::as_bytes;
using runtime::to_hex;
using test_support::hex;
using test_support::hex_at;
using test_support::secret;
using test_support::text_at;

namespace {

constexpr std::string_view kP256Order =
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
constexpr std::string_view kK256Order =
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

/// A scalar that differs from `order` in its last byte.
Bytes near(std::string_view order, int difference) {
    Bytes number = hex(order);
    number.back() = static_cast<std::uint8_t>(number.back() + difference);
    return number;
}

std::string pkcs8_pem(std::string_view der_hex) {
    return to_pem("PRIVATE KEY", hex(der_hex));
}

// The key of kdf.json's upstream_unit_vector in pieces: version, algorithm, and the inner
// structure.
const std::string kScalar = "f57527cea4ab7ffb49af99b158cdc0e3ec06398f528349ea236b7d2afe19cec1";
const std::string kPoint =
    "0491f50522407ce29dce3ed7d31a15d80c1c42f13a23552d2b33a0ce09ee11e47bce95936f3e7f80d195f879e28e1b"
    "144ef37ac9ab8e36a6"
    "90cbf930b775897b27";
const std::string kAlgorithm = "301306072a8648ce3d020106082a8648ce3d030107";
const std::string kCurveTag = "a00a06082a8648ce3d030107";

/// `hex` wrapped in an element.
std::string wrap(std::string_view identifier, const std::string& contents) {
    const std::size_t size = contents.size() / 2;
    const Bytes length = size < 128 ? Bytes{static_cast<std::uint8_t>(size)}
                                    : Bytes{0x81, static_cast<std::uint8_t>(size)};
    return std::string(identifier) + to_hex(length) + contents;
}
std::string point_tag(const std::string& point) {
    return wrap("a1", wrap("03", "00" + point));
}
std::string inner(const std::string& optional_parts) {
    return wrap("30",
                "020101"
                "0420" +
                    kScalar + optional_parts);
}
std::string outer(const std::string& version, const std::string& algorithm,
                  const std::string& inner_structure, const std::string& behind = "") {
    return wrap("30", version + algorithm + wrap("04", inner_structure) + behind);
}

}  // namespace

TEST_CASE("a P-256 key is written as PKCS#8 of 138 bytes with its public part") {
    const boost::json::value vectors = test_support::kms_vectors("kdf.json");
    const auto vector = GENERATE(values<std::string>({"real_kms_vector", "synthetic_vector"}));
    INFO(vector);
    const boost::json::value& row = vectors.at(vector);
    const auto key = P256Key::from_scalar(secret(hex_at(row, "root_p256_scalar")));
    REQUIRE(key.has_value());
    CHECK(to_hex(key->pkcs8_der().view()) == text_at(row, "root_pkcs8_der"));
    const auto again = P256Key::from_pkcs8_pem(key->pkcs8_pem().text());
    REQUIRE(again.has_value());
    CHECK(std::ranges::equal(again->scalar(), key->scalar()));
    CHECK(again->public_point() == key->public_point());
}

TEST_CASE("the public key info of a P-256 key has 91 bytes and is read back") {
    const auto key = P256Key::generate();
    REQUIRE(key.has_value());
    const auto spki = spki_der(key->public_point());
    CHECK(to_hex(ByteView(spki).first(27)) ==
          "3059301306072a8648ce3d020106082a8648ce3d03010703420004");
    const auto point = point_of_spki(spki);
    REQUIRE(point.has_value());
    CHECK(*point == key->public_point());

    Bytes damaged(spki.begin(), spki.end());
    SECTION("not on the curve") {
        damaged.back() = static_cast<std::uint8_t>(damaged.back() ^ 1);
    }
    SECTION("another curve") {
        damaged[22] = static_cast<std::uint8_t>(damaged[22] ^ 1);
    }
    SECTION("a hybrid point") {
        damaged[26] = 6;
    }
    SECTION("cut off") {
        damaged.pop_back();
    }
    SECTION("something behind it") {
        damaged.push_back(0);
    }
    SECTION("nothing") {
        damaged.clear();
    }
    const auto refused = point_of_spki(damaged);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == ErrorCode::invalid_argument);
}

TEST_CASE("scalars outside of the curve's order are no keys") {
    CHECK_FALSE(P256Key::from_scalar(Secret<32>()).has_value());
    CHECK_FALSE(P256Key::from_scalar(secret(near(kP256Order, 0))).has_value());
    CHECK_FALSE(P256Key::from_scalar(secret(Bytes(32, 0xff))).has_value());
    CHECK(P256Key::from_scalar(secret(near(kP256Order, -1))).has_value());
    CHECK_FALSE(K256Key::from_scalar(Secret<32>()).has_value());
    CHECK_FALSE(K256Key::from_scalar(secret(near(kK256Order, 0))).has_value());
    CHECK_FALSE(K256Key::from_scalar(secret(Bytes(32, 0xff))).has_value());
    CHECK(K256Key::from_scalar(secret(near(kK256Order, -1))).has_value());
}

TEST_CASE("PKCS#8 keys are read in each form that DER allows") {
    struct Row {
        std::string name, der;
    };
    const auto row = GENERATE(values<Row>({
        {"as the KMS writes it", outer("020100", kAlgorithm, inner(point_tag(kPoint)))},
        {"without the public part", outer("020100", kAlgorithm, inner(""))},
        {"with the curve named twice",
         outer("020100", kAlgorithm, inner(kCurveTag + point_tag(kPoint)))},
        {"with attributes", outer("020100", kAlgorithm, inner(point_tag(kPoint)), "a000")},
        {"version 2 of RFC 5958",
         outer("020101", kAlgorithm, inner(""), wrap("81", "00" + kPoint))},
    }));
    INFO(row.name);
    const auto key = P256Key::from_pkcs8_pem(pkcs8_pem(row.der));
    REQUIRE(key.has_value());
    CHECK(to_hex(key->scalar()) == kScalar);
    CHECK(to_hex(key->public_point()) == kPoint);
    // The label does not matter.
    CHECK(P256Key::from_pkcs8_pem(to_pem("EC PRIVATE KEY", hex(row.der))).has_value());
}

TEST_CASE("what is not a PKCS#8 key on P-256 is refused") {
    const std::string good = inner(point_tag(kPoint));
    const std::string other_point =
        "046d40439a4b2b3675a56606b8ade072b58929ad1ce2e6f18ceda151280939891475dee44669dfe6159de2d33f"
        "94afe73e3d782fbf77ddea"
        "9ae04c5b5c49a66547";
    struct Row {
        std::string name, der, reason;
    };
    const auto row = GENERATE_COPY(values<Row>({
        {"SEC1", inner(kCurveTag + point_tag(kPoint)), "PKCS#8 was expected"},
        {"another version", outer("020102", kAlgorithm, good), "PKCS#8 was expected"},
        {"a version of two bytes", outer("02020100", kAlgorithm, good), "PKCS#8 was expected"},
        {"an RSA key", outer("020100", "300d06092a864886f70d0101010500", good),
         "another algorithm"},
        {"the curve P-384", outer("020100", "301006072a8648ce3d020106052b81040022", good),
         "another algorithm"},
        {"a curve inside that differs", outer("020100", kAlgorithm, inner("a00706052b81040022")),
         "another curve"},
        {"a scalar of 31 bytes",
         outer("020100", kAlgorithm, wrap("30", "020101" + wrap("04", kScalar.substr(2)))),
         "32 bytes"},
        {"a scalar of 33 bytes",
         outer("020100", kAlgorithm, wrap("30", "020101" + wrap("04", "00" + kScalar))),
         "32 bytes"},
        {"a scalar of zero",
         outer("020100", kAlgorithm, wrap("30", "020101" + wrap("04", std::string(64, '0')))),
         "zero"},
        {"another public part", outer("020100", kAlgorithm, inner(point_tag(other_point))),
         "does not belong"},
        {"a compressed public part",
         outer("020100", kAlgorithm, inner(point_tag("03" + kPoint.substr(2, 64)))),
         "uncompressed point"},
        {"something behind the scalar", outer("020100", kAlgorithm, inner("0500")), "behind"},
        {"something behind the key", outer("020100", kAlgorithm, good, "0500"), "behind"},
        {"something behind everything", outer("020100", kAlgorithm, good) + "00", "behind"},
        {"something behind the public part",
         outer("020100", kAlgorithm, inner(wrap("a1", wrap("03", "00" + kPoint) + "0500"))),
         "behind"},
        {"no DER", "00112233", "DER"},
        {"an empty sequence", "3000", "DER"},
    }));
    INFO(row.name);
    const auto key = P256Key::from_pkcs8_pem(pkcs8_pem(row.der));
    REQUIRE_FALSE(key.has_value());
    CHECK(key.error().code == ErrorCode::invalid_argument);
    CHECK_THAT(key.error().context, Catch::Contains(row.reason));
    CHECK_THAT(key.error().context, !Catch::Contains(kScalar.substr(0, 8)));
}

TEST_CASE(
    "a P-256 key that is cut off or has a bit flipped never crashes the reader, nor reads as "
    "another key") {
    const Bytes good = hex(outer("020100", kAlgorithm, inner(point_tag(kPoint))));
    for (std::size_t size = 1; size < good.size(); ++size)
        CHECK_FALSE(
            P256Key::from_pkcs8_pem(to_pem("PRIVATE KEY", ByteView(good).first(size))).has_value());
    for (std::size_t at = 0; at < good.size(); ++at)
        for (int bit = 0; bit < 8; ++bit) {
            Bytes damaged = good;
            damaged[at] = static_cast<std::uint8_t>(damaged[at] ^ (1 << bit));
            const auto key = P256Key::from_pkcs8_pem(to_pem("PRIVATE KEY", damaged));
            // The one harmless bit is version 0 or 1.
            if (key.has_value()) CHECK(to_hex(key->scalar()) == kScalar);
        }
}

TEST_CASE("P-256 signatures are verified by OpenSSL") {
    const auto key = P256Key::generate();
    REQUIRE(key.has_value());
    const auto signature = key->sign(as_bytes("message"));
    REQUIRE(signature.has_value());

    const auto spki = spki_der(key->public_point());
    const unsigned char* cursor = spki.data();
    const runtime::OwnedPkey public_key(
        d2i_PUBKEY(nullptr, &cursor, static_cast<long>(spki.size())));
    REQUIRE(public_key != nullptr);
    const auto verifies = [&](std::string_view message) {
        const runtime::OwnedMdCtx context(EVP_MD_CTX_new());
        REQUIRE(EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr,
                                     public_key.get()) == 1);
        return EVP_DigestVerify(context.get(), signature->data(), signature->size(),
                                as_bytes(message).data(), message.size()) == 1;
    };
    CHECK(verifies("message"));
    CHECK_FALSE(verifies("another message"));
}

TEST_CASE("generated keys differ") {
    const auto p256_a = P256Key::generate();
    const auto p256_b = P256Key::generate();
    REQUIRE(p256_a.has_value());
    REQUIRE(p256_b.has_value());
    CHECK(p256_a->public_point() != p256_b->public_point());
    const auto k256_a = K256Key::generate();
    const auto k256_b = K256Key::generate();
    REQUIRE(k256_a.has_value());
    REQUIRE(k256_b.has_value());
    CHECK(k256_a->public_key() != k256_b->public_key());
}

TEST_CASE("secp256k1 signatures are the bytes that the original gives, and name their signer") {
    const boost::json::value vectors = test_support::kms_vectors("keys_and_env_pubkeys.json");
    const boost::json::value& keys = vectors.at("keys");
    const auto root = K256Key::from_scalar(secret(hex_at(keys, "root_k256_scalar")));
    REQUIRE(root.has_value());
    CHECK(to_hex(root->public_key()) == text_at(keys, "root_k256_pubkey_compressed"));
    for (const boost::json::value& row : vectors.at("vectors").as_array()) {
        Hash hash{};
        std::ranges::copy(hex_at(row, "signed_message_hash"), hash.begin());
        const auto signature = root->sign(hash);
        REQUIRE(signature.has_value());
        CHECK(to_hex(*signature) == text_at(row, "signature"));
        CHECK(signature->back() == row.at("recovery_id").as_int64());
        const auto signer = recover(*signature, hash);
        REQUIRE(signer.has_value());
        CHECK(*signer == root->public_key());
    }
}

TEST_CASE("bytes that no secp256k1 key can have signed are refused") {
    const auto key = K256Key::generate();
    REQUIRE(key.has_value());
    const Hash hash = sha256({as_bytes("message")});
    auto signature = key->sign(hash);
    REQUIRE(signature.has_value());
    SECTION("a recovery id of Ethereum's other form") {
        signature->back() = 27;
    }
    SECTION("r is zero") {
        std::fill_n(signature->begin(), 32, std::uint8_t{0});
    }
    SECTION("s is not below the order") {
        std::fill_n(signature->begin() + 32, 32, std::uint8_t{0xff});
    }
    const auto signer = recover(*signature, hash);
    REQUIRE_FALSE(signer.has_value());
    CHECK(signer.error().code == ErrorCode::invalid_argument);
}

TEST_CASE("X25519 public keys agree with RFC 7748 and with real applications") {
    const boost::json::value vectors = test_support::kms_vectors("kdf.json");
    const auto public_key = [](ByteView scalar) {
        const auto key = x25519_public_key(secret(scalar));
        REQUIRE(key.has_value());
        return to_hex(*key);
    };
    // RFC 7748 section 6.1.
    CHECK(public_key(hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")) ==
          "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    for (const char* name : {"real_kms_vector", "synthetic_vector"}) {
        const boost::json::value& row = vectors.at(name);
        CHECK(public_key(hex_at(row, "env_crypt_key")) == text_at(row, "env_public_key"));
    }
}
