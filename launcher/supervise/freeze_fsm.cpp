#include "launcher/supervise/freeze_fsm.hpp"

#include <array>

namespace launcher {
namespace {

using runtime::Duration;
using runtime::TimePoint;
using What = FreezeChange::What;

/// The lower the layer that does not answer, the longer the service has been stuck.
int depth(ProbeOutcome outcome) {
    switch (outcome) {
        case ProbeOutcome::http_body_timeout:
            return 1;
        case ProbeOutcome::http_headers_timeout:
            return 2;
        case ProbeOutcome::send_timeout:
            return 3;
        case ProbeOutcome::tls_timeout:
            return 4;
        case ProbeOutcome::tcp_timeout:
            return 5;
        default:
            return 0;
    }
}

}  // namespace

std::string_view to_string(What what) {
    switch (what) {
        case What::nothing:
            return "nothing";
        case What::suspected:
            return "suspected";
        case What::cleared:
            return "cleared";
        case What::frozen:
            return "frozen";
        case What::class_changed:
            return "class changed";
        case What::ended:
            return "ended";
    }
    return "unknown";
}

FreezeChange FreezeFsm::step(ProbeOutcome outcome, TimePoint now) {
    // The launcher's own troubles say nothing about the service.
    if (outcome == ProbeOutcome::probe_error || outcome == ProbeOutcome::probe_late) return {};
    return is_timeout(outcome) ? on_timeout(outcome, now)
                               : on_answer(outcome == ProbeOutcome::ok, now);
}

FreezeChange FreezeFsm::on_timeout(ProbeOutcome outcome, TimePoint now) {
    answers_ = 0;
    ++timeouts_;
    FreezeChange change;
    change.new_class = outcome;
    if (depth(outcome) > depth(worst_)) worst_ = outcome;
    switch (state_) {
        case FreezeState::none:
            began_ = now;
            state_ = FreezeState::suspect;
            change.what = What::suspected;
            break;
        case FreezeState::suspect:
            break;
        case FreezeState::frozen:
            if (class_ == outcome) return {};
            change.what = What::class_changed;
            change.old_class = class_;
            change.lasted = now - class_since_;
            break;
    }
    if (state_ == FreezeState::suspect && timeouts_ >= policy_.failures) {
        state_ = FreezeState::frozen;
        change.what = What::frozen;
        evidence_due_ = now + std::chrono::seconds(10);
        began_ = now;
    }
    class_ = outcome;
    class_since_ = now;
    return change.what == What::nothing ? FreezeChange{} : change;
}

FreezeChange FreezeFsm::on_answer(bool ok, TimePoint now) {
    timeouts_ = 0;
    FreezeChange change;
    switch (state_) {
        case FreezeState::none:
            return {};
        case FreezeState::suspect:
            change.what = What::cleared;
            break;
        case FreezeState::frozen:
            // Refused or closed is "down": it neither continues nor ends a freeze.
            answers_ = ok ? answers_ + 1 : 0;
            if (answers_ < policy_.successes) return {};
            change.what = What::ended;
            change.worst = worst_;
            change.lasted = now - began_;
            break;
    }
    state_ = FreezeState::none;
    class_ = worst_ = ProbeOutcome::ok;
    answers_ = 0;
    evidence_due_.reset();
    return change;
}

std::optional<Duration> FreezeFsm::probe_again_after() const {
    if (state_ == FreezeState::suspect) return policy_.suspect_interval;
    // On the way out of a freeze the second good answer is asked for soon, too.
    if (state_ == FreezeState::frozen && answers_ > 0) return policy_.suspect_interval;
    return std::nullopt;
}

void FreezeFsm::evidence_taken(TimePoint now) {
    using namespace std::chrono_literals;
    if (!evidence_due_) return;
    constexpr std::array<Duration, 3> kSteps = {10s, 60s, 10min};
    for (const auto step : kSteps) {
        if (began_ + step > now) {
            evidence_due_ = began_ + step;
            return;
        }
    }
    evidence_due_ = now + 1h;
}

}  // namespace launcher
