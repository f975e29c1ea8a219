#include "kms/verify/body_policy.hpp"

#include "kms/verify/rules.hpp"

#include <algorithm>

namespace kms {
namespace {

// Bits of TDATTRIBUTES.
constexpr std::uint64_t bits(unsigned first, unsigned last) {
    std::uint64_t mask = 0;
    for (unsigned bit = first; bit <= last; ++bit) mask |= std::uint64_t{1} << bit;
    return mask;
}
constexpr std::uint64_t kDebug = bits(0, 0);
constexpr std::uint64_t kTud = bits(1, 7);
constexpr std::uint64_t kReservedLow = bits(8, 27);
constexpr std::uint64_t kSeptVeDisable = bits(28, 28);
constexpr std::uint64_t kReserved29 = bits(29, 29);
/// Bit 39 is missing and bit 63 (PERFMON) is here in the field's verifier; we refuse the same
/// machines.
constexpr std::uint64_t kOther = bits(32, 38) | bits(40, 63);

std::uint64_t little_endian(FixedView<8> bytes) {
    std::uint64_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

bool is_zero(ByteView bytes) {
    return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

tl::unexpected<Refusal> refused(Stage stage, std::string_view reason) {
    return tl::unexpected(Refusal{stage, std::string(reason)});
}

}  // namespace

Verdict<void> check_attributes(const Quote& quote, const VerifyOptions& options) {
    constexpr Stage kStage = Stage::attributes;
    constexpr std::string_view kReserved = "Reserved bits in TD attributes are set";
    if (const EnclaveReport* enclave = quote.enclave_report()) {
        if (applies(Rule::enclave_debug) && enclave->debug() && !options.allow_debug)
            return refused(kStage, "Debug mode is enabled");
        return {};
    }
    const TdReport& td = *quote.td_report();
    if (applies(Rule::service_td) && td.is_version_15() && !is_zero(td.mr_service_td()) &&
        !options.allow_service_td)
        return refused(kStage, "Invalid MR service TD");
    const std::uint64_t attributes = little_endian(td.td_attributes());
    if (applies(Rule::td_tud_bits) && (attributes & kTud) != 0) return refused(kStage, kReserved);
    if (applies(Rule::td_debug) && (attributes & kDebug) != 0 && !options.allow_debug)
        return refused(kStage, "Debug mode is enabled");
    if (applies(Rule::td_reserved_low) && (attributes & kReservedLow) != 0)
        return refused(kStage, kReserved);
    if (applies(Rule::td_reserved_29) && (attributes & kReserved29) != 0)
        return refused(kStage, kReserved);
    if (applies(Rule::td_other_bits) && (attributes & kOther) != 0)
        return refused(kStage, kReserved);
    if (applies(Rule::sept_ve_disable) && (attributes & kSeptVeDisable) == 0)
        return refused(kStage, "SEPT_VE_DISABLE is not enabled");
    return {};
}

Verdict<void> check_dstack_policy(const Quote& quote) {
    constexpr Stage kStage = Stage::dstack_policy;
    constexpr std::string_view kDebugMode = "Debug mode is not allowed";
    if (const EnclaveReport* enclave = quote.enclave_report()) {
        if (applies(Rule::policy_enclave_debug) && enclave->debug())
            return refused(kStage, kDebugMode);
        return {};
    }
    const TdReport& td = *quote.td_report();
    if (applies(Rule::policy_service_td) && td.is_version_15() && !is_zero(td.mr_service_td()))
        return refused(kStage, "Invalid mr service td");
    if (applies(Rule::policy_td_debug) && (little_endian(td.td_attributes()) & kDebug) != 0)
        return refused(kStage, kDebugMode);
    if (applies(Rule::policy_mr_signer_seam) && !is_zero(td.mr_signer_seam()))
        return refused(kStage, "Invalid mr signer seam");
    return {};
}

}  // namespace kms
