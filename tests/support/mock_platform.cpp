#include "tests/support/mock_platform.hpp"

#include "kms/crypto/der.hpp"
#include "kms/evidence/base64.hpp"
#include "kms/verify/ecdsa.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace test_support {
namespace {

namespace der = kms::crypto::der;
using runtime::as_bytes;

constexpr std::uint8_t kEcdsaSha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
constexpr std::uint8_t kCommonName[] = {0x55, 0x04, 0x03};
constexpr std::uint8_t kTrue[] = {0xff};
constexpr std::uint8_t kVersion3[] = {0x02, 0x01, 0x02};
constexpr std::uint8_t kVersion2[] = {0x02, 0x01, 0x01};
constexpr std::uint8_t kSgx[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
constexpr std::uint8_t kEnumerated = 0x0a;

Bytes oid(ByteView content) {
    return der::element(der::kOid, {content});
}

Bytes algorithm() {
    return der::element(der::kSequence, {oid(kEcdsaSha256)});
}

Bytes name(const std::string& common_name) {
    const Bytes attribute =
        der::element(der::kSequence,
                     {oid(kCommonName), der::element(der::kUtf8String, {as_bytes(common_name)})});
    return der::element(der::kSequence, {der::element(der::kSet, {attribute})});
}

Bytes time(UnixSeconds at) {
    using namespace std::chrono;
    const sys_seconds moment{seconds(at)};
    const auto day = floor<days>(moment);
    const year_month_day date(day);
    const hh_mm_ss clock(moment - day);
    char text[32];
    std::snprintf(text, sizeof text, "%04d%02u%02u%02d%02d%02dZ", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()));
    return der::element(der::kGeneralizedTime, {as_bytes(std::string_view(text))});
}

Bytes id_ce(std::uint8_t n) {
    const std::uint8_t content[] = {0x55, 0x1d, n};
    return oid(content);
}

Bytes extension(const Bytes& id, bool critical, const Bytes& value) {
    const Bytes flag = critical ? der::element(der::kBoolean, {kTrue}) : Bytes();
    return der::element(der::kSequence, {id, flag, der::element(der::kOctetString, {value})});
}

Bytes sign_der(const P256Key& key, ByteView message) {
    auto signature = key.sign(message);
    if (!signature) throw std::runtime_error(signature.error().context);
    return *signature;
}

Bytes sign_raw(const P256Key& key, ByteView message) {
    const auto raw = kms::raw_signature_of_der(sign_der(key, message));
    if (!raw) throw std::runtime_error("a signature that is none");
    return {raw->bytes.begin(), raw->bytes.end()};
}

Bytes signed_element(const Bytes& message, const P256Key& key) {
    constexpr std::uint8_t kNoUnusedBits[] = {0};
    return der::element(der::kSequence,
                        {message, algorithm(),
                         der::element(der::kBitString, {kNoUnusedBits, sign_der(key, message)})});
}

Bytes certificate(const CertificateSpec& spec, const P256Key& key, const P256Key& issuer) {
    Bytes extensions;
    const auto add = [&extensions](const Bytes& one) {
        extensions.insert(extensions.end(), one.begin(), one.end());
    };
    const Bytes is_ca = spec.is_ca ? der::element(der::kBoolean, {kTrue}) : Bytes();
    Bytes length;
    if (spec.path_length) length = der::element(der::kInteger, {ByteView(&*spec.path_length, 1)});
    add(extension(id_ce(19), true, der::element(der::kSequence, {is_ca, length})));
    if (spec.key_usage) {
        const std::uint8_t bits[] = {0, *spec.key_usage};
        add(extension(id_ce(15), true, der::element(der::kBitString, {bits})));
    }
    if (spec.extended_key_usage)
        add(extension(id_ce(37), false,
                      der::element(der::kSequence, {oid(*spec.extended_key_usage)})));
    if (!spec.sgx_extension.empty()) add(extension(oid(kSgx), false, spec.sgx_extension));
    add(spec.extra_extension);
    const Bytes version = der::element(der::context_constructed(0), {kVersion3});
    const Bytes serial = der::element(der::kInteger, {ByteView(&spec.serial, 1)});
    const Bytes validity =
        der::element(der::kSequence, {time(spec.not_before), time(spec.not_after)});
    const Bytes all =
        der::element(der::context_constructed(3), {der::element(der::kSequence, {extensions})});
    const auto spki = kms::crypto::spki_der(key.public_point());
    return signed_element(
        der::element(der::kSequence, {version, serial, algorithm(), name(spec.issuer), validity,
                                      name(spec.subject), spki, all}),
        issuer);
}

Bytes revocation_list(const ListSpec& spec, const P256Key& issuer) {
    Bytes entries;
    for (const std::uint8_t serial : spec.revoked) {
        const Bytes entry = der::element(
            der::kSequence,
            {der::element(der::kInteger, {ByteView(&serial, 1)}), time(spec.this_update)});
        entries.insert(entries.end(), entry.begin(), entry.end());
    }
    const Bytes list = entries.empty() ? Bytes() : der::element(der::kSequence, {entries});
    constexpr std::uint8_t kNumber[] = {0x02, 0x01, 0x01};
    const Bytes number = extension(id_ce(20), false, Bytes(std::begin(kNumber), std::end(kNumber)));
    const Bytes extensions =
        der::element(der::context_constructed(0),
                     {der::element(der::kSequence, {number, spec.extra_extension})});
    return signed_element(der::element(der::kSequence, {kVersion2, algorithm(), name(spec.issuer),
                                                        time(spec.this_update),
                                                        time(spec.next_update), list, extensions}),
                          issuer);
}

Bytes sgx_member(std::uint8_t n, std::uint8_t identifier, ByteView content) {
    Bytes id(std::begin(kSgx), std::end(kSgx));
    id.push_back(n);
    return der::element(der::kSequence, {oid(id), der::element(identifier, {content})});
}

Bytes sgx_tcb_member(std::uint8_t n, std::uint8_t identifier, ByteView content) {
    Bytes id(std::begin(kSgx), std::end(kSgx));
    id.push_back(2);
    id.push_back(n);
    return der::element(der::kSequence, {oid(id), der::element(identifier, {content})});
}

Bytes sgx_extension() {
    const Bytes ppid(16, 0x77);
    const Bytes cpu_svn(16, 5);
    constexpr std::uint8_t kPceSvn[] = {5};
    constexpr std::uint8_t kZeros[] = {0, 0};
    constexpr std::uint8_t kFmspc[] = {0x00, 0x90, 0x6e, 0xd5, 0x00, 0x00};
    Bytes tcb = sgx_tcb_member(17, der::kInteger, kPceSvn);
    const Bytes svn = sgx_tcb_member(18, der::kOctetString, cpu_svn);
    tcb.insert(tcb.end(), svn.begin(), svn.end());
    return der::element(
        der::kSequence,
        {sgx_member(1, der::kOctetString, ppid), sgx_member(2, der::kSequence, tcb),
         sgx_member(3, der::kOctetString, kZeros), sgx_member(4, der::kOctetString, kFmspc),
         sgx_member(5, kEnumerated, ByteView(kZeros).first(1))});
}

std::string pem(std::initializer_list<Bytes> certificates) {
    std::string text;
    for (const Bytes& one : certificates)
        text +=
            "-----BEGIN CERTIFICATE-----\n" + kms::to_base64(one) + "\n-----END CERTIFICATE-----\n";
    return text;
}

std::string components(const std::vector<std::uint8_t>& svns) {
    std::string text;
    for (const std::uint8_t svn : svns)
        text += (text.empty() ? "" : ",") + ("{\"svn\":" + std::to_string(svn)) + "}";
    return "[" + text + "]";
}

std::string tcb_info(const MockSpec& spec) {
    return "{\"id\":\"" + spec.tcb_info_id +
           "\",\"version\":" + std::to_string(spec.tcb_info_version) + ",\"issueDate\":\"" +
           spec.tcb_info_issued + "\",\"nextUpdate\":\"" + spec.tcb_info_next + "\",\"fmspc\":\"" +
           spec.tcb_info_fmspc +
           "\",\"pceId\":\"0000\",\"tcbType\":0,\"tcbEvaluationDataNumber\":1," +
           (spec.module ? "\"tdxModule\":" + *spec.module + "," : "") +
           (spec.module_identities.empty()
                ? ""
                : "\"tdxModuleIdentities\":" + spec.module_identities + ",") +
           "\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" + components(spec.sgx_components) +
           ",\"pcesvn\":" + std::to_string(spec.level_pce_svn) +
           ",\"tdxtcbcomponents\":" + components(spec.tdx_components) +
           "},\"tcbDate\":\"2024-01-01T00:00:00Z\",\"tcbStatus\":\"" + spec.level_status + "\"}]}";
}

std::string qe_identity(const MockSpec& spec) {
    std::string levels;
    for (const SvnLevelSpec& level : spec.qe_levels)
        levels += (levels.empty() ? "" : ",") +
                  ("{\"tcb\":{\"isvsvn\":" + std::to_string(level.isv_svn)) +
                  "},\"tcbDate\":\"2024-01-01T00:00:00Z\",\"tcbStatus\":\"" + level.status + "\"}";
    return "{\"id\":\"" + spec.qe_id + "\",\"version\":" + std::to_string(spec.qe_version) +
           ",\"issueDate\":\"" + spec.qe_issued + "\",\"nextUpdate\":\"" + spec.qe_next +
           "\",\"tcbEvaluationDataNumber\":1,\"miscselect\":\"00000000\",\"miscselectMask\":"
           "\"FFFFFFFF\","
           "\"attributes\":\"11000000000000000000000000000000\",\"attributesMask\":"
           "\"FBFFFFFFFFFFFFFF0000000000000000\",\"mrsigner\":\"" +
           std::string(64, '4') + "\",\"isvprodid\":" + std::to_string(spec.qe_prod_id) +
           ",\"tcbLevels\":[" + levels + "]}";
}

void append(Bytes& out, ByteView bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}
void append_number(Bytes& out, std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
        out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

Bytes quote(const MockSpec& spec, const std::string& pck_chain) {
    Bytes front;
    append_number(front, spec.version, 2);
    append_number(front, spec.key_type, 2);
    append_number(front, spec.tee_type, 4);
    append_number(front, 0, 4);
    append(front, spec.vendor);
    front.resize(48);
    if (spec.version == 5) {
        append_number(front, spec.body_type, 2);
        append_number(front, spec.body.size(), 4);
    }
    append(front, spec.body);

    const ByteView key = ByteView(spec.attestation_key.public_point()).subspan(1);
    Bytes report = spec.qe_report;
    if (spec.bind_attestation_key) {
        const auto bound = kms::crypto::sha256({key, spec.qe_authentication});
        std::ranges::copy(bound, report.begin() + kEnclaveReportData);
    }
    Bytes qe = report;
    append(qe, sign_raw(spec.qe_report_signer != nullptr ? *spec.qe_report_signer : spec.pck_key,
                        report));
    append_number(qe, spec.qe_authentication.size(), 2);
    append(qe, spec.qe_authentication);
    append_number(qe, spec.certification_type, 2);
    append_number(qe, pck_chain.size(), 4);
    append(qe, as_bytes(pck_chain));

    Bytes section =
        sign_raw(spec.quote_signer != nullptr ? *spec.quote_signer : spec.attestation_key, front);
    append(section, key);
    if (spec.version != 3) {
        append_number(section, 6, 2);
        append_number(section, qe.size(), 4);
    }
    append(section, qe);
    append_number(front, section.size(), 4);
    append(front, section);
    return front;
}

P256Key new_key() {
    auto key = P256Key::generate();
    if (!key) throw std::runtime_error(key.error().context);
    return std::move(*key);
}

}  // namespace

MockSpec::MockSpec()
    : root_key(new_key()),
      pck_ca_key(new_key()),
      pck_key(new_key()),
      signer_key(new_key()),
      attestation_key(new_key()),
      stranger_key(new_key()),
      upper_key(new_key()),
      sgx_components(16, 5),
      tdx_components(16, 3),
      module("{\"mrsigner\":\"" + std::string(96, '0') +
             "\",\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFF7F\"}"),
      vendor({0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f,
              0x06, 0x07}),
      body(584, 0),
      qe_report(384, 0),
      qe_authentication(32, 0x0a) {
    root = {.subject = "Mock Root",
            .issuer = "Mock Root",
            .serial = 1,
            .is_ca = true,
            .path_length = {},
            .key_usage = 0x06,
            .extended_key_usage = {},
            .sgx_extension = {},
            .extra_extension = {}};
    pck_ca = {.subject = "Mock PCK Platform CA",
              .issuer = "Mock Root",
              .serial = 2,
              .is_ca = true,
              .path_length = 0,
              .key_usage = 0x06,
              .extended_key_usage = {},
              .sgx_extension = {},
              .extra_extension = {}};
    pck = {.subject = "Mock PCK",
           .issuer = "Mock PCK Platform CA",
           .serial = 3,
           .path_length = {},
           .key_usage = 0x80,
           .extended_key_usage = {},
           .sgx_extension = sgx_extension(),
           .extra_extension = {}};
    signer = {.subject = "Mock TCB Signing",
              .issuer = "Mock Root",
              .serial = 4,
              .path_length = {},
              .key_usage = 0x80,
              .extended_key_usage = {},
              .sgx_extension = {},
              .extra_extension = {}};
    root_list.issuer = "Mock Root";
    pck_list.issuer = "Mock PCK Platform CA";
    std::fill_n(body.begin() + kTdTcbSvn, 16, std::uint8_t{3});
    body[kTdTcbSvn + 1] = 0;  // no module version: the plain module entry applies
    tdx_components[1] = 0;
    body[kTdAttributes + 3] = 0x10;
    qe_report[kEnclaveAttributes] = 0x11;
    std::fill_n(qe_report.begin() + kEnclaveMrSigner, 32, std::uint8_t{0x44});
    qe_report[kEnclaveProdId] = 2;
    qe_report[kEnclaveIsvSvn] = 1;
}

void make_sgx(MockSpec& spec) {
    spec.version = 3;
    spec.tee_type = 0;
    spec.body.assign(384, 0);
    spec.tcb_info_id = "SGX";
    spec.qe_id = "QE";
}

kms::TrustAnchor MockEvidence::anchor() const {
    auto created = kms::TrustAnchor::create(root);
    if (!created) throw std::runtime_error(created.error().context);
    return *created;
}

MockEvidence make_mock(const MockSpec& spec) {
    const auto signer_or = [](const P256Key* set, const P256Key& otherwise) -> const P256Key& {
        return set != nullptr ? *set : otherwise;
    };
    const Bytes root = certificate(spec.root, spec.root_key, spec.root_key);
    const Bytes upper = spec.upper ? certificate(*spec.upper, spec.upper_key, spec.root_key) : root;
    const Bytes pck_ca =
        certificate(spec.pck_ca, spec.pck_ca_key, spec.upper ? spec.upper_key : spec.root_key);
    const Bytes pck =
        certificate(spec.pck, spec.pck_key, signer_or(spec.pck_signer, spec.pck_ca_key));
    const Bytes signer = certificate(spec.signer, spec.signer_key, spec.root_key);
    MockEvidence made;
    made.root = root;
    kms::Collateral& collateral = made.collateral;
    collateral.pck_crl_issuer_chain = pem({pck_ca, root});
    collateral.root_ca_crl =
        revocation_list(spec.root_list, signer_or(spec.root_list_signer, spec.root_key));
    collateral.pck_crl =
        revocation_list(spec.pck_list, signer_or(spec.pck_list_signer, spec.pck_ca_key));
    collateral.tcb_info_issuer_chain = pem({signer, root});
    collateral.tcb_info = tcb_info(spec);
    collateral.tcb_info_signature =
        sign_raw(signer_or(spec.tcb_info_signer, spec.signer_key), as_bytes(collateral.tcb_info));
    collateral.qe_identity_issuer_chain = collateral.tcb_info_issuer_chain;
    collateral.qe_identity = qe_identity(spec);
    collateral.qe_identity_signature = sign_raw(signer_or(spec.qe_identity_signer, spec.signer_key),
                                                as_bytes(collateral.qe_identity));
    made.quote = quote(spec, pem({pck, pck_ca, upper}));
    return made;
}

}  // namespace test_support
