/// QuoteVerifier: is this evidence genuine? And the same for the image that a machine booted. Both
/// are seams: a program gives the real ones, a test gives its own. Source: spec "kms-protocol"
/// sections 4.8 and 6.8.
#pragma once

#include "kms/evidence/evidence.hpp"
#include "launcher/runtime/clock.hpp"
#include "launcher/runtime/metrics.hpp"

#include <memory>
#include <string>
#include <vector>

namespace kms {

/// What a verification finds out beyond the evidence itself.
struct VerifiedMachine {
    Bytes device;  ///< what names the hardware: the PPID (TDX); empty when nothing does
    std::string tcb_status;
    std::vector<std::string> advisory_ids;
};

/// Evidence is shared, because work on it may outlive the call that asked for it.
using SharedAttestation = std::shared_ptr<const Attestation>;

class QuoteVerifier {
  public:
    virtual ~QuoteVerifier() = default;
    /// Verifies everything but the binding to a key, which the caller compares. `asker` is the
    /// address of whoever shows the evidence, which bounds what is done for it; empty for evidence
    /// that this program asked for. Never waits past `deadline`. Errors: unauthenticated (the
    /// evidence is refused), deadline_exceeded, unavailable (what is needed to judge it cannot be
    /// had), resource_exhausted. The text begins with the protocol's sentence, if it has one.
    virtual runtime::Task<Result<VerifiedMachine>> verify(SharedAttestation evidence,
                                                          std::string asker,
                                                          runtime::Deadline deadline) = 0;
    /// What /metrics tells of it.
    virtual void append_metrics(runtime::MetricsText&) const {}
};

class ImageCheck {
  public:
    virtual ~ImageCheck() = default;
    /// Whether the machine booted the image that its configuration names. `vm_config` is the text
    /// that came with the request, or empty. Errors as QuoteVerifier.
    virtual runtime::Task<Result<void>> check(SharedAttestation evidence, std::string vm_config,
                                              runtime::Deadline deadline) = 0;
};

/// For a program that cannot verify: everything is refused, with one sentence.
class RefusingQuoteVerifier final : public QuoteVerifier {
  public:
    runtime::Task<Result<VerifiedMachine>> verify(SharedAttestation evidence, std::string asker,
                                                  runtime::Deadline deadline) override;
};
class RefusingImageCheck final : public ImageCheck {
  public:
    runtime::Task<Result<void>> check(SharedAttestation evidence, std::string vm_config,
                                      runtime::Deadline deadline) override;
};

}  // namespace kms
