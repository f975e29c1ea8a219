#include "kms/attest/dcap_verifier.hpp"

#include "kms/verify/attestation.hpp"

namespace kms {
namespace {

using runtime::Deadline;
using runtime::Task;

constexpr std::size_t kRememberedPlatforms = 1024;

/// The words of the protocol: everything up to the attributes is one step there.
Error refused(const Refusal& refusal) {
    const bool is_dcap = refusal.stage >= Stage::root_crl && refusal.stage <= Stage::attributes;
    return {ErrorCode::unauthenticated,
            (is_dcap ? "Failed to get collateral: " : "") + refusal.reason};
}

UnixSeconds unix_seconds(runtime::WallTime time) {
    return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

}  // namespace

DcapVerifier::DcapVerifier(runtime::Clock& clock, runtime::Workers& workers,
                           std::unique_ptr<CollateralSource> source)
    : clock_(clock),
      workers_(workers),
      source_(std::move(source)),
      cache_(std::make_shared<PlatformCache>(kRememberedPlatforms)) {}

Task<Result<VerifiedMachine>> DcapVerifier::verify(SharedAttestation evidence, Deadline deadline) {
    const auto quote = quote_of(*evidence);
    if (!quote) co_return refused(quote.error());
    const auto read = [evidence, bytes = *quote] { return collateral_query(bytes); };
    auto query = co_await workers_.run(clock_, deadline, read);
    if (!query) {
        // What the quote says of itself cannot be read: that is its sender's fault.
        if (query.error().code == ErrorCode::invalid_argument)
            query.error().code = ErrorCode::unauthenticated;
        co_return std::move(query.error()).within("Failed to get collateral");
    }
    auto collateral = co_await source_->get(*query, deadline);
    if (!collateral) co_return std::move(collateral.error()).within("Failed to get collateral");
    const UnixSeconds now = unix_seconds(clock_.wall_now());
    const auto judge = [evidence, held = std::move(*collateral), now,
                        cache = cache_]() -> Result<VerifiedMachine> {
        auto verdict = verify_attestation(*evidence, held, now, cache.get());
        if (!verdict) return refused(verdict.error());
        QuoteReport& report = verdict->quote;
        return VerifiedMachine{std::move(report.ppid), std::string(to_string(report.tcb.status)),
                               std::move(report.tcb.advisory_ids)};
    };
    auto machine = co_await workers_.run(clock_, deadline, judge);
    co_return machine;
}

}  // namespace kms
