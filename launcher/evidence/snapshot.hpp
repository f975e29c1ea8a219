/// One look at a process that must not notice it: all steps in their order, each with an end.
/// Blocks for about a second (the sample), so it runs on a thread of its own. Source: spec
/// "launcher" section 6.1.
#pragma once

#include "launcher/evidence/bounded_reader.hpp"
#include "launcher/evidence/facts.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace launcher::evidence {

struct SnapshotOrder {
    std::string service;
    int pid = 0;
    runtime::Deadline deadline;  ///< 3 s from the begin; a nearer one shortens the sample
    std::vector<std::string> secret_directories;
    // What the launcher itself knows (steps 1, 2 and 10), asked when its turn comes.
    std::vector<ProbeHistory> probes;
    double control_seconds = 0;
    std::function<void(Facts&)> read_log_state;  ///< fills pipes and sinks; must not wait
    std::function<std::vector<LinesView>()> read_lines;
};

struct Snapshot {
    Facts facts;
    std::chrono::nanoseconds cpu{0};  ///< of the launcher, for this snapshot
    std::chrono::microseconds took{0};
};

Snapshot take_snapshot(const SnapshotOrder& order, std::shared_ptr<LostThreads> lost);

}  // namespace launcher::evidence
