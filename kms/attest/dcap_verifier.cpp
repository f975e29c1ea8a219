#include "kms/attest/dcap_verifier.hpp"

#include "kms/verify/attestation.hpp"

namespace kms {
namespace {

using runtime::Deadline;
using runtime::Task;

constexpr std::size_t kRememberedPlatforms = 1024;

/// The words of the protocol: everything up to the attributes is one step there.
Error refused(const Refusal& refusal) {
    return {ErrorCode::unauthenticated,
            (is_quote_stage(refusal.stage) ? "Failed to get collateral: " : "") + refusal.reason};
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
      cache_(std::make_shared<PlatformCache>(kRememberedPlatforms)),
      counters_(std::make_shared<Counters>()) {}

Task<Result<DcapVerifier::Needs>> DcapVerifier::needs_of(SharedAttestation evidence, ByteView quote,
                                                         std::string asker, Deadline deadline) {
    const auto read = [evidence, quote]() -> Result<Needs> {
        Needs needs;
        TRY(needs.request, pck_request(quote));
        if (!needs.request) {
            TRY(needs.query, collateral_query(quote));
        }
        return needs;
    };
    CO_TRY(Needs needs, co_await workers_.run(clock_, deadline, read));
    if (!needs.request) co_return needs;
    CO_TRY(std::string fetched,
           co_await source_->pck_chain(*needs.request, std::move(asker), deadline));
    needs.pck_chain = std::make_shared<const std::string>(std::move(fetched));
    const auto read_again = [evidence, quote, chain = needs.pck_chain] {
        return collateral_query(quote, chain.get());
    };
    CO_TRY(needs.query, co_await workers_.run(clock_, deadline, read_again));
    co_return needs;
}

Task<Result<VerifiedMachine>> DcapVerifier::verify(SharedAttestation evidence, std::string asker,
                                                   Deadline deadline) {
    const std::shared_ptr<Counters> counters = counters_;
    if (const auto fits = check_report_data_payload(*evidence); !fits) {
        counters->refused[static_cast<std::size_t>(fits.error().stage)].add();
        co_return refused(fits.error());
    }
    const auto quote = quote_of(*evidence);
    if (!quote) {
        counters->refused[static_cast<std::size_t>(quote.error().stage)].add();
        co_return refused(quote.error());
    }
    auto needed = co_await needs_of(evidence, *quote, asker, deadline);
    if (!needed) {
        // What the quote says of itself cannot be read: that is its sender's fault.
        const bool unreadable = needed.error().code == ErrorCode::invalid_argument;
        if (unreadable) needed.error().code = ErrorCode::unauthenticated;
        (unreadable ? counters->unreadable : counters->without_collateral).add();
        co_return std::move(needed.error()).within("Failed to get collateral");
    }
    auto collateral = co_await source_->get(needed->query, std::move(asker), deadline);
    if (!collateral) {
        counters->without_collateral.add();
        co_return std::move(collateral.error()).within("Failed to get collateral");
    }
    const UnixSeconds now = unix_seconds(clock_.wall_now());
    const auto judge = [evidence, held = std::move(*collateral), chain = needed->pck_chain, now,
                        cache = cache_, counters]() -> Result<VerifiedMachine> {
        VerifyOptions options;
        if (chain != nullptr) options.pck_chain = *chain;
        auto verdict = verify_attestation(*evidence, held, now, cache.get(), options);
        if (!verdict) {
            counters->refused[static_cast<std::size_t>(verdict.error().stage)].add();
            return refused(verdict.error());
        }
        counters->accepted.add();
        QuoteReport& report = verdict->quote;
        return VerifiedMachine{std::move(report.ppid), std::string(to_string(report.tcb.status)),
                               std::move(report.tcb.advisory_ids)};
    };
    auto machine = co_await workers_.run(clock_, deadline, judge);
    co_return machine;
}

void DcapVerifier::append_metrics(runtime::MetricsText& text) const {
    using runtime::MetricKind;
    text.family("dstack_kms_quotes_accepted_total", MetricKind::counter,
                "Quotes that were found genuine.");
    text.sample(counters_->accepted.value());
    text.family(
        "dstack_kms_quotes_refused_total", MetricKind::counter,
        "Quotes that were refused, by stage; \"collateral\": there was nothing to judge by.");
    text.sample(counters_->without_collateral.value(), {{"stage", "collateral"}});
    text.sample(counters_->unreadable.value(), {{"stage", "unreadable"}});
    for (std::size_t i = 0; i < kStageCount; ++i)
        text.sample(counters_->refused[i].value(), {{"stage", to_string(static_cast<Stage>(i))}});
    source_->append_metrics(text);
}

}  // namespace kms
