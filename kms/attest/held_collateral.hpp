/// HeldCollateral: collateral in memory, fetched when it is first needed and again long before it
/// expires; callers share one fetch and wait for it no longer than they may.
#pragma once

#include "kms/attest/collateral_source.hpp"
#include "launcher/runtime/http_client.hpp"
#include "launcher/runtime/workers.hpp"

#include <chrono>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

namespace kms {

struct HeldCollateralOptions {
    std::string base_url;                           ///< as collateral_base_url() gives it
    std::chrono::milliseconds fetch_limit{30'000};  ///< one fetch, all requests
    std::chrono::milliseconds failure_kept{2'000};  ///< until a failed fetch is tried again
    std::chrono::hours refresh{12};                 ///< at the latest; or two thirds of its life
    std::size_t platforms = 256;                    ///< kinds held at a time
    std::size_t fetches = 4;                        ///< at a time; beyond: resource_exhausted
};

class HeldCollateral final : public CollateralSource {
  public:
    /// Everything runs on `executor`, one thread. `clock` and `workers` must outlive it.
    HeldCollateral(boost::asio::any_io_executor executor, runtime::Clock& clock,
                   runtime::Workers& workers, std::unique_ptr<runtime::HttpClient> http,
                   TrustAnchor anchor, HeldCollateralOptions options);
    ~HeldCollateral() override;

    runtime::Task<Result<VerifiedCollateral>> get(CollateralQuery query,
                                                  runtime::Deadline deadline) override;

  private:
    struct State;
    std::unique_ptr<runtime::HttpClient> http_;
    std::shared_ptr<State> state_;
};

}  // namespace kms
