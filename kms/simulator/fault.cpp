#include "kms/simulator/fault.hpp"

#include <algorithm>

namespace kms::simulator {
namespace {

constexpr FaultRow kRows[] = {
    {Fault::replayed_answer, "replayed-answer", Stage::key_binding,
     "the agent gives an answer to an earlier question again"},
    {Fault::quote_truncated, "quote-truncated", Stage::quote, "the quote ends too early"},
    {Fault::quote_vendor, "quote-vendor", Stage::header, "the quoting enclave is not Intel's"},
    {Fault::pck_extension_missing, "pck-extension-missing", Stage::pck_extension,
     "the PCK certificate does not say which platform it is for"},
    {Fault::foreign_pki, "foreign-pki", Stage::pck_chain,
     "the quote comes from a PKI of the same names with other keys"},
    {Fault::pck_expired, "pck-expired", Stage::pck_chain, "the PCK certificate has expired"},
    {Fault::pck_ca_expired, "pck-ca-expired", Stage::pck_chain,
     "the certificate of the PCK CA has expired"},
    {Fault::qe_report_signature, "qe-report-signature", Stage::qe_report,
     "the report of the quoting enclave is not signed by the PCK"},
    {Fault::qe_report_hash, "qe-report-hash", Stage::qe_report,
     "the report of the quoting enclave vouches for another attestation key"},
    {Fault::qe_debug, "qe-debug", Stage::qe_policy, "the quoting enclave can be debugged"},
    {Fault::qe_mr_signer, "qe-mr-signer", Stage::qe_policy,
     "the quoting enclave has another signer"},
    {Fault::qe_svn, "qe-svn", Stage::qe_policy,
     "the quoting enclave is older than the oldest known level"},
    {Fault::quote_signature, "quote-signature", Stage::isv_signature,
     "the quote was changed after it was signed"},
    {Fault::td_debug, "debug", Stage::attributes, "the trust domain can be debugged"},
    {Fault::td_reserved_bits, "reserved-bits", Stage::attributes,
     "reserved attributes of the trust domain are set"},
    {Fault::sept_ve, "sept-ve", Stage::attributes, "SEPT_VE_DISABLE is not set"},
    {Fault::perfmon, "perfmon", Stage::attributes, "the trust domain uses performance counters"},
    {Fault::service_td, "service-td", Stage::attributes,
     "a service TD is bound to the trust domain (quote version 5)"},
    {Fault::seam_signer, "seam-signer", Stage::dstack_policy,
     "the TDX module has a signer, which Intel's has not"},
    {Fault::event_omitted, "event-omitted", Stage::rtmr3,
     "an event that extended RTMR3 is left out"},
    {Fault::replayed_quote, "replayed-quote", Stage::report_data,
     "the quote binds other report data than the attestation says"},
    {Fault::event_preimage, "event-preimage", Stage::preimage,
     "an event of version 2 contradicts its own digest"},
    {Fault::root_crl_expired, "root-crl-expired", Stage::root_crl,
     "the revocation list of the root has expired"},
    {Fault::root_crl_foreign, "root-crl-foreign", Stage::root_crl,
     "the revocation list of the root is another root's"},
    {Fault::pck_crl_expired, "pck-crl-expired", Stage::pck_chain,
     "the revocation list of the PCK CA has expired"},
    {Fault::pck_revoked, "pck-revoked", Stage::pck_chain, "the PCK certificate is revoked"},
    {Fault::pck_ca_revoked, "pck-ca-revoked", Stage::pck_chain,
     "the certificate of the PCK CA is revoked"},
    {Fault::tcb_signer_revoked, "tcb-signer-revoked", Stage::tcb_info_chain,
     "the signer of the TCB info is revoked"},
    {Fault::qe_signer_revoked, "qe-signer-revoked", Stage::qe_identity_chain,
     "the signer of the QE identity is revoked"},
    {Fault::foreign_collateral, "foreign-collateral", Stage::root_crl,
     "the collateral comes from a PKI of the same names with other keys"},
    {Fault::tcb_info_stale, "tcb-info-stale", Stage::tcb_info, "the TCB info has expired"},
    {Fault::tcb_info_future, "tcb-info-future", Stage::tcb_info,
     "the TCB info is issued in the future"},
    {Fault::tcb_info_garbled, "tcb-info-garbled", Stage::tcb_info, "the TCB info lacks members"},
    {Fault::tcb_info_tampered, "tcb-info-tampered", Stage::tcb_info_signature,
     "the TCB info was changed after it was signed"},
    {Fault::qe_identity_stale, "qe-identity-stale", Stage::qe_identity,
     "the QE identity has expired"},
    {Fault::qe_identity_tampered, "qe-identity-tampered", Stage::qe_identity_signature,
     "the QE identity was changed after it was signed"},
    {Fault::qe_identity_kind, "qe-identity-kind", Stage::qe_identity_kind,
     "the QE identity is that of SGX"},
    {Fault::fmspc_mismatch, "fmspc-mismatch", Stage::platform_tcb,
     "the TCB info is for other platforms"},
    {Fault::tcb_below_levels, "tcb-below-levels", Stage::platform_tcb,
     "the platform is below every TCB level"},
    {Fault::tcb_revoked, "tcb-revoked", Stage::merge, "the TCB level of the platform is revoked"},
    {Fault::module_mr_signer, "module-mr-signer", Stage::tdx_module,
     "the TDX module is not signed by whom the TCB info says"},
    {Fault::out_of_date, "out-of-date", std::nullopt, "the TCB status is OutOfDate"},
    {Fault::sw_hardening_needed, "sw-hardening-needed", std::nullopt,
     "the TCB status is SWHardeningNeeded"},
    {Fault::other_measurement, "other-measurement", std::nullopt,
     "the machine was started from other firmware"},
    {Fault::other_application, "other-application", std::nullopt,
     "the machine runs another application"},
    {Fault::other_device, "other-device", std::nullopt, "the machine is another one"},
};
static_assert(std::size(kRows) == kFaultCount);

}  // namespace

std::span<const FaultRow> fault_rows() {
    return kRows;
}

std::optional<Fault> fault_of(std::string_view name) {
    const auto* found = std::ranges::find(kRows, name, &FaultRow::name);
    if (found == std::end(kRows)) return std::nullopt;
    return found->fault;
}

}  // namespace kms::simulator
