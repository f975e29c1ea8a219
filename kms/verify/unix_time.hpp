/// The time that verification is told.
#pragma once

#include <cstdint>

namespace kms {

/// Seconds since 1970-01-01 UTC.
using UnixSeconds = std::int64_t;

}  // namespace kms
