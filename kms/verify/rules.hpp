/// Every rule that can refuse a quote, by name, so that tests can show for each that it is needed.
/// In production every rule applies, and the compiler knows it.
#pragma once

#include <string_view>

#ifdef KMS_VERIFY_RULE_SWITCHES
#include <set>
#endif

namespace kms {

// clang-format off
#define KMS_VERIFY_RULES(X) \
    X(crl_issuer_known) X(root_crl_signature) X(root_crl_fresh) X(root_not_revoked) \
    X(vendor_id) X(tee_type) X(sgx_version) X(attestation_key_type) \
    X(certificate_not_before) X(certificate_not_after) X(end_entity_is_no_ca) X(issuer_is_ca) X(path_length) \
    X(extended_key_usage) X(certificate_signature) X(revocation_known) X(crl_signature) X(crl_fresh) X(crl_sign_usage) \
    X(certificate_not_revoked) \
    X(tcb_info_issued) X(tcb_info_fresh) X(tcb_info_signature) \
    X(qe_identity_issued) X(qe_identity_fresh) X(qe_identity_signature) X(qe_identity_kind) \
    X(pck_format) X(qe_report_signature) X(qe_authentication_length) X(qe_report_hash) \
    X(qe_mr_signer) X(qe_debug) X(qe_prod_id) X(qe_misc_select) X(qe_attributes) X(qe_isv_svn) \
    X(quote_signature) \
    X(fmspc) X(tcb_info_kind) X(pce_svn) X(sgx_component_count) X(sgx_components) X(td_report_body) \
    X(tdx_component_count) X(tdx_components) X(module_present) X(module_identity) X(module_mr_signer) \
    X(module_attributes_masked) X(module_attributes_outside) X(module_isv_svn) \
    X(revoked_status) \
    X(enclave_debug) X(service_td) X(td_tud_bits) X(td_debug) X(td_reserved_low) X(td_reserved_29) X(td_other_bits) \
    X(sept_ve_disable) \
    X(policy_enclave_debug) X(policy_service_td) X(policy_td_debug) X(policy_mr_signer_seam) \
    X(report_data_payload) X(key_binding) X(rtmr3) X(report_data) X(event_preimage_digest) X(event_preimage_text)
// clang-format on

enum class Rule {
#define KMS_VERIFY_RULE(name) name,
    KMS_VERIFY_RULES(KMS_VERIFY_RULE)
#undef KMS_VERIFY_RULE
};

inline constexpr std::string_view kRuleNames[] = {
#define KMS_VERIFY_RULE(name) #name,
    KMS_VERIFY_RULES(KMS_VERIFY_RULE)
#undef KMS_VERIFY_RULE
};

#ifdef KMS_VERIFY_RULE_SWITCHES
/// Only in the library that the mutation test is linked with.
inline std::set<Rule> rules_switched_off;
inline bool applies(Rule rule) {
    return !rules_switched_off.contains(rule);
}
#else
constexpr bool applies(Rule) {
    return true;
}
#endif

}  // namespace kms
