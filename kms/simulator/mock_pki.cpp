#include "kms/simulator/mock_pki.hpp"

#include "kms/crypto/certificate.hpp"
#include "kms/crypto/der.hpp"
#include "kms/crypto/pem.hpp"

namespace kms::simulator {
namespace {

namespace der = crypto::der;

constexpr std::string_view kRootName = "Mock Intel SGX Root CA";
// "Platform" tells which of Intel's two lists is asked for.
constexpr std::string_view kPckCaName = "Mock Intel SGX PCK Platform CA";
constexpr std::string_view kPckName = "Mock Intel SGX PCK Certificate";
constexpr std::string_view kTcbSignerName = "Mock Intel SGX TCB Signing";
constexpr std::string_view kQeSignerName = "Mock Intel SGX QE Identity Signing";
constexpr std::string_view kDnsName = "mock.dstack.invalid";

// The root's is that of upstream's PKI; the others differ, so that each can be revoked alone.
enum Serial : std::uint8_t { kRootSerial = 42, kPckCaSerial, kPckSerial, kTcbSerial, kQeSerial };

constexpr std::string_view kFrom = "200101000000Z";     // UTCTime
constexpr std::string_view kUntil = "21000101000000Z";  // GeneralizedTime
constexpr std::string_view kExpired = "210101000000Z";  // UTCTime: 2021

constexpr std::uint8_t kEcdsaWithSha256[] = {0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                             0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
constexpr std::uint8_t kTrue[] = {0xff};

Bytes text_element(std::uint8_t identifier, std::string_view text) {
    return der::element(identifier, {runtime::as_bytes(text)});
}
Bytes name_of(std::string_view common_name) {
    return crypto::encode_name({std::nullopt, std::string(common_name)});
}
Bytes small_integer(std::uint8_t value) {
    return der::unsigned_integer(ByteView(&value, 1));
}
Bytes time(std::string_view text) {
    return text_element(text.size() == kFrom.size() ? der::kUtcTime : der::kGeneralizedTime, text);
}
Bytes octets(ByteView content) {
    return der::element(der::kOctetString, {content});
}

/// An extension of the arc 2.5.29, by its last number.
Bytes extension(std::uint8_t number, bool critical, ByteView value) {
    const std::uint8_t oid[] = {0x55, 0x1d, number};
    const Bytes critical_mark = critical ? der::element(der::kBoolean, {kTrue}) : Bytes();
    return der::element(der::kSequence,
                        {der::element(der::kOid, {oid}), critical_mark, octets(value)});
}

Bytes key_identifier(const crypto::P256Point& point) {
    const crypto::Hash hash = crypto::sha256({crypto::spki_der(point)});
    return {hash.begin(), hash.begin() + 20};
}

Bytes alternative_name() {
    return extension(
        17, false,
        der::element(der::kSequence, {text_element(der::context_primitive(2), kDnsName)}));
}

Bytes ca_extensions(const crypto::P256Point& key) {
    constexpr std::uint8_t kUsage[] = {0x03, 0x03, 0x07, 0x86, 0x00};
    const Bytes constraints = der::element(der::kSequence, {der::element(der::kBoolean, {kTrue})});
    return der::element(der::kSequence, {alternative_name(), extension(15, true, kUsage),
                                         extension(14, false, octets(key_identifier(key))),
                                         extension(19, true, constraints)});
}

Bytes leaf_extensions(ByteView sgx_extension) {
    constexpr std::uint8_t kUsage[] = {0x03, 0x03, 0x07, 0x80, 0x00};
    constexpr std::uint8_t kServerAuth[] = {0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06,
                                            0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
    return der::element(der::kSequence, {alternative_name(), extension(15, true, kUsage),
                                         extension(37, false, kServerAuth), sgx_extension});
}

/// A member of the SGX extension: OID 1.2.840.113741.1.13.1 with `suffix`, and a value.
Bytes sgx_member(std::initializer_list<std::uint8_t> suffix, ByteView value) {
    const ByteView arc = sgx_extension_oid();
    Bytes oid(arc.begin(), arc.end());
    oid.insert(oid.end(), suffix);
    return der::element(der::kSequence, {der::element(der::kOid, {oid}), value});
}

Bytes sgx_extension(const Platform& platform) {
    constexpr std::uint8_t kEnumerated = 0x0a;
    constexpr std::uint8_t kStandard[] = {0};
    constexpr std::uint8_t kPceId[] = {0, 0};
    CpuSvn cpu_svn{};
    cpu_svn.fill(platform.component_svn);
    const std::uint8_t pce_svn[] = {static_cast<std::uint8_t>(platform.pce_svn >> 8),
                                    static_cast<std::uint8_t>(platform.pce_svn & 0xff)};
    const Bytes tcb =
        der::element(der::kSequence, {sgx_member({2, 17}, der::unsigned_integer(pce_svn)),
                                      sgx_member({2, 18}, octets(cpu_svn))});
    const Bytes value = der::element(
        der::kSequence,
        {sgx_member({1}, octets(platform.ppid)), sgx_member({3}, octets(kPceId)),
         sgx_member({4}, octets(platform.fmspc)),
         sgx_member({5}, der::element(kEnumerated, {kStandard})), sgx_member({2}, tcb)});
    return der::element(der::kSequence,
                        {der::element(der::kOid, {sgx_extension_oid()}), octets(value)});
}

/// What is signed, its algorithm, its signature.
Bytes signed_object(const Bytes& content, const crypto::P256Key& issuer) {
    const Bytes signature = signature_der(sign(issuer, content));
    constexpr std::uint8_t kNoUnusedBits[] = {0};
    return der::element(
        der::kSequence,
        {content, kEcdsaWithSha256, der::element(der::kBitString, {kNoUnusedBits, signature})});
}

struct CertificateText {
    Serial serial;
    std::string_view subject, issuer;
    std::string_view until = kUntil;
};

Bytes certificate(const CertificateText& text, const crypto::P256Point& key,
                  const Bytes& extensions, const crypto::P256Key& issuer_key) {
    constexpr std::uint8_t kVersion3[] = {0x02, 0x01, 0x02};
    return signed_object(
        der::element(
            der::kSequence,
            {der::element(der::context_constructed(0), {kVersion3}), small_integer(text.serial),
             kEcdsaWithSha256, name_of(text.issuer),
             der::element(der::kSequence, {time(kFrom), time(text.until)}), name_of(text.subject),
             crypto::spki_der(key), der::element(der::context_constructed(3), {extensions})}),
        issuer_key);
}

Bytes revocation_list(std::string_view issuer, const crypto::P256Key& key, std::string_view until,
                      std::span<const Serial> revoked) {
    constexpr std::uint8_t kVersion2[] = {0x02, 0x01, 0x01};
    Bytes entries;
    for (const Serial serial : revoked) {
        const Bytes entry = der::element(der::kSequence, {small_integer(serial), time(kFrom)});
        entries.insert(entries.end(), entry.begin(), entry.end());
    }
    const Bytes list = entries.empty() ? Bytes() : der::element(der::kSequence, {entries});
    const Bytes authority = der::element(
        der::kSequence,
        {der::element(der::context_primitive(0), {key_identifier(key.public_point())})});
    const Bytes extensions = der::element(
        der::kSequence, {extension(35, false, authority), extension(20, false, small_integer(1))});
    return signed_object(
        der::element(der::kSequence,
                     {kVersion2, kEcdsaWithSha256, name_of(issuer), time(kFrom), time(until), list,
                      der::element(der::context_constructed(0), {extensions})}),
        key);
}

std::string pem(std::initializer_list<ByteView> certificates) {
    std::string text;
    for (const ByteView one : certificates) text += crypto::to_pem("CERTIFICATE", one);
    return text;
}

}  // namespace

MockPki make_pki(const Seed& seed, const Platform& platform, const Faults& faults) {
    MockPki pki{.root_key = seed_key(seed, "tdx-root"),
                .pck_ca_key = seed_key(seed, "tdx-pck-ca"),
                .pck_key = seed_key(seed, "tdx-pck"),
                .tcb_key = seed_key(seed, "tdx-tcb"),
                .qe_key = seed_key(seed, "tdx-qe"),
                .root = {},
                .pck_ca = {},
                .pck = {},
                .tcb_signer = {},
                .qe_signer = {}};
    const auto until = [&](Fault expired) { return faults.has(expired) ? kExpired : kUntil; };
    const crypto::P256Point& root = pki.root_key.public_point();
    pki.root =
        certificate({kRootSerial, kRootName, kRootName}, root, ca_extensions(root), pki.root_key);
    const crypto::P256Point& ca = pki.pck_ca_key.public_point();
    pki.pck_ca = certificate({kPckCaSerial, kPckCaName, kRootName, until(Fault::pck_ca_expired)},
                             ca, ca_extensions(ca), pki.root_key);
    const Bytes extension =
        faults.has(Fault::pck_extension_missing) ? Bytes() : sgx_extension(platform);
    pki.pck = certificate({kPckSerial, kPckName, kPckCaName, until(Fault::pck_expired)},
                          pki.pck_key.public_point(), leaf_extensions(extension), pki.pck_ca_key);
    pki.tcb_signer = certificate({kTcbSerial, kTcbSignerName, kRootName},
                                 pki.tcb_key.public_point(), leaf_extensions({}), pki.root_key);
    pki.qe_signer = certificate({kQeSerial, kQeSignerName, kRootName}, pki.qe_key.public_point(),
                                leaf_extensions({}), pki.root_key);
    return pki;
}

Seed foreign_seed(const Seed& seed) {
    return crypto::sha256({runtime::as_bytes("a PKI that nobody trusts"), seed});
}

std::string MockPki::pck_chain() const {
    return pem({pck, pck_ca, root});
}
std::string MockPki::pck_crl_issuer_chain() const {
    return pem({pck_ca, root});
}
std::string MockPki::tcb_signer_chain() const {
    return pem({tcb_signer, root});
}
std::string MockPki::qe_signer_chain() const {
    return pem({qe_signer, root});
}

Bytes root_crl(const Seed& seed, const MockPki& pki, const Faults& faults) {
    if (faults.has(Fault::root_crl_foreign))
        return revocation_list("Another Root CA", seed_key(foreign_seed(seed), "tdx-root"), kUntil,
                               {});
    std::vector<Serial> revoked;
    if (faults.has(Fault::pck_ca_revoked)) revoked.push_back(kPckCaSerial);
    if (faults.has(Fault::tcb_signer_revoked)) revoked.push_back(kTcbSerial);
    if (faults.has(Fault::qe_signer_revoked)) revoked.push_back(kQeSerial);
    return revocation_list(kRootName, pki.root_key,
                           faults.has(Fault::root_crl_expired) ? kExpired : kUntil, revoked);
}

Bytes pck_crl(const MockPki& pki, const Faults& faults) {
    constexpr Serial kRevoked[] = {kPckSerial};
    return revocation_list(
        kPckCaName, pki.pck_ca_key, faults.has(Fault::pck_crl_expired) ? kExpired : kUntil,
        std::span(kRevoked).first(faults.has(Fault::pck_revoked) ? std::size_t{1} : 0));
}

}  // namespace kms::simulator
