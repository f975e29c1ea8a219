#include "launcher/control/supervisor.hpp"

#include "launcher/control/supervisor_records.hpp"

#include <algorithm>
#include <csignal>

#include <boost/asio/co_spawn.hpp>

namespace launcher {
namespace {

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::LogLevel;
using runtime::Task;
using runtime::TimePoint;

constexpr auto kSpawnLimit = 5s;   ///< from fork to exec; longer when the file system hangs
constexpr auto kFirstDrain = 5ms;  ///< before the record of an end, for its last lines
constexpr auto kDrain = 250ms;     ///< altogether, when a descendant holds the pipe open
constexpr std::size_t kLastLines = 20;

}  // namespace

Supervisor::Supervisor(boost::asio::any_io_executor executor, runtime::Clock& clock, Host& host,
                       StatusBoard& board, Plan plan, Options options)
    : executor_(executor),
      clock_(clock),
      host_(host),
      board_(board),
      plan_(std::move(plan)),
      options_(std::move(options)),
      changed_(executor),
      started_(clock.wall_now()),
      started_at_(clock.now()) {
    for (const auto& service : plan_.services)
        units_.push_back(std::make_unique<ServiceUnit>(service));
    publish();
}

Supervisor::~Supervisor() = default;

void Supervisor::spawn_task(Task<void> task) {
    boost::asio::co_spawn(executor_, std::move(task), [this](std::exception_ptr failure) {
        if (!failure) return;
        std::string what = "unknown exception";
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& error) {
            what = error.what();
        } catch (...) {
        }
        host_.emit(launcher_record(LogLevel::fatal, "", "internal error: " + what));
        begin_ending({Ending::Cause::internal, "", std::nullopt, 0}, "internal error: " + what);
    });
}

Task<int> Supervisor::run() {
    logs::Fields fields;
    fields.emplace_back("source", plan_.source);
    fields.emplace_back("digest", plan_.digest);
    host_.emit(launcher_record(LogLevel::info, "config-loaded",
                               "configuration from " + plan_.source, std::move(fields)));
    spawn_task(heartbeat());
    start_what_can();
    while (!ending_) co_await changed_.wait(clock_, Deadline::after(clock_.now(), 1h));
    const int status = co_await stop_all();
    finished_ = true;
    co_return status;
}

void Supervisor::request_stop(const std::string& cause) {
    if (!ending_) {
        begin_ending({Ending::Cause::requested, "", std::nullopt, 0}, cause);
        return;
    }
    if (no_grace_) return;
    no_grace_ = true;
    host_.emit(launcher_record(LogLevel::warn, "", cause + ", again: what is left is killed"));
    for (auto& unit : units_)
        if (unit->told_to_stop || unit->fsm.alive()) apply(*unit, event::KillAsked{});
    changed_.notify();
}

void Supervisor::refuse(const std::string& service, int exit_code) {
    begin_ending({Ending::Cause::spawn_failed, service, std::nullopt, exit_code},
                 "service '" + service + "' cannot be started");
}

bool Supervisor::forward(int signal) {
    bool sent = false;
    for (const auto& unit : units_) {
        const auto& wanted = unit->plan.forward_signals;
        if (!unit->fsm.alive() || std::find(wanted.begin(), wanted.end(), signal) == wanted.end())
            continue;
        host_.signal_service(unit->plan.name, signal, false);
        sent = true;
    }
    return sent;
}

void Supervisor::apply(ServiceUnit& unit, const ServiceEvent& event) {
    const auto before = unit.fsm.state();
    const auto action = unit.fsm.step(event, clock_.now());
    // Told before it is acted upon: what follows may run at once and change the state again.
    if (unit.fsm.state() != before) on_state(unit, before);
    if (action.wake_at) spawn_task(tick_at(unit, *action.wake_at));
    const auto& name = unit.plan.name;
    switch (action.what) {
        case ServiceAction::What::nothing:
            break;
        case ServiceAction::What::spawn:
            spawn_task(start(unit));
            break;
        case ServiceAction::What::terminate: {
            const bool group = unit.plan.stop_mode == StopMode::group;
            unit.told_to_stop = true;
            host_.signal_service(name, unit.plan.stop_signal, group);
            host_.signal_service(name, SIGCONT,
                                 group);  // a stopped process would never see the other one
            break;
        }
        case ServiceAction::What::kill:
            unit.told_to_stop = true;
            host_.emit(launcher_record(LogLevel::warn, "",
                                       name + " did not end in time and is killed", {},
                                       "launcher::process"));
            host_.signal_service(name, SIGKILL, true);
            break;
        case ServiceAction::What::deadline_missed:
            spawn_task(miss_deadline(unit));
            break;
    }
}

void Supervisor::on_state(ServiceUnit& unit, ServiceState before) {
    const auto& name = unit.plan.name;
    const auto since_spawn = clock_.now() - unit.spawned_at;
    logs::Fields fields;
    fields.emplace_back("service", name);
    switch (unit.fsm.state()) {
        case ServiceState::started:
            host_.emit(launcher_record(
                LogLevel::info, "", name + " has started after " + span_text(since_spawn), fields));
            break;
        case ServiceState::ready:
            unit.ready_since = clock_.wall_now();
            if (!unit.time_to_ready_seconds)
                unit.time_to_ready_seconds = std::chrono::duration<double>(since_spawn).count();
            host_.emit(launcher_record(LogLevel::info, "service-ready",
                                       before == ServiceState::unready
                                           ? name + " is ready again"
                                           : name + " is ready after " + span_text(since_spawn),
                                       fields));
            break;
        case ServiceState::unready:
            unit.ready_since.reset();
            host_.emit(
                launcher_record(LogLevel::warn, "probe-change", name + " is not ready", fields));
            break;
        default:
            unit.ready_since.reset();
            break;
    }
    start_what_can();
    publish();
    tell_systemd();
    changed_.notify();
}

