#include "kms/crypto/certificate.hpp"

#include "kms/crypto/der.hpp"
#include "kms/crypto/pem.hpp"
#include "kms/keys/profiles.hpp"
#include "launcher/runtime/openssl_ptr.hpp"
#include "tests/support/kms_vectors.hpp"

using namespace kms::crypto;
using namespace std::chrono_literals;
using runtime::to_hex;
using test_support::hex;
using test_support::hex_at;
using test_support::root_keys;
using test_support::text_at;

namespace {

constexpr std::chrono::days kValidity{3650};
constexpr WallTime kNow =
    std::chrono::sys_days(std::chrono::year{2026} / 11 / 23) + 1h + 54min + 15s;

/// The signed part of a certificate, with its own identifier and length, and the algorithm behind
/// it.
struct Signed {
    Bytes body;
    Bytes algorithm;
};
Signed signed_part(std::string_view pem) {
    const auto der = first_pem_block(pem);
    REQUIRE(der.has_value());
    der::Peeler outer(der->view());
    const auto certificate = outer.take(der::kSequence);
    REQUIRE(certificate.has_value());
    der::Peeler parts(*certificate);
    const auto body = parts.take(der::kSequence);
    const auto algorithm = parts.take(der::kSequence);
    REQUIRE(body.has_value());
    REQUIRE(algorithm.has_value());
    return {der::element(der::kSequence, {*body}), Bytes(algorithm->begin(), algorithm->end())};
}

/// Everything is equal except for the signature. `ours` must have been made with now = the end of
/// `theirs` - 3650 days.
void check_equal_but_signature(std::string_view ours, std::string_view theirs) {
    CHECK(to_hex(signed_part(ours).body) == to_hex(signed_part(theirs).body));
    CHECK(signed_part(ours).algorithm == signed_part(theirs).algorithm);
}

/// When a certificate of 3650 days was made.
WallTime made_at(std::string_view pem) {
    const auto facts = read_certificate(pem);
    REQUIRE(facts.has_value());
    return facts->not_after - kValidity;
}

bool signed_by(std::string_view pem, const P256Point& issuer) {
    const auto der = first_pem_block(pem);
    REQUIRE(der.has_value());
    const unsigned char* cursor = der->view().data();
    const runtime::OwnedX509 certificate(
        d2i_X509(nullptr, &cursor, static_cast<long>(der->size())));
    const auto spki = spki_der(issuer);
    cursor = spki.data();
    const runtime::OwnedPkey key(d2i_PUBKEY(nullptr, &cursor, static_cast<long>(spki.size())));
    REQUIRE(certificate != nullptr);
    REQUIRE(key != nullptr);
    return X509_verify(certificate.get(), key.get()) == 1;
}

std::string issue(const CertificateProfile& profile, WallTime now = kNow) {
    const auto key = P256Key::from_scalar(test_support::secret(Bytes(32, 1)));
    REQUIRE(key.has_value());
    const auto pem =
        issue_certificate(profile, {encode_name({"Dstack", "Dstack App CA"}), *key}, now);
    REQUIRE(pem.has_value());
    CHECK(signed_by(*pem, key->public_point()));
    return *pem;
}

CertificateProfile leaf() {
    const auto key = P256Key::from_scalar(test_support::secret(Bytes(32, 2)));
    REQUIRE(key.has_value());
    CertificateProfile profile;
    profile.subject.common_name = "leaf";
    profile.public_key = key->public_point();
    return profile;
}

/// The profile that the fields of a decoded certificate (certificates.json) describe. It copies the
/// payloads of the custom extensions, and nothing that the profile is to produce by itself.
CertificateProfile described_profile(const boost::json::value& decoded) {
    CertificateProfile profile;
    for (const boost::json::value& part : decoded.at("subject").as_array())
        if (text_at(part, "oid") == "2.5.4.10")
            profile.subject.organisation = text_at(part, "value");
        else
            profile.subject.common_name = text_at(part, "value");
    const auto point = point_of_spki(hex_at(decoded, "spki_hex"));
    REQUIRE(point.has_value());
    profile.public_key = *point;
    return profile;
}

/// The value of an extension of a PEM certificate, by OpenSSL; nullopt when it is not there.
std::optional<Bytes> extension_value(std::string_view pem, const std::string& oid) {
    const auto der = first_pem_block(pem);
    REQUIRE(der.has_value());
    const unsigned char* cursor = der->view().data();
    const runtime::OwnedX509 certificate(
        d2i_X509(nullptr, &cursor, static_cast<long>(der->size())));
    REQUIRE(certificate != nullptr);
    const runtime::Owned<ASN1_OBJECT, ASN1_OBJECT_free> object(OBJ_txt2obj(oid.c_str(), 1));
    const int at = X509_get_ext_by_OBJ(certificate.get(), object.get(), -1);
    if (at < 0) return std::nullopt;
    const ASN1_OCTET_STRING* value = X509_EXTENSION_get_data(X509_get_ext(certificate.get(), at));
    return Bytes(value->data, value->data + value->length);
}

/// The payload inside of the inner OCTET STRING of a custom extension.
std::optional<Bytes> custom_payload(std::string_view pem, int number) {
    const auto value = extension_value(pem, "1.3.6.1.4.1.62397.1." + std::to_string(number));
    if (!value.has_value()) return std::nullopt;
    der::Peeler peeler(*value);
    const auto payload = peeler.take(der::kOctetString);
    REQUIRE(payload.has_value());
    REQUIRE(peeler.at_end());
    return Bytes(payload->begin(), payload->end());
}

/// The names of a SAN extension in which DNS names stand alone.
std::vector<std::string> dns_names(const Bytes& value) {
    der::Peeler outer(value);
    const auto list = outer.take(der::kSequence);
    REQUIRE(list.has_value());
    std::vector<std::string> names;
    der::Peeler peeler(*list);
    while (!peeler.at_end()) {
        const auto name = peeler.take(der::context_primitive(2));
        REQUIRE(name.has_value());
        names.emplace_back(runtime::as_text(*name));
    }
    return names;
}

}  // namespace

