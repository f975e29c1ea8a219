/// The freeze of one service as a machine, fed with the results of its shallow (liveness) probe.
/// Pure.
///
/// It decides about states, records and evidence, and about nothing else: a frozen service is left
/// as it is. Source: spec "launcher" sections 2.5 and 6.5.
#pragma once

#include "launcher/plan/probe_result.hpp"
#include "launcher/runtime/deadline.hpp"
#include "launcher/supervise/states.hpp"

#include <optional>
#include <string_view>

namespace launcher {

struct FreezePolicy {
    int failures = 3;   ///< time-outs in a row from `none` to `frozen`
    int successes = 2;  ///< good answers in a row from `frozen` to `none`
    runtime::Duration suspect_interval =
        std::chrono::seconds(1);  ///< until the next probe while in `suspect`
};

/// What one probe result changed.
struct FreezeChange {
    enum class What {
        nothing,
        suspected,  ///< first time-out
        cleared,    ///< the suspicion was wrong
        frozen,
        class_changed,  ///< still frozen, in another layer
        ended,
    };
    What what = What::nothing;
    ProbeOutcome old_class = ProbeOutcome::ok;  ///< class_changed
    ProbeOutcome new_class = ProbeOutcome::ok;  ///< suspected, frozen, class_changed
    ProbeOutcome worst = ProbeOutcome::ok;      ///< ended: the deepest layer that was stuck
    runtime::Duration lasted{0};  ///< class_changed: of the old class; ended: of the freeze
    friend bool operator==(const FreezeChange&, const FreezeChange&) = default;
};

class FreezeFsm {
  public:
    explicit FreezeFsm(FreezePolicy policy = {}) : policy_(policy) {}

    FreezeChange step(ProbeOutcome outcome, runtime::TimePoint now);

    FreezeState state() const { return state_; }
    ProbeOutcome freeze_class() const { return class_; }  ///< ok unless suspect or frozen
    /// When the next liveness probe is due at the latest, if sooner than its interval.
    std::optional<runtime::Duration> probe_again_after() const;

    /// When the next scheduled evidence of a running freeze is due: 10 s, 60 s, 10 min after its
    /// begin, then hourly.
    std::optional<runtime::TimePoint> evidence_due() const { return evidence_due_; }
    /// The scheduled evidence was taken (or skipped): on to the next.
    void evidence_taken(runtime::TimePoint now);

  private:
    FreezeChange on_timeout(ProbeOutcome outcome, runtime::TimePoint now);
    FreezeChange on_answer(bool ok, runtime::TimePoint now);

    FreezePolicy policy_;
    FreezeState state_ = FreezeState::none;
    ProbeOutcome class_ = ProbeOutcome::ok, worst_ = ProbeOutcome::ok;
    int timeouts_ = 0, answers_ = 0;
    runtime::TimePoint began_{}, class_since_{};
    std::optional<runtime::TimePoint> evidence_due_;
};

std::string_view to_string(FreezeChange::What what);

}  // namespace launcher
