/// One sentence that a human can act on, chosen from a fixed table by facts. Pure. Source: spec
/// "launcher" section 2.6.
#pragma once

#include "launcher/plan/listener.hpp"
#include "launcher/plan/plan.hpp"
#include "launcher/plan/probe_result.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace launcher {

struct DiagnosisFacts {
    std::string service;
    int pid = 0;                      ///< 0 when there is no process
    ProbePlan probe;                  ///< the one that fails
    std::optional<ProbeResult> last;  ///< its last result
    std::optional<ProbeResult>
        shallow;  ///< the last result of the service's shallow probe, if it is another one
    std::vector<Listener> listeners;
    std::map<char, std::uint64_t> thread_states;
    std::vector<std::string> dependencies;  ///< services it depends on
};

struct Diagnosis {
    std::string_view rule;  ///< short and stable, for tests and metrics: "wrong-port"
    std::string sentence;
};

/// The first rule that fits; there is always one.
Diagnosis diagnose(const DiagnosisFacts& facts);

}  // namespace launcher
