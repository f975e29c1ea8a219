#include "kms/simulator/mock_collateral.hpp"

#include "kms/verify/tcb_status.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <ctime>

namespace kms::simulator {
namespace {

constexpr UnixSeconds kDay = 24 * 60 * 60;

struct Dates {
    std::string issued, next_update;
};

std::string rfc3339(UnixSeconds time) {
    const std::time_t seconds = time;
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[32];
    const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {text, size};
}

Dates dates(UnixSeconds now, bool stale, bool future) {
    if (stale) return {rfc3339(now - 40 * kDay), rfc3339(now - 10 * kDay)};
    if (future) return {rfc3339(now + 10 * kDay), rfc3339(now + 40 * kDay)};
    return {rfc3339(now - kDay), rfc3339(now + 30 * kDay)};
}

std::string quoted(std::string_view text) {
    std::string out = "\"";
    out += text;
    out += '"';
    return out;
}

std::string upper_hex(ByteView bytes) {
    std::string text = runtime::to_hex(bytes);
    std::ranges::transform(text, text.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return text;
}

std::string components(std::span<const std::uint8_t, 16> svns) {
    std::string list = "[";
    for (const std::uint8_t svn : svns)
        list += (list.size() > 1 ? ",{\"svn\":" : "{\"svn\":") + std::to_string(svn) + "}";
    return list + "]";
}

std::string status(TcbStatus status, std::string_view advisories, const Dates& dates) {
    std::string text =
        "\"tcbDate\":" + quoted(dates.issued) + ",\"tcbStatus\":" + quoted(to_string(status));
    if (!advisories.empty()) {
        text += ",\"advisoryIDs\":";
        text += advisories;
    }
    return text;
}

std::string platform_status(const Faults& faults, const Dates& dates) {
    if (faults.has(Fault::tcb_revoked)) return status(TcbStatus::revoked, "", dates);
    if (faults.has(Fault::out_of_date))
        return status(TcbStatus::out_of_date, R"(["INTEL-SA-00837","INTEL-SA-00960"])", dates);
    if (faults.has(Fault::sw_hardening_needed))
        return status(TcbStatus::sw_hardening_needed, R"(["INTEL-SA-00615"])", dates);
    return status(TcbStatus::up_to_date, "", dates);
}

std::string module_members(const Faults& faults) {
    const bool other = faults.has(Fault::module_mr_signer) || faults.has(Fault::seam_signer);
    return "\"mrsigner\":" + quoted(std::string(96, other ? '5' : '0')) +
           R"(,"attributes":"0000000000000000","attributesMask":"0000000000000000")";
}

std::string tcb_info(const Platform& platform, const Faults& faults, UnixSeconds now) {
    const Dates when =
        dates(now, faults.has(Fault::tcb_info_stale), faults.has(Fault::tcb_info_future));
    Fmspc fmspc = platform.fmspc;
    if (faults.has(Fault::fmspc_mismatch)) fmspc[5] ^= 0xff;
    std::array<std::uint8_t, 16> sgx{}, tdx{};
    sgx.fill(platform.component_svn);
    if (faults.has(Fault::tcb_below_levels)) ++sgx[0];
    tdx[0] = platform.module_svn;
    tdx[1] = platform.module_version;
    std::string text = R"({"id":"TDX","version":3,"issueDate":)" + quoted(when.issued) +
                       ",\"nextUpdate\":" + quoted(when.next_update) +
                       ",\"fmspc\":" + quoted(upper_hex(fmspc)) +
                       R"(,"pceId":"0000","tcbType":0,"tcbEvaluationDataNumber":1,"tdxModule":{)" +
                       module_members(faults) + "}";
    if (platform.module_version != 0) {
        char id[8];
        std::snprintf(id, sizeof id, "TDX_%02X", platform.module_version);
        text += ",\"tdxModuleIdentities\":[{\"id\":" + quoted(id) + "," + module_members(faults) +
                ",\"tcbLevels\":[{\"tcb\":{\"isvsvn\":" + std::to_string(platform.module_svn) +
                "}," + status(TcbStatus::up_to_date, "", when) + "}]}]";
    }
    return text + ",\"tcbLevels\":[{\"tcb\":{\"sgxtcbcomponents\":" + components(sgx) +
           ",\"pcesvn\":" + std::to_string(platform.pce_svn) +
           ",\"tdxtcbcomponents\":" + components(tdx) + "}," + platform_status(faults, when) +
           "}]}";
}

std::string qe_identity(const Platform& platform, const Faults& faults, UnixSeconds now) {
    const Dates when = dates(now, faults.has(Fault::qe_identity_stale), false);
    const bool of_sgx = faults.has(Fault::qe_identity_kind);
    const unsigned lowest = platform.qe_isv_svn + (faults.has(Fault::qe_svn) ? 1U : 0U);
    return R"({"id":)" + quoted(of_sgx ? "QE" : "TD_QE") + R"(,"version":2,"issueDate":)" +
           quoted(when.issued) + ",\"nextUpdate\":" + quoted(when.next_update) +
           R"(,"tcbEvaluationDataNumber":1,"miscselect":"00000000","miscselectMask":"00000000")" +
           R"(,"attributes":"00000000000000000000000000000000")" +
           R"(,"attributesMask":"00000000000000000000000000000000","mrsigner":)" +
           quoted(std::string(64, '4')) + R"(,"isvprodid":1,"tcbLevels":[{"tcb":{"isvsvn":)" +
           std::to_string(lowest) + "}," + status(TcbStatus::up_to_date, "", when) + "}]}";
}

Bytes signature_of(std::string_view text, const crypto::P256Key& key) {
    const RawSignature signature = sign(key, runtime::as_bytes(text));
    return {signature.bytes.begin(), signature.bytes.end()};
}

/// The same statement with another number in it: still JSON, no longer what was signed.
void tamper(std::string& text) {
    constexpr std::string_view kNumber = "\"tcbEvaluationDataNumber\":1";
    text.replace(text.find(kNumber), kNumber.size(), "\"tcbEvaluationDataNumber\":9");
}

}  // namespace

Collateral make_collateral(const Seed& seed, const Platform& platform, const Faults& faults,
                           UnixSeconds now) {
    const Seed used = faults.has(Fault::foreign_collateral) ? foreign_seed(seed) : seed;
    const MockPki pki = make_pki(used, platform, faults);
    Collateral made;
    made.pck_crl_issuer_chain = pki.pck_crl_issuer_chain();
    made.root_ca_crl = root_crl(used, pki, faults);
    made.pck_crl = pck_crl(pki, faults);
    made.tcb_info_issuer_chain = pki.tcb_signer_chain();
    made.tcb_info = tcb_info(platform, faults, now);
    if (faults.has(Fault::tcb_info_garbled)) made.tcb_info = "{\"id\":\"TDX\"}";
    made.tcb_info_signature = signature_of(made.tcb_info, pki.tcb_key);
    if (faults.has(Fault::tcb_info_tampered)) tamper(made.tcb_info);
    made.qe_identity_issuer_chain = pki.qe_signer_chain();
    made.qe_identity = qe_identity(platform, faults, now);
    made.qe_identity_signature = signature_of(made.qe_identity, pki.qe_key);
    if (faults.has(Fault::qe_identity_tampered)) tamper(made.qe_identity);
    return made;
}

}  // namespace kms::simulator
