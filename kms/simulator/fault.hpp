/// What can be wrong with a simulated machine or with what its maker says about it: one fault for
/// each refusal, and some that only the authorisation service can see. Source: spec "attestation"
/// sections 3, 7.4 and 8.
#pragma once

#include "kms/verify/verdict.hpp"

#include <bitset>
#include <optional>
#include <span>
#include <string_view>

namespace kms::simulator {

enum class Fault {
    // Evidence.
    replayed_answer,
    quote_truncated,
    quote_vendor,
    pck_extension_missing,
    foreign_pki,
    pck_expired,
    pck_ca_expired,
    qe_report_signature,
    qe_report_hash,
    qe_debug,
    qe_mr_signer,
    qe_svn,
    quote_signature,
    td_debug,
    td_reserved_bits,
    sept_ve,
    perfmon,
    service_td,
    seam_signer,
    event_omitted,
    replayed_quote,
    event_preimage,
    // Collateral.
    root_crl_expired,
    root_crl_foreign,
    pck_crl_expired,
    pck_revoked,
    pck_ca_revoked,
    tcb_signer_revoked,
    qe_signer_revoked,
    foreign_collateral,
    tcb_info_stale,
    tcb_info_future,
    tcb_info_garbled,
    tcb_info_tampered,
    qe_identity_stale,
    qe_identity_tampered,
    qe_identity_kind,
    fmspc_mismatch,
    tcb_below_levels,
    tcb_revoked,
    module_mr_signer,
    // Only for policy: genuine, but not what was agreed on.
    out_of_date,
    sw_hardening_needed,
    other_measurement,
    other_application,
    other_device,
    count_,
};
inline constexpr std::size_t kFaultCount = static_cast<std::size_t>(Fault::count_);

struct FaultRow {
    Fault fault;
    std::string_view name;       ///< "pck-revoked"
    std::optional<Stage> stage;  ///< where verification stops; nothing: it does not
    std::string_view what;       ///< for people
};
/// All of them, in the order of the enumerators.
std::span<const FaultRow> fault_rows();
std::optional<Fault> fault_of(std::string_view name);

class Faults {
  public:
    Faults() = default;
    Faults(std::initializer_list<Fault> faults) {
        for (const Fault fault : faults) set(fault);
    }
    bool has(Fault fault) const { return bits_[static_cast<std::size_t>(fault)]; }
    void set(Fault fault) { bits_[static_cast<std::size_t>(fault)] = true; }

  private:
    std::bitset<kFaultCount> bits_;
};

}  // namespace kms::simulator
