// A quote from header to PCK chain. Source: spec "attestation" section 1.
#include "kms/simulator/machine.hpp"

#include <algorithm>

namespace kms::simulator {
namespace {

constexpr std::size_t kReportSize = TdReport::kSize10;
constexpr std::size_t kAuthenticationSize = 32;

void append(Bytes& out, ByteView bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}
void append_u16(Bytes& out, std::size_t value) {
    out.push_back(static_cast<std::uint8_t>(value & 0xff));
    out.push_back(static_cast<std::uint8_t>(value >> 8 & 0xff));
}
void append_u32(Bytes& out, std::size_t value) {
    append_u16(out, value & 0xffff);
    append_u16(out, value >> 16);
}

Bytes header(std::uint16_t version, const Faults& faults) {
    constexpr std::uint8_t kIntel[] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                       0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    constexpr std::size_t kEcdsaP256 = 2, kUserData = 20;
    Bytes out;
    append_u16(out, version);
    append_u16(out, kEcdsaP256);
    append_u32(out, static_cast<std::uint32_t>(TeeType::tdx));
    append_u16(out, 1);  // SVNs of quoting and certification enclave, not used by these versions
    append_u16(out, 0);
    append(out, kIntel);
    if (faults.has(Fault::quote_vendor)) out.back() ^= 0xff;
    out.resize(out.size() + kUserData);
    return out;
}

Bytes td_report(const Platform& platform, const Faults& faults, const QuoteRequest& request) {
    Bytes out(kReportSize);
    const auto put = [&out](std::size_t at, ByteView bytes) {
        std::ranges::copy(bytes, out.begin() + static_cast<std::ptrdiff_t>(at));
    };
    out[0] = platform.module_svn;
    out[1] = platform.module_version;
    if (faults.has(Fault::seam_signer)) std::fill_n(out.begin() + 64, 48, std::uint8_t{0x55});
    std::uint8_t* attributes = &out[120];
    constexpr std::uint8_t kDebug = 1, kReserved = 2, kSeptVeDisable = 0x10, kPerfmon = 0x80;
    if (!faults.has(Fault::sept_ve)) attributes[3] |= kSeptVeDisable;
    if (faults.has(Fault::td_debug)) attributes[0] |= kDebug;
    if (faults.has(Fault::td_reserved_bits)) attributes[0] |= kReserved;
    if (faults.has(Fault::perfmon)) attributes[7] |= kPerfmon;
    put(136, request.measurements.mr_td);
    for (std::size_t i = 0; i < request.measurements.rtmr.size(); ++i)
        put(328 + 48 * i, request.measurements.rtmr[i]);
    put(520, request.report_data);
    if (request.version == 5) {
        out.resize(TdReport::kSize15);
        if (faults.has(Fault::service_td)) out.back() = 1;
    }
    return out;
}

Bytes qe_report(const Platform& platform, const Faults& faults, ByteView attestation_key,
                ByteView authentication) {
    Bytes out(EnclaveReport::kSize);
    std::fill_n(out.begin() + 128, 32, std::uint8_t{0x44});
    if (faults.has(Fault::qe_mr_signer)) out[128] = 0;
    if (faults.has(Fault::qe_debug)) out[48] |= 2;
    out[256] = 1;
    out[258] = static_cast<std::uint8_t>(platform.qe_isv_svn & 0xff);
    out[259] = static_cast<std::uint8_t>(platform.qe_isv_svn >> 8);
    crypto::Hash hash = crypto::sha256({attestation_key, authentication});
    if (faults.has(Fault::qe_report_hash)) hash[0] ^= 0xff;
    std::ranges::copy(hash, out.begin() + 320);
    return out;
}

Bytes signed_by(const crypto::P256Key& key, ByteView message, bool broken) {
    RawSignature signature = sign(key, message);
    if (broken) signature.bytes[40] ^= 0xff;
    return {signature.bytes.begin(), signature.bytes.end()};
}

}  // namespace

Bytes make_quote(const Seed& seed, const Platform& platform, const Faults& faults,
                 const QuoteRequest& asked) {
    const Seed used = faults.has(Fault::foreign_pki) ? foreign_seed(seed) : seed;
    const MockPki pki = make_pki(used, platform, faults);
    QuoteRequest request = asked;
    if (faults.has(Fault::service_td)) request.version = 5;

    Bytes quote = header(request.version, faults);
    const Bytes report = td_report(platform, faults, request);
    if (request.version == 5) {
        append_u16(quote, 3);  // a TD report 1.5 follows
        append_u32(quote, report.size());
    }
    append(quote, report);
    const auto attestation_key = seed_key(used, "tdx-attestation");
    const Bytes quote_signature =
        signed_by(attestation_key, quote, faults.has(Fault::quote_signature));

    const ByteView point = ByteView(attestation_key.public_point()).subspan(1);
    const Bytes authentication(kAuthenticationSize);
    const Bytes qe = qe_report(platform, faults, point, authentication);
    std::string chain = pki.pck_chain();
    Bytes certification = qe;
    append(certification, signed_by(pki.pck_key, qe, faults.has(Fault::qe_report_signature)));
    append_u16(certification, authentication.size());
    append(certification, authentication);
    append_u16(certification, kPckChainPem);
    append_u32(certification, chain.size());
    append(certification, runtime::as_bytes(chain));

    constexpr std::size_t kQeCertification = 6;
    Bytes section = quote_signature;
    append(section, point);
    append_u16(section, kQeCertification);
    append_u32(section, certification.size());
    append(section, certification);
    append_u32(quote, section.size());
    append(quote, section);
    if (faults.has(Fault::quote_truncated)) quote.resize(quote.size() - 100);
    return quote;
}

}  // namespace kms::simulator
