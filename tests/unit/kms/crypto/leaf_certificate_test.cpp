#include "kms/crypto/leaf_certificate.hpp"

#include "kms/crypto/der.hpp"
#include "kms/crypto/pem.hpp"
#include "kms/keys/profiles.hpp"
#include "tests/support/kms_vectors.hpp"

#include <catch2/catch.hpp>

using namespace kms::crypto;
using runtime::as_bytes;
using test_support::must;

namespace {

Bytes der_of(std::string_view pem) {
    const auto block = must(first_pem_block(pem));
    return {block.view().begin(), block.view().end()};
}

/// A leaf whose extension .8 and .3 hold what the test gives, wrapped by the issuer.
Bytes made(std::optional<Bytes> attestation, std::optional<Bytes> app_id,
           std::string common_name = "test") {
    const P256Key key = must(P256Key::generate());
    CertificateProfile profile;
    profile.subject = {{}, std::move(common_name)};
    profile.public_key = key.public_point();
    profile.app_id = std::move(app_id);
    profile.attestation.attestation = std::move(attestation);
    return der_of(must(issue_certificate(profile, {encode_name({{}, "issuer"}), key},
                                         WallTime(std::chrono::hours(24 * 365 * 55)))));
}

/// The certificate with one byte string in it replaced by another of the same length.
Bytes replaced(Bytes der, const Bytes& from, const Bytes& to) {
    const auto found = std::ranges::search(der, from);
    REQUIRE_FALSE(found.empty());
    std::ranges::copy(to, found.begin());
    return der;
}

}  // namespace

TEST_CASE("certificates of the original read back as they were decoded for the vectors") {
    const auto vectors = test_support::kms_vectors("certificates.json");
    std::size_t read = 0;
    for (const char* version : {"version_E", "version_N"}) {
        for (const auto& [name, chain] : vectors.at(version).as_object()) {
            for (const auto& one : chain.as_array()) {
                if (!one.as_object().contains("pem_text")) continue;
                INFO(version << " " << name);
                const auto leaf =
                    must(LeafCertificate::parse(der_of(test_support::text_at(one, "pem_text"))));
                CHECK(runtime::to_hex(leaf.spki()) == test_support::text_at(one, "spki_hex"));
                for (const auto& extension : one.at("extensions").as_array()) {
                    const std::string oid = test_support::text_at(extension, "oid");
                    constexpr std::string_view kArc = "1.3.6.1.4.1.62397.1.";
                    if (!oid.starts_with(kArc)) continue;
                    const auto number =
                        static_cast<CustomExtension>(std::stoi(oid.substr(kArc.size())));
                    CHECK(must(leaf.payload(number)).has_value());
                }
                ++read;
            }
        }
    }
    CHECK(read > 8);
}

TEST_CASE("payloads are taken out of both of their wrappings") {
    const auto leaf = must(LeafCertificate::parse(made(Bytes{1, 2, 3}, Bytes(20, 7))));
    CHECK(must(leaf.payload(CustomExtension::attestation)) == Bytes{1, 2, 3});
    CHECK(must(leaf.payload(CustomExtension::app_id)) == Bytes(20, 7));
    CHECK_FALSE(must(leaf.payload(CustomExtension::tdx_quote)).has_value());
    CHECK(leaf.carries_attestation());
    CHECK_FALSE(must(LeafCertificate::parse(made({}, Bytes(20, 7)))).carries_attestation());
}

TEST_CASE("broken payloads are told apart from absent ones") {
    const Bytes whole = made(Bytes{0xAA, 0xBB, 0xCC}, {});
    struct Row {
        Bytes value;  ///< in the place of 04 03 aa bb cc
        const char* error;
    };
    const Row rows[] = {
        {{0x0c, 0x03, 0xAA, 0xBB, 0xCC}, "ASN1Error { kind: Invalid }"},
        {{0x04, 0x04, 0xAA, 0xBB, 0xCC}, "ASN1Error { kind: Invalid }"},
        {{0x04, 0x02, 0xAA, 0xBB, 0xCC}, "ASN1Error { kind: Extra }"},
    };
    for (const Row& row : rows) {
        const auto leaf = must(
            LeafCertificate::parse(replaced(whole, {0x04, 0x03, 0xAA, 0xBB, 0xCC}, row.value)));
        const auto payload = leaf.payload(CustomExtension::attestation);
        REQUIRE_FALSE(payload.has_value());
        CHECK(payload.error().context == row.error);
        CHECK(leaf.carries_attestation());
    }
    // The same extension twice: the number of .3 becomes 8.
    const Bytes both = made(Bytes{1}, Bytes{2});
    const Bytes twice =
        replaced(both, {0x83, 0xe7, 0x3d, 0x01, 0x03}, {0x83, 0xe7, 0x3d, 0x01, 0x08});
    const auto payload = must(LeafCertificate::parse(twice)).payload(CustomExtension::attestation);
    REQUIRE_FALSE(payload.has_value());
    CHECK(payload.error().context == "duplicate extension");
}

TEST_CASE("what is no certificate is none") {
    const Bytes whole = made(Bytes{1, 2, 3}, Bytes(20, 7));
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK_FALSE(LeafCertificate::parse(ByteView(whole).first(size)).has_value());
    Bytes longer = whole;
    longer.push_back(0);
    CHECK_FALSE(LeafCertificate::parse(longer).has_value());
    CHECK_FALSE(LeafCertificate::parse({}).has_value());
    // Every byte changed: never a crash, and the certificate is read or refused.
    for (std::size_t at = 0; at < whole.size(); ++at) {
        Bytes damaged = whole;
        damaged[at] ^= 0x55;
        const auto leaf = LeafCertificate::parse(damaged);
        if (leaf) CHECK_FALSE(leaf->spki().empty());
    }
    // Version 1 has no extensions.
    CHECK_FALSE(LeafCertificate::parse(
                    replaced(whole, {0xa0, 0x03, 0x02, 0x01, 0x02}, {0xa0, 0x03, 0x02, 0x01, 0x00}))
                    .has_value());
}

TEST_CASE("a signature verifies under its key and nothing else") {
    const P256Key key = must(P256Key::generate());
    const P256Key other = must(P256Key::generate());
    const Bytes message{'m'};
    const Bytes signature = must(key.sign(message));
    CHECK(verifies(key.public_point(), message, signature));
    CHECK_FALSE(verifies(other.public_point(), message, signature));
    CHECK_FALSE(verifies(key.public_point(), Bytes{'n'}, signature));
    CHECK_FALSE(verifies(key.public_point(), message, {}));
    CHECK_FALSE(verifies(P256Point{}, message, signature));
    P256Point off_curve = key.public_point();
    off_curve.back() ^= 1;
    CHECK_FALSE(verifies(off_curve, message, signature));
    for (std::size_t at = 0; at < signature.size(); ++at) {
        Bytes damaged = signature;
        damaged[at] ^= 1;
        CHECK_FALSE(verifies(key.public_point(), message, damaged));
    }
    Bytes longer = signature;
    longer.push_back(0);
    CHECK_FALSE(verifies(key.public_point(), message, longer));
}
