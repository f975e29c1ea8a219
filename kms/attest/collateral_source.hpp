/// CollateralSource: the seam between judging quotes and getting what they are judged by.
#pragma once

#include "kms/attest/collateral_query.hpp"
#include "kms/verify/verify.hpp"
#include "launcher/runtime/clock.hpp"

namespace kms {

class CollateralSource {
  public:
    virtual ~CollateralSource() = default;
    /// Collateral whose signatures were found good. Never waits past `deadline`. Errors:
    /// unauthenticated (what was served is no good: stage and reason), unavailable and
    /// deadline_exceeded (it cannot be had), resource_exhausted (too much is being fetched).
    virtual runtime::Task<Result<VerifiedCollateral>> get(CollateralQuery query,
                                                          runtime::Deadline deadline) = 0;
};

}  // namespace kms
