/// EvidenceTaker: whoever looks at a frozen process without touching it. Source: spec "launcher"
/// section 6.
#pragma once

#include "launcher/control/status.hpp"
#include "launcher/runtime/clock.hpp"

#include <string>

namespace launcher {

struct EvidenceOrder {
    ServiceStatus service;  ///< as the supervisor sees it now: pid, freeze, results of the probes
    std::string reason;     ///< suspect, frozen, scheduled, freeze-end, manual or stop
    double control_seconds = 0;  ///< the last control measurement (section 2.4)
};

struct EvidenceOutcome {
    bool taken = false;
    std::string id;  ///< "evidence-kms-20261122T204920Z-3"
    std::string rule, sentence;
    std::string fault;  ///< why it was not taken
};

class EvidenceTaker {
  public:
    virtual ~EvidenceTaker() = default;
    /// Must not block the calling thread. The sample is shortened so that it ends at the deadline;
    /// the outcome comes at most a second later.
    virtual runtime::Task<EvidenceOutcome> take(EvidenceOrder order,
                                                runtime::Deadline deadline) = 0;
};

}  // namespace launcher