TEST_CASE("the certificates of a key set equal those of the original but for the signature") {
    namespace keys = kms::keys;
    const boost::json::value vectors = test_support::kms_vectors("keys_and_env_pubkeys.json");
    const boost::json::value& row = vectors.at("keys");
    const keys::RootKeys root =
        root_keys(hex_at(row, "root_ca_scalar"), hex_at(row, "root_k256_scalar"));
    const auto temp_ca_key = P256Key::from_pkcs8_pem(text_at(row, "tmp_ca_key_pem"));
    const auto rpc_key = P256Key::from_pkcs8_pem(text_at(row, "rpc_key_pem"));
    REQUIRE(temp_ca_key.has_value());
    REQUIRE(rpc_key.has_value());

    std::string theirs;
    runtime::Result<std::string> ours;
    P256Point signer = root.ca_public_key();
    SECTION("root CA") {
        theirs = text_at(row, "root_ca_crt_pem");
        ours = root.certify(keys::root_ca_profile(root.ca_public_key()), made_at(theirs));
    }
    SECTION("temp CA") {
        theirs = text_at(row, "tmp_ca_crt_pem");
        ours = keys::temp_ca_certificate(*temp_ca_key, made_at(theirs));
        signer = temp_ca_key->public_point();
    }
    SECTION("RPC") {
        theirs = text_at(row, "rpc_crt_pem");
        ours =
            root.certify(keys::rpc_profile(rpc_key->public_point(), text_at(row, "rpc_domain"), {}),
                         made_at(theirs));
    }
    REQUIRE(ours.has_value());
    check_equal_but_signature(*ours, theirs);
    CHECK(signed_by(*ours, signer));
    CHECK(ours->ends_with("\n-----END CERTIFICATE-----\n"));
}

TEST_CASE("the root CA certificate of a real KMS is made again from its key") {
    const auto key_pem = test_support::shared_kms_text("upstream/kms-root-ca.key.pem");
    const auto theirs = test_support::shared_kms_text("upstream/kms-root-ca.pem");
    if (!key_pem.has_value() || !theirs.has_value()) return;
    const auto key = P256Key::from_pkcs8_pem(*key_pem);
    REQUIRE(key.has_value());
    const auto profile = kms::keys::root_ca_profile(key->public_point());
    const auto ours =
        issue_certificate(profile, {encode_name(profile.subject), *key}, made_at(*theirs));
    REQUIRE(ours.has_value());
    check_equal_but_signature(*ours, *theirs);
}

