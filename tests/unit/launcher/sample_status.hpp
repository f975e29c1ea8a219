/// A status with something in every field, for tests of what is made of it.
#pragma once

#include "launcher/control/status.hpp"

namespace test {

/// kms frozen, auth-eth ready; taken at 1000 h of the monotonic clock, 2026-11-22T20:49:30Z.
launcher::Status sample_status();

}  // namespace test
