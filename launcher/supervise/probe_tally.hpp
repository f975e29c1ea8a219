/// From single probe results to a verdict: thresholds, and when to ask next. Pure.
/// Source: spec "launcher" section 2.2.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/plan/probe_result.hpp"
#include "launcher/runtime/deadline.hpp"

#include <optional>

namespace launcher {

/// Counts results in a row. The verdict is unknown until a threshold is reached for the first time.
class ProbeTally {
  public:
    ProbeTally(int failure_threshold, int success_threshold)
        : failure_threshold_(failure_threshold), success_threshold_(success_threshold) {}

    /// The new verdict if this result changed it. `good` is what counts as success; results that
    /// say nothing about the service (probe_error, probe_late) are ignored.
    std::optional<bool> add(ProbeOutcome outcome, bool good);
    std::optional<bool> verdict() const { return verdict_; }
    int successes() const { return successes_; }
    int failures() const { return failures_; }

  private:
    int failure_threshold_, success_threshold_;
    int failures_ = 0, successes_ = 0;
    std::optional<bool> verdict_;
};

/// Until the next startup probe after `attempts` of them: 50 ms, then 250 ms growing by half to 2
/// s.
runtime::Duration startup_pause(int attempts);
/// Up to a tenth shorter, by `random` from 0 to 1: probes of many services do not fall together,
/// and no bound on detection is exceeded.
runtime::Duration jittered(runtime::Duration interval, double random);

/// Whether a result counts as ready: good, and in a phase that counts.
bool counts_as_ready(const ProbeResult& result, const ProbePlan& plan);

}  // namespace launcher
