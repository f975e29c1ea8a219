/// HeldCollateral: collateral in memory and on disk; fetched when it is first needed, and from then
/// on long before it expires, without a request. Design: docs/attestation.md, "The collateral
/// store".
#pragma once

#include "kms/attest/ask_budget.hpp"
#include "kms/attest/collateral_directory.hpp"
#include "kms/attest/collateral_source.hpp"
#include "kms/attest/pccs_fetch.hpp"
#include "launcher/runtime/http_client.hpp"
#include "launcher/runtime/workers.hpp"

#include <chrono>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

namespace kms {

struct HeldCollateralOptions {
    CollateralServer server{};
    std::chrono::milliseconds fetch_limit{30'000};  ///< one fetch, all requests
    std::chrono::milliseconds failure_kept{2'000};  ///< the answer to all until the next try
    std::chrono::hours refresh{12};                 ///< at the latest; or two thirds of its life
    std::chrono::seconds refresh_retry{30};         ///< after a failed refresh; doubled each time,
    std::chrono::seconds refresh_retry_most{600};   ///< up to this
    std::chrono::hours unused_kept{7 * 24};      ///< refreshed for so long without being asked for
    std::chrono::milliseconds load_wait{2'000};  ///< how long requests wait for a slow disk
    std::size_t platforms = 256;                 ///< kinds held at a time
    std::size_t fetches = 4;                     ///< at a time
    std::size_t fetches_per_asker = 2;           ///< of them
    AskBudget::Options budget{};                 ///< of kinds that were not known before
};

class HeldCollateral final : public CollateralSource {
  public:
    /// Everything runs on `executor`, one thread; the disk and signatures are left to `workers`.
    /// `clock` and `workers` must outlive it and whatever it leaves under way on the executor.
    /// `directory` may be null: nothing is kept on disk.
    HeldCollateral(boost::asio::any_io_executor executor, runtime::Clock& clock,
                   runtime::Workers& workers, std::unique_ptr<runtime::HttpClient> http,
                   TrustAnchor anchor, HeldCollateralOptions options,
                   std::shared_ptr<CollateralDirectory> directory = nullptr);
    /// Ends the keepers and what is being fetched.
    ~HeldCollateral() override;

    runtime::Task<Result<VerifiedCollateral>> get(CollateralQuery query, std::string asker,
                                                  runtime::Deadline deadline) override;
    runtime::Task<Result<std::string>> pck_chain(PckRequest request, std::string asker,
                                                 runtime::Deadline deadline) override;
    void append_metrics(runtime::MetricsText& text) const override;

  private:
    struct State;
    std::unique_ptr<runtime::HttpClient> http_;
    std::shared_ptr<State> state_;
};

/// When collateral that was fetched at one time and holds until another is fetched anew. Pure.
UnixSeconds refresh_time(UnixSeconds fetched_at, UnixSeconds valid_until,
                         std::chrono::seconds at_the_latest);
/// How long after the n-th failure in a row (from 1) a refresh is tried again. Pure.
std::chrono::seconds refresh_pause(unsigned failures, std::chrono::seconds first,
                                   std::chrono::seconds most);

}  // namespace kms
