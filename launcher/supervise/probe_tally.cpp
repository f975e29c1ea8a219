#include "launcher/supervise/probe_tally.hpp"

#include <algorithm>

namespace launcher {

using namespace std::chrono_literals;
using runtime::Duration;

std::optional<bool> ProbeTally::add(ProbeOutcome outcome, bool good) {
    if (outcome == ProbeOutcome::probe_error || outcome == ProbeOutcome::probe_late)
        return std::nullopt;
    successes_ = good ? successes_ + 1 : 0;
    failures_ = good ? 0 : failures_ + 1;
    std::optional<bool> now = verdict_;
    if (good && successes_ >= success_threshold_) now = true;
    if (!good && failures_ >= failure_threshold_) now = false;
    if (now == verdict_) return std::nullopt;
    verdict_ = now;
    return verdict_;
}

Duration startup_pause(int attempts) {
    if (attempts <= 0) return 50ms;
    Duration pause = 250ms;
    for (int i = 1; i < attempts && pause < 2s; ++i) pause += pause / 2;
    return std::min<Duration>(pause, 2s);
}

Duration jittered(Duration interval, double random) {
    const auto cut = static_cast<double>(interval.count()) * 0.1 * std::clamp(random, 0.0, 1.0);
    return interval - Duration(static_cast<Duration::rep>(cut));
}

bool counts_as_ready(const ProbeResult& result, const ProbePlan& plan) {
    if (!result.ok()) return false;
    if (plan.kind != ProbeKind::http_auto || result.phase.empty()) return true;
    return std::find(plan.ready_phases.begin(), plan.ready_phases.end(), result.phase) !=
           plan.ready_phases.end();
}

}  // namespace launcher
