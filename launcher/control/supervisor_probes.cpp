// The supervisor's probe loops: when to ask, what an answer changes. No answer ever sends a signal.
#include "launcher/control/supervisor.hpp"
#include "launcher/control/supervisor_records.hpp"
#include "launcher/plan/url_parts.hpp"

#include <algorithm>

namespace launcher {
namespace {

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::LogLevel;
using runtime::Task;

constexpr auto kListenersLimit = 1s;
/// For a snapshot (3 s at most), and for the one before it that may still be at work.
constexpr auto kEvidenceLimit = 6s;

std::uint16_t port_of(const ProbePlan& probe) {
    if (probe.port != 0) return probe.port;
    const auto parts = split_url(probe.url);
    return parts ? parts->port : std::uint16_t{0};
}

}  // namespace

Task<void> Supervisor::startup_loop(ServiceUnit& unit) {
    auto& track = *unit.startup;
    for (int attempt = 0; unit.fsm.state() == ServiceState::starting; ++attempt) {
        co_await clock_.sleep_until(clock_.now() +
                                    jittered(startup_pause(attempt), options_.random()));
        if (unit.fsm.state() != ServiceState::starting || ending_) co_return;
        const auto result = co_await ask(unit, track);
        if (unit.fsm.state() != ServiceState::starting || ending_) co_return;
        on_result(unit, track, result);
        if (track.verdict() != true) continue;
        apply(unit, event::StartupPassed{});
        begin_probing(unit);
        co_return;
    }
}

void Supervisor::begin_probing(ServiceUnit& unit) {
    if (!unit.running()) return;
    const auto* source = unit.ready_source();
    const bool by_startup = unit.startup && unit.startup->history().last &&
                            counts_as_ready(*unit.startup->history().last, unit.startup->plan());
    // Without a readiness probe the startup probe has just said what the liveness probe would say.
    if (source == nullptr || (!unit.readiness && by_startup)) apply(unit, event::Readiness{true});
    if (unit.liveness) {
        const auto pause = unit.startup
                               ? jittered(unit.liveness->plan().interval, options_.random())
                               : runtime::Duration(0);
        spawn_task(probe_loop(unit, *unit.liveness, pause));
    }
    if (unit.readiness) spawn_task(probe_loop(unit, *unit.readiness, runtime::Duration(0)));
    // Started, not ready, and nothing else to ask: the startup probe goes on (a KMS in onboarding).
    if (source != nullptr && source == (unit.startup ? &*unit.startup : nullptr) && !by_startup)
        spawn_task(probe_loop(unit, *unit.startup, unit.startup->plan().interval));
}

Task<void> Supervisor::probe_loop(ServiceUnit& unit, ProbeTrack& track,
                                  runtime::Duration first_pause) {
    const bool shallow = track.plan().role == ProbeRole::liveness;
    auto next = clock_.now() + first_pause;
    while (true) {
        co_await clock_.sleep_until(next);
        if (!unit.running() || ending_) co_return;
        const auto began = clock_.now();
        const auto result = co_await ask(unit, track);
        if (!unit.running() || ending_) co_return;
        on_result(unit, track, result);
        if (shallow) on_liveness(unit, result);
        next = std::max(began + jittered(track.plan().interval, options_.random()), clock_.now());
        const auto again = shallow ? unit.freeze.probe_again_after() : std::nullopt;
        if (again) next = std::min(next, clock_.now() + *again);
    }
}

Task<void> Supervisor::measure(std::shared_ptr<Control> control, Deadline deadline) {
    const auto measured = co_await host_.control(deadline);
    control->measured = measured;
    control_seconds_ = std::chrono::duration<double>(measured.round_trip).count();
}

Task<ProbeResult> Supervisor::ask(ServiceUnit& unit, ProbeTrack& track) {
    const auto& plan = track.plan();
    const auto began = clock_.now();
    const auto deadline = Deadline::after(began, plan.timeouts.total);
    auto control = std::make_shared<Control>();
    spawn_task(measure(control, deadline));
    const auto result = co_await host_.probe(unit.plan.name, plan, deadline);
    if (!is_timeout(result.outcome)) co_return result;
    ControlMeasurement fared = control->measured.value_or(ControlMeasurement{});
    if (!control->measured) fared.round_trip = clock_.now() - began;  // it has not come back either
    if (worst_lag_at_ >= began) fared.lag = std::max(fared.lag, worst_recent_lag_);
    co_return judged(result, fared, plan.timeouts.headers);
}

void Supervisor::note_phase(ServiceUnit& unit, const std::string& phase) {
    if (phase.empty() || phase == unit.phase) return;
    logs::Fields fields;
    fields.emplace_back("service", unit.plan.name);
    fields.emplace_back("phase", phase);
    host_.emit(launcher_record(LogLevel::info, "probe-change",
                               unit.plan.name + " is in phase " + phase, std::move(fields),
                               "launcher::probe"));
    unit.phase = phase;
    tell_systemd();
}

void Supervisor::on_result(ServiceUnit& unit, ProbeTrack& track, const ProbeResult& result) {
    const bool startup = track.plan().role == ProbeRole::startup && !unit.running();
    const bool good = startup ? result.ok() : counts_as_ready(result, track.plan());
    const auto change = track.add(result, good);
    note_phase(unit, result.phase);
    if (!change.old_certificate.empty()) {
        logs::Fields fields;
        fields.emplace_back("service", unit.plan.name);
        fields.emplace_back("old_sha256", change.old_certificate);
        fields.emplace_back("new_sha256", result.certificate_sha256);
        host_.emit(launcher_record(LogLevel::info, "cert-changed",
                                   unit.plan.name + " presents another certificate",
                                   std::move(fields), "launcher::probe"));
    }
    const bool good_from_the_start = !change.before && result.ok();
    if (change.outcome && !good_from_the_start) {
        if (startup || result.ok())
            host_.emit(probe_change_record(unit, track, result, change.before));
        else
            spawn_task(explain_change(unit, track, result, change.before));
    }
    if (!startup && &track == unit.ready_source() && change.verdict)
        apply(unit, event::Readiness{*change.verdict});
    if (change.outcome) publish();
}

Task<void> Supervisor::explain_change(ServiceUnit& unit, ProbeTrack& track, ProbeResult result,
                                      std::optional<ProbeOutcome> before) {
    const auto finding = co_await find_out(unit, track);
    auto record = probe_change_record(unit, track, result, before);
    record.message += ": " + finding.diagnosis.sentence;
    record.fields.emplace_back("rule", std::string(finding.diagnosis.rule));
    host_.emit(std::move(record));
}

void Supervisor::on_liveness(ServiceUnit& unit, const ProbeResult& result) {
    const auto now = clock_.now();
    const auto change = unit.freeze.step(result.outcome, now);
    switch (change.what) {
        case FreezeChange::What::nothing:
            return;
        case FreezeChange::What::suspected:
            unit.freeze_since = clock_.wall_now();
            host_.emit(freeze_record(unit, change, ""));
            take_one_evidence(unit, "suspect");
            break;
        case FreezeChange::What::cleared:
            unit.freeze_since.reset();
            host_.emit(freeze_record(unit, change, ""));
            break;
        case FreezeChange::What::frozen:
            unit.frozen_at = now;
            // From here on its seconds are counted; before, it was a suspicion.
            unit.freeze_since = clock_.wall_now();
            ++unit.freezes[change.new_class];
            spawn_task(explain_freeze(unit, change));
            take_one_evidence(unit, "frozen");
            spawn_task(evidence_loop(unit));
            break;
        case FreezeChange::What::class_changed:  // the same freeze, seen at another layer
            host_.emit(freeze_record(unit, change, ""));
            break;
        case FreezeChange::What::ended:
            unit.freeze_since.reset();
            unit.freeze_seconds += std::chrono::duration<double>(change.lasted).count();
            host_.emit(freeze_record(unit, change, ""));
            take_one_evidence(unit, "freeze-end");
            break;
    }
    publish();
    tell_systemd();
}

Task<void> Supervisor::explain_freeze(ServiceUnit& unit, FreezeChange change) {
    const auto finding = co_await find_out(unit, *unit.liveness);
    unit.last_freeze_sentence = finding.diagnosis.sentence;
    host_.emit(freeze_record(unit, change, finding.diagnosis.sentence));
    publish();
}

Task<EvidenceOutcome> Supervisor::evidence_of(ServiceUnit& unit, std::string reason,
                                              Deadline deadline) {
    EvidenceOrder order;
    order.service = unit.picture();
    order.reason = reason;
    order.control_seconds = control_seconds_;
    const auto outcome = co_await host_.take_evidence(std::move(order), deadline);
    if (outcome.taken) {
        ++unit.evidence_taken[reason];
        unit.last_evidence_id = outcome.id;
    } else {
        ++unit.evidence_skipped[reason];
    }
    publish();
    co_return outcome;
}

Task<void> Supervisor::evidence_beside(ServiceUnit& unit, std::string reason, Deadline deadline,
                                       std::shared_ptr<Waiting> waiting) {
    const auto outcome = co_await evidence_of(unit, std::move(reason), deadline);
    (void)outcome;  // counted, and in the records
    --waiting->left;
    waiting->done.notify();
}

void Supervisor::take_one_evidence(ServiceUnit& unit, const std::string& reason) {
    auto waiting = std::make_shared<Waiting>(executor_);
    spawn_task(evidence_beside(unit, reason, Deadline::after(clock_.now(), kEvidenceLimit),
                               std::move(waiting)));
}

Task<void> Supervisor::evidence_loop(ServiceUnit& unit) {
    const auto freeze = unit.frozen_at;
    const auto still_that_freeze = [&] {
        return unit.running() && unit.freeze.state() == FreezeState::frozen &&
               unit.frozen_at == freeze && !ending_;
    };
    while (still_that_freeze() && unit.freeze.evidence_due()) {
        co_await clock_.sleep_until(*unit.freeze.evidence_due());
        if (!still_that_freeze()) co_return;
        take_one_evidence(unit, "scheduled");
        unit.freeze.evidence_taken(clock_.now());
    }
}

Task<void> Supervisor::take_evidence(std::string reason, runtime::Duration limit) {
    const auto deadline = Deadline::after(clock_.now(), limit);
    auto waiting = std::make_shared<Waiting>(executor_);
    for (auto& unit : units_) {
        if (!unit->fsm.alive() || unit->pid == 0) continue;
        ++waiting->left;
        spawn_task(evidence_beside(*unit, reason, deadline, waiting));
    }
    while (waiting->left > 0 && !deadline.expired(clock_.now()))
        co_await waiting->done.wait(clock_, deadline);
}

Task<EvidenceOutcome> Supervisor::take_evidence_of(std::string service, Deadline deadline) {
    for (auto& unit : units_)
        if (unit->plan.name == service && unit->fsm.alive() && unit->pid != 0)
            co_return co_await evidence_of(*unit, "manual", deadline);
    EvidenceOutcome outcome;
    outcome.fault = "service '" + service + "' does not run";
    co_return outcome;
}

Task<Supervisor::Finding> Supervisor::find_out(ServiceUnit& unit, const ProbeTrack& track) {
    std::map<int, std::string> services;
    for (const auto& other : units_)
        if (other->fsm.alive() && other->pid != 0) services.emplace(other->pid, other->plan.name);
    Finding finding;
    finding.listeners = co_await host_.listeners(std::move(services), port_of(track.plan()),
                                                 Deadline::after(clock_.now(), kListenersLimit));
    DiagnosisFacts facts;
    facts.service = unit.plan.name;
    facts.pid = unit.fsm.alive() ? unit.pid : 0;
    facts.probe = track.plan();
    facts.last = track.history().last;
    const bool deep = track.plan().role == ProbeRole::readiness;
    if (deep && unit.liveness) facts.shallow = unit.liveness->history().last;
    if (deep && !facts.shallow && unit.startup) facts.shallow = unit.startup->history().last;
    facts.listeners = finding.listeners;
    if (const auto process = host_.process_status(unit.pid))
        facts.thread_states = process->thread_states;
    for (const auto& [name, state] : unit.plan.depends_on) facts.dependencies.push_back(name);
    finding.diagnosis = diagnose(facts);
    co_return finding;
}

}  // namespace launcher
