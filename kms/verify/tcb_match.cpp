#include "kms/verify/tcb_match.hpp"

#include "kms/verify/rules.hpp"

#include <algorithm>

namespace kms {
namespace {

constexpr std::size_t kComponents = 16;

tl::unexpected<Refusal> refused(Stage stage, std::string reason) {
    return tl::unexpected(Refusal{stage, std::move(reason)});
}

std::string upper_hex(ByteView bytes) {
    std::string text = runtime::to_hex(bytes);
    std::ranges::transform(text, text.begin(),
                           [](char c) { return c >= 'a' ? static_cast<char>(c - 'a' + 'A') : c; });
    return text;
}

std::string hex8(std::uint32_t value) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) {
        const auto byte = static_cast<std::uint8_t>(value >> shift);
        text += runtime::to_hex({&byte, 1});
    }
    return text;
}

std::uint32_t little_endian(const std::array<std::uint8_t, 4>& bytes) {
    std::uint32_t value = 0;
    for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

bool reaches(FixedView<kComponents> svns, const ComponentSvns& level) {
    for (std::size_t i = 0; i < kComponents; ++i)
        if (svns[i] < level.svn[i]) return false;
    return true;
}

Verdict<const TcbLevel*> find_level(const TdReport* td, const SgxExtension& platform,
                                    const TcbInfo& info, bool is_tdx) {
    for (const TcbLevel& level : info.levels) {
        if (applies(Rule::pce_svn) && platform.pce_svn < level.pce_svn) continue;
        if (applies(Rule::sgx_component_count) && level.sgx.count != kComponents)
            return refused(Stage::platform_tcb, "SGX component count mismatch: expected 16, got " +
                                                    std::to_string(level.sgx.count));
        if (applies(Rule::sgx_components) && !reaches(platform.cpu_svn, level.sgx)) continue;
        if (!is_tdx) return &level;
        if (td == nullptr) {
            if (!applies(Rule::td_report_body)) return &level;
            return refused(Stage::platform_tcb, "Failed to get TD10 report");
        }
        if (applies(Rule::tdx_component_count) && level.tdx.count != kComponents)
            return refused(Stage::platform_tcb, "TDX component count mismatch: expected 16, got " +
                                                    std::to_string(level.tdx.count));
        if (applies(Rule::tdx_components) && !reaches(td->tee_tcb_svn(), level.tdx)) continue;
        return &level;
    }
    return refused(Stage::platform_tcb, "No matching TCB level found");
}

tl::unexpected<Refusal> module_refused(std::string reason) {
    return refused(Stage::tdx_module, "TDX module identity check: " + std::move(reason));
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    };
    return std::ranges::equal(a, b, {}, lower, lower);
}

Verdict<Bytes> module_bytes(std::string_view hex, std::size_t size, std::string_view name) {
    auto bytes = runtime::from_hex(hex);
    if (!bytes)
        return module_refused("Failed to decode " + std::string(name) + ": " +
                              bytes.error().context);
    if (bytes->size() != size)
        return module_refused(std::string(name) + " has " + std::to_string(bytes->size()) +
                              " bytes instead of " + std::to_string(size));
    return std::move(*bytes);
}

Verdict<void> check_module_fields(const TdReport& td, const TdxModule& module) {
    const auto mr_signer = module_bytes(module.mr_signer, 48, "mrsigner");
    if (!mr_signer) return tl::unexpected(mr_signer.error());
    const auto attributes = module_bytes(module.attributes, 8, "attributes");
    if (!attributes) return tl::unexpected(attributes.error());
    const auto mask = module_bytes(module.attributes_mask, 8, "attributesMask");
    if (!mask) return tl::unexpected(mask.error());
    if (applies(Rule::module_mr_signer) && !std::ranges::equal(td.mr_signer_seam(), *mr_signer))
        return module_refused("TDX module MRSIGNER mismatch: expected " + upper_hex(*mr_signer) +
                              ", got " + upper_hex(td.mr_signer_seam()));
    for (std::size_t i = 0; i < 8; ++i) {
        const auto expected = static_cast<std::uint8_t>((*attributes)[i] & (*mask)[i]);
        const auto got = static_cast<std::uint8_t>(td.seam_attributes()[i] & (*mask)[i]);
        const auto outside = static_cast<std::uint8_t>(td.seam_attributes()[i] & ~(*mask)[i]);
        if (applies(Rule::module_attributes_masked) && expected != got)
            return module_refused("TDX module SEAMATTRIBUTES mismatch at byte " +
                                  std::to_string(i) + ": expected " + upper_hex({&expected, 1}) +
                                  " (masked), got " + upper_hex({&got, 1}) + " (masked)");
        if (applies(Rule::module_attributes_outside) && outside != 0)
            return module_refused(
                "TDX module SEAMATTRIBUTES has bits outside of the mask set at byte " +
                std::to_string(i) + ": " + upper_hex({&outside, 1}));
    }
    return {};
}

