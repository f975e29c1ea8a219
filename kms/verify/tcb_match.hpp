/// From SVNs to states: the platform's level, the TDX module's and the quoting enclave's. Source:
/// spec "attestation" sections 3.9 and 3.11.
#pragma once

#include "kms/evidence/quote.hpp"
#include "kms/evidence/sgx_extension.hpp"
#include "kms/verify/tcb_info.hpp"
#include "kms/verify/verdict.hpp"

namespace kms {

/// Stage qe_policy: the quoting enclave's report against its identity.
Verdict<TcbState> match_qe(const EnclaveReport& report, const QeIdentity& identity);

/// Stages platform_tcb and tdx_module. The levels must be sorted.
Verdict<TcbState> match_platform(const Quote& quote, const SgxExtension& platform,
                                 const TcbInfo& info);

}  // namespace kms
