/// The KMS about itself: its own verified evidence, and whether the authorisation service still
/// lets it work. Source: spec "kms-protocol" section 6.9.
#pragma once

#include "kms/authorize/key_authority.hpp"
#include "kms/guest/guest_agent.hpp"

#include <optional>

namespace kms {

/// The evidence of this machine, asked of the guest agent and verified. Kept once it was good.
class OwnEvidence {
  public:
    /// Both must outlive it.
    OwnEvidence(GuestAgent& agent, QuoteVerifier& verifier) : agent_(agent), verifier_(verifier) {}

    /// Errors: those of the guest agent and of the verifier, and invalid_argument when the agent's
    /// answer is no attestation of this question.
    runtime::Task<Result<AttestedCaller>> get(runtime::Deadline deadline);

  private:
    GuestAgent& agent_;
    QuoteVerifier& verifier_;
    std::optional<AttestedCaller> kept_;
};

class SelfAuthorization {
  public:
    SelfAuthorization(OwnEvidence& evidence, KeyAuthority& authority)
        : evidence_(evidence), authority_(authority) {}

    /// Asks the authorisation service about this KMS, anew each time. Errors: unauthenticated
    /// ("KMS is not allowed: <reason>"), and those of asking.
    runtime::Task<Result<void>> check(runtime::Deadline deadline);

  private:
    OwnEvidence& evidence_;
    KeyAuthority& authority_;
};

}  // namespace kms
