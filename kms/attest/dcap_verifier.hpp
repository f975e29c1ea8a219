/// DcapVerifier: the verifier of dstack-kms. Takes collateral from a source, and computes on
/// workers.
#pragma once

#include "kms/attest/collateral_source.hpp"
#include "kms/authorize/quote_verifier.hpp"
#include "launcher/runtime/workers.hpp"

#include <memory>

namespace kms {

class DcapVerifier final : public QuoteVerifier {
  public:
    /// `clock` and `workers` must outlive it. To be used from one thread.
    DcapVerifier(runtime::Clock& clock, runtime::Workers& workers,
                 std::unique_ptr<CollateralSource> source);

    runtime::Task<Result<VerifiedMachine>> verify(SharedAttestation evidence,
                                                  runtime::Deadline deadline) override;

  private:
    runtime::Clock& clock_;
    runtime::Workers& workers_;
    std::unique_ptr<CollateralSource> source_;
    std::shared_ptr<PlatformCache> cache_;  // shared with work that outlives its caller
};

}  // namespace kms
