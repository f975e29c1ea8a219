/// What the simulated Intel says about the simulated platform. Pure. Source: spec "attestation"
/// sections 2.6 and 7.5.
#pragma once

#include "kms/simulator/mock_pki.hpp"
#include "kms/verify/collateral.hpp"

namespace kms::simulator {

/// Collateral that is good from a day before `now` until 30 days after it, apart from the faults.
Collateral make_collateral(const Seed& seed, const Platform& platform, const Faults& faults,
                           UnixSeconds now);

}  // namespace kms::simulator
