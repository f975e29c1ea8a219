/// DcapVerifier: the verifier of dstack-kms. Takes collateral from a source, and computes on
/// workers.
#pragma once

#include "kms/attest/collateral_source.hpp"
#include "kms/authorize/quote_verifier.hpp"
#include "launcher/runtime/workers.hpp"

#include <array>
#include <memory>
#include <optional>

namespace kms {

class DcapVerifier final : public QuoteVerifier {
  public:
    /// `clock` and `workers` must outlive it. To be used from one thread.
    DcapVerifier(runtime::Clock& clock, runtime::Workers& workers,
                 std::unique_ptr<CollateralSource> source);

    runtime::Task<Result<VerifiedMachine>> verify(SharedAttestation evidence, std::string asker,
                                                  runtime::Deadline deadline) override;
    void append_metrics(runtime::MetricsText& text) const override;

  private:
    /// What verifications came to; shared with work that outlives its caller.
    struct Counters {
        runtime::Counter accepted, without_collateral, unreadable;
        std::array<runtime::Counter, kStageCount> refused{};
    };
    /// Which collateral a quote needs, and the PCK chain if the quote only names its platform.
    struct Needs {
        CollateralQuery query;
        std::optional<PckRequest> request;
        std::shared_ptr<const std::string> pck_chain;  ///< null: the quote has its own
    };
    runtime::Task<Result<Needs>> needs_of(SharedAttestation evidence, ByteView quote,
                                          std::string asker, runtime::Deadline deadline);

    runtime::Clock& clock_;
    runtime::Workers& workers_;
    std::unique_ptr<CollateralSource> source_;
    std::shared_ptr<PlatformCache> cache_;  // shared with work that outlives its caller
    std::shared_ptr<Counters> counters_;
};

}  // namespace kms
