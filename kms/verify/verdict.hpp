/// The answer of a verification: what was found, or at which stage and why it is refused. A refusal
/// is an answer, not an error. Source: spec "attestation" sections 3 and 8.
#pragma once

#include "kms/evidence/report_body.hpp"

#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace kms {

/// Where verification stopped, in the order in which it goes.
enum class Stage {
    report_data_payload,  ///< a pod's report data is not the hash of its payload
    key_binding,          ///< the report data does not belong to the key in question
    root_crl,
    quote,
    header,
    tcb_info,
    tcb_info_chain,
    tcb_info_signature,
    qe_identity,
    qe_identity_chain,
    qe_identity_signature,
    qe_identity_kind,
    pck_chain,
    pck_extension,
    qe_report,
    qe_policy,
    isv_signature,
    platform_tcb,
    tdx_module,
    merge,
    attributes,
    dstack_policy,
    rtmr3,        ///< the runtime events do not make the register
    report_data,  ///< the quote binds other report data than the attestation says
    preimage,     ///< a runtime event of version 2 contradicts its own digest
    platform,     ///< evidence of a kind that is not verified here
};
inline constexpr std::size_t kStageCount = static_cast<std::size_t>(Stage::platform) + 1;

/// The enumerator's name.
std::string_view to_string(Stage stage);

/// Whether this is a stage of the quote's own verification, apart from what hangs on it.
constexpr bool is_quote_stage(Stage stage) {
    return stage >= Stage::root_crl && stage <= Stage::attributes;
}

struct Refusal {
    Stage stage;
    std::string
        reason;  ///< a sentence; it never holds a secret, but does hold bytes of the caller's
};

template <class T>
using Verdict = tl::expected<T, Refusal>;

}  // namespace kms
