/// EvidenceTaker: whoever looks at a frozen process without touching it. Source: spec "launcher"
/// section 6.
#pragma once

#include "launcher/runtime/clock.hpp"

#include <string>

namespace launcher {

class EvidenceTaker {
  public:
    virtual ~EvidenceTaker() = default;
    /// `reason` is suspect, frozen, scheduled, freeze-end, manual or stop. Must not block the
    /// calling thread, and ends at the deadline.
    virtual runtime::Task<void> take(std::string service, int pid, std::string reason,
                                     runtime::Deadline deadline) = 0;
};

}  // namespace launcher
