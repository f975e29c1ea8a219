/// CollateralSource: the seam between judging quotes and getting what they are judged by.
#pragma once

#include "kms/attest/collateral_query.hpp"
#include "kms/verify/verify.hpp"
#include "launcher/runtime/clock.hpp"
#include "launcher/runtime/metrics.hpp"

#include <string>

namespace kms {

class CollateralSource {
  public:
    virtual ~CollateralSource() = default;
    /// Collateral whose signatures were found good. `asker` is the address of whoever needs it;
    /// empty: this program itself, which no limit is meant for. Never waits past `deadline`.
    /// Errors: unauthenticated (what was served is no good: stage and reason), unavailable and
    /// deadline_exceeded (it cannot be had), resource_exhausted (too much is being asked for).
    virtual runtime::Task<Result<VerifiedCollateral>> get(CollateralQuery query, std::string asker,
                                                          runtime::Deadline deadline) = 0;
    /// The PCK chain (PEM) of one platform whose quotes only name it. Errors as get().
    virtual runtime::Task<Result<std::string>> pck_chain(PckRequest request, std::string asker,
                                                         runtime::Deadline deadline) = 0;
    /// What /metrics tells of it.
    virtual void append_metrics(runtime::MetricsText& text) const = 0;
};

}  // namespace kms