bool Supervisor::dependencies_met(const ServiceUnit& unit) const {
    return std::all_of(
        unit.plan.depends_on.begin(), unit.plan.depends_on.end(), [&](const auto& dependency) {
            const auto found = std::find_if(units_.begin(), units_.end(), [&](const auto& other) {
                return other->plan.name == dependency.first;
            });
            if (found == units_.end() || !(*found)->running()) return false;
            return dependency.second == Dependency::started ||
                   (*found)->fsm.state() == ServiceState::ready;
        });
}

void Supervisor::start_what_can() {
    for (auto& unit : units_) {
        if (ending_) return;
        if (unit->fsm.state() == ServiceState::pending && dependencies_met(*unit))
            apply(*unit, event::DependenciesMet{});
    }
}

Task<void> Supervisor::start(ServiceUnit& unit) {
    unit.spawned_at = clock_.now();
    const auto& name = unit.plan.name;
    const auto outcome = co_await host_.spawn(
        unit.plan, [this, &unit](const ChildEnd& end) { on_end(unit, end); },
        Deadline::after(clock_.now(), kSpawnLimit));
    logs::Fields fields;
    fields.emplace_back("service", name);
    if (outcome.pid == 0) {
        fields.emplace_back("exit_code", std::int64_t{outcome.exit_code});
        host_.emit(launcher_record(LogLevel::error, "service-exit",
                                   "cannot start " + name + ": " + outcome.fault, std::move(fields),
                                   "launcher::process"));
        apply(unit, event::SpawnFailed{});
        begin_ending({Ending::Cause::spawn_failed, name, std::nullopt, outcome.exit_code},
                     name + " cannot be started");
        co_return;
    }
    unit.pid = outcome.pid;
    unit.started = clock_.wall_now();
    unit.limits = outcome.limits;
    fields.emplace_back("pid", std::int64_t{outcome.pid});
    if (!outcome.limits.empty()) fields.emplace_back("limits", json_object(outcome.limits));
    host_.emit(launcher_record(LogLevel::info, "service-start",
                               name + " runs with pid " + std::to_string(outcome.pid),
                               std::move(fields), "launcher::process"));
    if (unit.plan.startup && unit.plan.startup->deadline > 0ms) {
        const auto limit =
            std::chrono::duration_cast<std::chrono::microseconds>(unit.plan.startup->deadline + 5s);
        host_.notify("EXTEND_TIMEOUT_USEC=" + std::to_string(limit.count()));
    }
    apply(unit, event::Spawned{outcome.pid});
    if (!unit.fsm.alive() || unit.fsm.state() == ServiceState::stopping) co_return;
    if (unit.startup) {
        spawn_task(startup_loop(unit));
        co_return;
    }
    apply(unit, event::StartupPassed{});
    begin_probing(unit);
}

Task<void> Supervisor::tick_at(ServiceUnit& unit, TimePoint at) {
    co_await clock_.sleep_until(at);
    if (clock_.now() >= at) apply(unit, event::Tick{});
}

void Supervisor::on_end(ServiceUnit& unit, const ChildEnd& end) {
    const bool expected = unit.told_to_stop;
    unit.end = end;
    unit.drained = false;
    ServiceEnd entry;
    entry.service = unit.plan.name;
    entry.status = end.status;
    entry.asked = expected;
    entry.killed = unit.fsm.was_killed();
    entry.stop_signal = unit.plan.stop_signal;
    entry.success_exit_status = unit.plan.success_exit_status;
    ends_.push_back(std::move(entry));
    apply(unit, event::Exited{end.status});
    spawn_task(finish_end(unit, end, expected));
}

Task<void> Supervisor::finish_end(ServiceUnit& unit, ChildEnd end, bool expected) {
    const auto uptime = clock_.now() - unit.spawned_at;
    co_await host_.drain(unit.plan.name, kFirstDrain);
    host_.emit(
        exit_record(unit, end, expected, uptime, host_.last_lines(unit.plan.name, kLastLines)));
    if (!expected)
        begin_ending({Ending::Cause::service_ended, unit.plan.name, end.status, 0},
                     unit.plan.name + " " + describe(end.status));
    co_await host_.drain(unit.plan.name, kDrain - kFirstDrain);
    unit.drained = true;
    changed_.notify();
}

Task<void> Supervisor::miss_deadline(ServiceUnit& unit) {
    if (ending_) co_return;
    const bool onboarding = unit.fsm.state() == ServiceState::started;
    if (onboarding && unit.phase != "onboarding")
        co_return;  // this deadline is for onboarding alone
    unit.process = host_.process_status(unit.pid);
    auto* track = unit.startup ? &*unit.startup : unit.ready_source();
    if (track != nullptr) {
        const auto finding = co_await find_out(unit, *track);
        if (ending_) co_return;
        auto diagnosis = finding.diagnosis;
        if (onboarding)
            diagnosis = {"onboarding",
                         unit.plan.name +
                             " is still in onboarding: finish it, or raise onboarding_deadline"};
        host_.emit(missed_deadline_record(unit, diagnosis, finding.listeners,
                                          host_.last_lines(unit.plan.name, kLastLines)));
    }
    begin_ending({Ending::Cause::startup_deadline, unit.plan.name, std::nullopt, 0},
                 unit.plan.name + " did not start in time");
}

}  // namespace launcher
