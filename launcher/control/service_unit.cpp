#include "launcher/control/service_unit.hpp"

#include "launcher/plan/plan_fields.hpp"

namespace launcher {
namespace {

constexpr std::size_t kHistory = 20;

ServicePolicy policy_of(const ServicePlan& service) {
    ServicePolicy policy;
    if (service.startup) policy.startup_deadline = service.startup->deadline;
    if (service.onboarding_deadline) policy.ready_deadline = *service.onboarding_deadline;
    policy.stop_timeout = service.stop_timeout;
    return policy;
}

FreezePolicy freeze_policy_of(const ServicePlan& service) {
    FreezePolicy policy;
    if (service.liveness) {
        policy.failures = service.liveness->failure_threshold;
        policy.successes = service.liveness->success_threshold;
        policy.suspect_interval =
            std::min<runtime::Duration>(policy.suspect_interval, service.liveness->interval);
    }
    return policy;
}

/// A liveness probe's success_threshold is for leaving `frozen`; as a source of readiness it takes
/// one success.
int success_threshold_of(const ProbePlan& plan) {
    return plan.role == ProbeRole::liveness ? 1 : plan.success_threshold;
}

}  // namespace

ProbeTrack::ProbeTrack(const ProbePlan& plan)
    : plan_(plan), tally_(plan.failure_threshold, success_threshold_of(plan)) {
    status_.name = probe_role_words()[static_cast<std::size_t>(plan.role)];
    status_.kind = plan.kind;
}

ProbeTrack::Change ProbeTrack::add(const ProbeResult& result, bool good) {
    Change change;
    if (status_.last) change.before = status_.last->outcome;
    change.outcome = change.before != result.outcome;
    if (change.outcome) status_.last_change = result.at;
    status_.consecutive = change.outcome ? 1 : status_.consecutive + 1;
    if (result.ok()) status_.last_ok = result.at;
    ++status_.results[static_cast<std::size_t>(result.outcome)];
    for (std::size_t i = 0; i < kProbeStages; ++i)
        if (result.stage_times[i].count() > 0)
            stages_[i].observe(static_cast<double>(result.stage_times[i].count()) / 1e6);
    if (!result.certificate_sha256.empty()) {
        if (!certificate_.empty() && certificate_ != result.certificate_sha256)
            change.old_certificate = certificate_;
        certificate_ = result.certificate_sha256;
    }
    if (!first_) first_ = result;
    status_.recent.push_back(result);
    if (status_.recent.size() > kHistory) status_.recent.erase(status_.recent.begin());
    status_.last = result;
    change.verdict = tally_.add(result.outcome, good);
    return change;
}

ProbeStatus ProbeTrack::picture() const {
    auto picture = status_;
    for (std::size_t i = 0; i < kProbeStages; ++i) picture.stages[i] = stages_[i].snapshot();
    return picture;
}

ServiceUnit::ServiceUnit(const ServicePlan& service)
    : plan(service), fsm(policy_of(service)), freeze(freeze_policy_of(service)) {
    if (service.startup) startup.emplace(*service.startup);
    if (service.liveness) liveness.emplace(*service.liveness);
    if (service.readiness) readiness.emplace(*service.readiness);
}

ProbeTrack* ServiceUnit::ready_source() {
    if (readiness) return &*readiness;
    if (liveness) return &*liveness;
    return startup ? &*startup : nullptr;
}

std::vector<const ProbeTrack*> ServiceUnit::tracks() const {
    std::vector<const ProbeTrack*> all;
    if (startup) all.push_back(&*startup);
    if (liveness) all.push_back(&*liveness);
    if (readiness) all.push_back(&*readiness);
    return all;
}

bool ServiceUnit::running() const {
    switch (fsm.state()) {
        case ServiceState::started:
        case ServiceState::ready:
        case ServiceState::unready:
            return true;
        default:
            return false;
    }
}

ServiceStatus ServiceUnit::picture() const {
    ServiceStatus status;
    status.name = plan.name;
    status.state = fsm.state();
    status.phase = phase;
    status.pid = fsm.alive() ? pid : 0;
    status.started = started;
    status.ready_since = ready_since;
    status.time_to_ready_seconds = time_to_ready_seconds;
    if (end) status.exit = end->status;
    status.was_started = fsm.was_started();
    for (const auto* track : tracks()) status.probes.push_back(track->picture());
    status.freeze = freeze.state();
    status.freeze_class = freeze.freeze_class();
    status.freeze_since = freeze_since;
    status.freezes = freezes;
    status.freeze_seconds = freeze_seconds;
    status.last_freeze_sentence = last_freeze_sentence;
    status.last_evidence_id = last_evidence_id;
    status.evidence_taken = evidence_taken;
    status.evidence_skipped = evidence_skipped;
    status.process = process;
    status.limits = limits;
    return status;
}

}  // namespace launcher
