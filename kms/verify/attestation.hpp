/// Does this attestation prove who the machine is? The quote, and everything that hangs on it:
/// report data, runtime events, the key that it is bound to. Pure. Source: spec "attestation"
/// sections 3.14 and 3.15, spec "kms-protocol" section 4.8.
#pragma once

#include "kms/evidence/app_info.hpp"
#include "kms/verify/verify.hpp"

#include <optional>

namespace kms {

/// What an accepted attestation says; app info is made from it with decode_app_info(attestation,
/// at, quote.ppid, config).
struct VerifiedAttestation {
    QuoteReport quote;
};

/// Whether `attestation` is bound to a TLS key: stages report_data_payload and key_binding. Costs
/// two hashes and needs no collateral, so it goes first.
Verdict<void> check_key_binding(const Attestation& attestation, ByteView spki_der);
/// Only the first of the two: for an attestation that is bound to something else, which the caller
/// compares.
Verdict<void> check_report_data_payload(const Attestation& attestation);

/// Whether what hangs on a quote agrees with it: stages dstack_policy, rtmr3, report_data,
/// preimage. Of TDX only; another platform is refused at stage platform.
Verdict<void> check_quote_content(const Attestation& attestation);

/// The quote of an attestation that is verified as DCAP says: the bytes, or a refusal at stage
/// platform.
Verdict<ByteView> quote_of(const Attestation& attestation);

/// All of it but the binding, with collateral that was verified before; `cache` may be null.
Verdict<VerifiedAttestation> verify_attestation(const Attestation& attestation,
                                                const VerifiedCollateral& collateral,
                                                UnixSeconds now, PlatformCache* cache,
                                                const VerifyOptions& options = {});

}  // namespace kms