TEST_CASE("every kind of issued certificate equals the original's but for the signature") {
    const boost::json::value vectors = test_support::kms_vectors("certificates.json");
    int compared = 0;
    for (const char* version : {"version_E", "version_N"})
        for (const auto& [name, chain] : vectors.at(version).as_object())
            for (const boost::json::value& decoded : chain.as_array()) {
                const std::string theirs = text_at(decoded, "pem_text");
                INFO(version << " " << std::string(name));
                CertificateProfile profile = described_profile(decoded);
                const auto constraints = extension_value(theirs, "2.5.29.19");
                if (constraints.has_value()) profile.ca_path_length = constraints->back();
                if (const auto usage = extension_value(theirs, "2.5.29.37"); usage.has_value()) {
                    profile.server_auth =
                        to_hex(*usage).find("2b06010505070301") != std::string::npos;
                    profile.client_auth =
                        to_hex(*usage).find("2b06010505070302") != std::string::npos;
                }
                const auto alt_names = extension_value(theirs, "2.5.29.17");
                // Versions N and E write IP literals in two ways, and we write both: checked in a
                // case of its own.
                const bool has_ip = alt_names.has_value() &&
                                    (to_hex(*alt_names).find("8704") != std::string::npos ||
                                     std::string(name).find("ip-san") != std::string::npos);
                if (has_ip) continue;
                if (alt_names.has_value()) profile.alt_names = dns_names(*alt_names);
                profile.app_id = custom_payload(theirs, 3);
                profile.app_info = custom_payload(theirs, 9);
                if (const auto usage = custom_payload(theirs, 4); usage.has_value())
                    profile.special_usage = std::string(runtime::as_text(*usage));
                profile.attestation.tdx_quote = custom_payload(theirs, 1);
                profile.attestation.tdx_event_log = custom_payload(theirs, 2);
                profile.attestation.attestation = custom_payload(theirs, 8);

                Subject issuer;
                for (const boost::json::value& part : decoded.at("issuer").as_array())
                    if (text_at(part, "oid") == "2.5.4.10")
                        issuer.organisation = text_at(part, "value");
                    else
                        issuer.common_name = text_at(part, "value");
                const auto key = P256Key::from_scalar(test_support::secret(Bytes(32, 1)));
                REQUIRE(key.has_value());
                const auto ours =
                    issue_certificate(profile, {encode_name(issuer), *key}, made_at(theirs));
                REQUIRE(ours.has_value());
                check_equal_but_signature(*ours, theirs);
                ++compared;
            }
    CHECK(compared >= 25);
}

TEST_CASE("an IP literal is written as a DNS name and as an address") {
    struct Row {
        std::string name, names;
    };
    const auto row = GENERATE(values<Row>({
        {"10.0.0.1",
         "3010"
         "820831302e302e302e31"
         "87040a000001"},
        {"::1",
         "3017"
         "82033a3a31"
         "871000000000000000000000000000000001"},
        {"10.0.0.256",
         "300c"
         "820a31302e302e302e323536"},
        {"kms.example",
         "300d"
         "820b6b6d732e6578616d706c65"},
    }));
    INFO(row.name);
    CertificateProfile profile = leaf();
    profile.alt_names = {row.name};
    const auto value = extension_value(issue(profile), "2.5.29.17");
    REQUIRE(value.has_value());
    CHECK(to_hex(*value) == row.names);
}

TEST_CASE("a name that is not ASCII is refused") {
    CertificateProfile profile = leaf();
    profile.alt_names = {"ok", "k\xc3\xb6nig"};
    const auto key = P256Key::generate();
    REQUIRE(key.has_value());
    const auto pem = issue_certificate(profile, {encode_name(profile.subject), *key}, kNow);
    REQUIRE_FALSE(pem.has_value());
    CHECK(pem.error().code == ErrorCode::invalid_argument);
    CHECK(pem.error().context == "Invalid IA5String: 'k\xc3\xb6nig'");
}

TEST_CASE("dates are UTCTime up to 2049 and GeneralizedTime from 2050") {
    using std::chrono::sys_days;
    using std::chrono::year;
    struct Row {
        sys_seconds date;
        std::string encoded;
    };
    const auto row = GENERATE(values<Row>({
        {sys_days(year{1950} / 1 / 1), "170d3530303130313030303030305a"},
        {sys_days(year{2049} / 12 / 31) + 23h + 59min + 59s, "170d3439313233313233353935395a"},
        {sys_days(year{2050} / 1 / 1), "180f32303530303130313030303030305a"},
        {sys_days(year{9999} / 12 / 31) + 23h + 59min + 59s, "180f39393939313233313233353935395a"},
    }));
    INFO(row.encoded);
    CertificateProfile profile = leaf();
    profile.not_after = row.date;
    const std::string pem = issue(profile);
    CHECK(to_hex(signed_part(pem).body).find("170d3735303130313030303030305a" + row.encoded) !=
          std::string::npos);
    const auto facts = read_certificate(pem);
    REQUIRE(facts.has_value());
    CHECK(facts->not_after == row.date);
}