/// The module's own state, or "up to date" when the module that the quote names has no levels.
Verdict<TcbState> match_module(const TdReport& td, const TcbInfo& info) {
    if (!info.module) {
        if (!applies(Rule::module_present)) return TcbState{};
        return module_refused("TDX TCB Info is missing tdxModule field");
    }
    const std::uint8_t isv_svn = td.tee_tcb_svn()[0];
    const std::uint8_t version = td.tee_tcb_svn()[1];
    const TdxModule* module = &*info.module;
    const bool has_identity = version > 0 && !info.module_identities.empty();
    if (has_identity) {
        const std::string id = "TDX_" + upper_hex({&version, 1});
        const auto found = std::ranges::find_if(
            info.module_identities,
            [&](const TdxModule& identity) { return equal_ignoring_case(identity.id, id); });
        if (found == info.module_identities.end()) {
            if (!applies(Rule::module_identity)) return TcbState{};
            return module_refused("No TDX module identity with id " + id + " found in TCB Info");
        }
        module = &*found;
    }
    if (auto fields = check_module_fields(td, *module); !fields)
        return tl::unexpected(fields.error());
    if (!has_identity) return TcbState{};
    for (const SvnLevel& level : module->levels)
        if (isv_svn >= level.isv_svn) return level.verdict.state();
    if (!applies(Rule::module_isv_svn)) return TcbState{};
    return module_refused("TDX module ISVSVN " + std::to_string(isv_svn) +
                          " is below minimum required from TDX module TCB levels");
}

}  // namespace

Verdict<TcbState> match_qe(const EnclaveReport& report, const QeIdentity& identity) {
    constexpr Stage kStage = Stage::qe_policy;
    if (applies(Rule::qe_mr_signer) && !std::ranges::equal(report.mr_signer(), identity.mr_signer))
        return refused(kStage, "QE MRSIGNER mismatch: expected " + upper_hex(identity.mr_signer) +
                                   ", got " + upper_hex(report.mr_signer()));
    if (applies(Rule::qe_debug) && report.debug())
        return refused(kStage, "QE report validation failed: Debug mode is enabled");
    if (applies(Rule::qe_prod_id) && report.isv_prod_id() != identity.isv_prod_id)
        return refused(kStage, "QE ISVPRODID mismatch: expected " +
                                   std::to_string(identity.isv_prod_id) + ", got " +
                                   std::to_string(report.isv_prod_id()));
    const std::uint32_t mask = little_endian(identity.misc_select_mask);
    const std::uint32_t expected = little_endian(identity.misc_select) & mask;
    if (applies(Rule::qe_misc_select) && (report.misc_select() & mask) != expected)
        return refused(kStage, "QE MISCSELECT mismatch: expected " + hex8(expected) +
                                   " (masked), got " + hex8(report.misc_select() & mask) +
                                   " (masked)");
    for (std::size_t i = 0; i < 16; ++i) {
        const std::uint8_t bits = identity.attributes_mask[i];
        if (applies(Rule::qe_attributes) &&
            (report.attributes()[i] & bits) != (identity.attributes[i] & bits))
            return refused(kStage, "QE ATTRIBUTES mismatch at byte " + std::to_string(i));
    }
    for (const SvnLevel& level : identity.levels)
        if (report.isv_svn() >= level.isv_svn) return level.verdict.state();
    if (!applies(Rule::qe_isv_svn)) return TcbState{};
    if (identity.levels.empty()) return refused(kStage, "No TCB levels found in QE Identity");
    std::uint16_t lowest = identity.levels[0].isv_svn;
    for (const SvnLevel& level : identity.levels) lowest = std::min(lowest, level.isv_svn);
    return refused(kStage, "QE ISVSVN " + std::to_string(report.isv_svn()) +
                               " is below minimum required " + std::to_string(lowest));
}

Verdict<TcbState> match_platform(const Quote& quote, const SgxExtension& platform,
                                 const TcbInfo& info) {
    constexpr Stage kStage = Stage::platform_tcb;
    const auto fmspc = runtime::from_hex(info.fmspc);
    if (applies(Rule::fmspc) && (!fmspc || !std::ranges::equal(*fmspc, platform.fmspc)))
        return refused(kStage, "Fmspc mismatch");
    const bool is_tdx = quote.header.tee_type == static_cast<std::uint32_t>(TeeType::tdx);
    if (applies(Rule::tcb_info_kind)) {
        if (is_tdx && !info.is_tdx())
            return refused(kStage, "TDX quote with non-TDX TCB info in the collateral");
        if (!is_tdx && !info.is_sgx())
            return refused(kStage, "SGX quote with non-SGX TCB info in the collateral");
    }
    const TdReport* td = quote.td_report();
    const auto level = find_level(td, platform, info, is_tdx);
    if (!level) return tl::unexpected(level.error());
    TcbState state = (*level)->verdict.state();
    if (!is_tdx || td == nullptr) return state;
    auto module = match_module(*td, info);
    if (!module) return module;
    return merged(std::move(state), *module);
}

}  // namespace kms