TEST_CASE("dates outside of what a certificate can say are refused") {
    const auto date = GENERATE(values<sys_seconds>({
        std::chrono::sys_days(std::chrono::year{1950} / 1 / 1) - 1s,
        std::chrono::sys_days(std::chrono::year{10000} / 1 / 1),
    }));
    CertificateProfile profile = leaf();
    SECTION("start") {
        profile.not_before = date;
    }
    SECTION("end") {
        profile.not_after = date;
    }
    const auto key = P256Key::generate();
    REQUIRE(key.has_value());
    const auto pem = issue_certificate(profile, {encode_name(profile.subject), *key}, kNow);
    REQUIRE_FALSE(pem.has_value());
    CHECK(pem.error().code == ErrorCode::invalid_argument);
}

TEST_CASE("a certificate is valid for 3650 days from now, in whole seconds") {
    const auto facts = read_certificate(issue(leaf(), kNow + 999ms));
    REQUIRE(facts.has_value());
    CHECK(facts->not_after == std::chrono::floor<std::chrono::seconds>(kNow) + kValidity);
    CHECK(facts->public_key == leaf().public_key);
    CHECK(facts->subject_name == encode_name({{}, "leaf"}));
}

TEST_CASE("serial numbers follow the key, and lose leading zero bytes") {
    const boost::json::value vectors = test_support::kms_vectors("kdf.json");
    for (const char* name : {"real_kms_vector", "synthetic_vector"}) {
        const boost::json::value& row = vectors.at(name);
        CertificateProfile profile = leaf();
        std::ranges::copy(hex_at(row, "app_ca_public_point"), profile.public_key.begin());
        profile.ca_path_length = 0;
        const std::string body = to_hex(signed_part(issue(profile)).body);
        CHECK(body.find("0214" + text_at(row, "app_ca_cert_serial")) != std::string::npos);
        CHECK(body.find("0414" + text_at(row, "app_ca_ski")) != std::string::npos);
    }
    // One key in 128 has a number that begins with a zero byte: look until one is found.
    for (std::uint8_t i = 1; i != 0; ++i) {
        Bytes scalar(32, 0);
        scalar[30] = 1;
        scalar[31] = i;
        const auto key = P256Key::from_scalar(test_support::secret(scalar));
        REQUIRE(key.has_value());
        const Hash hash = sha256({key->public_point()});
        if ((hash[0] & 0x7f) != 0) continue;
        CertificateProfile profile = leaf();
        profile.public_key = key->public_point();
        const std::string body = to_hex(signed_part(issue(profile)).body);
        CHECK(body.find("02" + std::string((hash[1] & 0x80) != 0 ? "1400" : "13") +
                        to_hex(ByteView(hash).subspan(1, 19))) != std::string::npos);
        return;
    }
    FAIL("no key with such a serial number among 255");
}

TEST_CASE("what is not a certificate on P-256 is refused when it is read") {
    const std::string good = issue(leaf());
    const auto der = first_pem_block(good);
    REQUIRE(der.has_value());
    const Bytes bytes(der->view().begin(), der->view().end());
    SECTION("no PEM") {
        CHECK_FALSE(read_certificate("hello").has_value());
    }
    SECTION("something behind it") {
        Bytes longer = bytes;
        longer.push_back(0);
        CHECK_FALSE(read_certificate(to_pem("CERTIFICATE", longer)).has_value());
    }
    SECTION("cut off anywhere") {
        for (std::size_t size = 1; size < bytes.size(); ++size)
            CHECK_FALSE(
                read_certificate(to_pem("CERTIFICATE", ByteView(bytes).first(size))).has_value());
    }
    SECTION("with any byte damaged, what is read is what OpenSSL reads") {
        std::size_t compared = 0;
        for (std::size_t at = 0; at < bytes.size(); ++at) {
            INFO(at);
            Bytes damaged = bytes;
            damaged[at] ^= 0x15;
            const auto facts = read_certificate(to_pem("CERTIFICATE", damaged));
            const unsigned char* cursor = damaged.data();
            const runtime::OwnedX509 theirs(
                d2i_X509(nullptr, &cursor, static_cast<long>(damaged.size())));
            if (!facts.has_value() || theirs == nullptr) continue;
            ++compared;
            unsigned char* name = nullptr;
            const int size = i2d_X509_NAME(X509_get_subject_name(theirs.get()), &name);
            CHECK(Bytes(name, name + size) == facts->subject_name);
            OPENSSL_free(name);
            std::tm end{};
            REQUIRE(ASN1_TIME_to_tm(X509_get0_notAfter(theirs.get()), &end) == 1);
            CHECK(std::chrono::system_clock::from_time_t(timegm(&end)) == facts->not_after);
        }
        CHECK(compared > bytes.size() / 4);
    }
    SECTION("any label will do") {
        CHECK(read_certificate(to_pem("ANYTHING", bytes)).has_value());
    }
}
