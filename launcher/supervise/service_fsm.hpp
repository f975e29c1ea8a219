/// The life of one service as a machine: state × event → action. Pure; service_fsm.md draws it, a
/// test compares both.
///
/// There is no way back from `exited` or `failed`: nothing is ever restarted. A failed probe never
/// leads to a signal. Source: spec "launcher" sections 2.1, 1.6 and 2.5.
#pragma once

#include "launcher/runtime/deadline.hpp"
#include "launcher/supervise/states.hpp"

#include <optional>
#include <string_view>
#include <variant>

namespace launcher {

/// What happens to a service.
namespace event {
struct DependenciesMet {};  ///< all services that it waits for are there
struct Spawned {
    int pid = 0;
};  ///< its program runs
struct SpawnFailed {};    ///< its program could not be run
struct StartupPassed {};  ///< the startup probe succeeded (or there is none)
struct Readiness {
    bool ready;
};  ///< the verdict of whatever decides about readiness
struct StopAsked {};  ///< orderly stop
struct KillAsked {};  ///< no more grace
struct Exited {
    ExitStatus status;
};  ///< it was reaped
struct Tick {};  ///< time has passed
}  // namespace event
using ServiceEvent =
    std::variant<event::DependenciesMet, event::Spawned, event::SpawnFailed, event::StartupPassed,
                 event::Readiness, event::StopAsked, event::KillAsked, event::Exited, event::Tick>;

struct ServiceAction {
    enum class What {
        nothing,
        spawn,            ///< run its program, once
        terminate,        ///< send the stop signal
        kill,             ///< SIGKILL to its group
        deadline_missed,  ///< it did not start in time, or stays in onboarding for too long: end
                          ///< everything
    };
    What what = What::nothing;
    std::optional<runtime::TimePoint> wake_at;  ///< send a Tick then
    friend bool operator==(const ServiceAction&, const ServiceAction&) = default;
};
std::string_view to_string(ServiceAction::What what);

struct ServicePolicy {
    runtime::Duration startup_deadline{0};  ///< from the spawn to StartupPassed; 0 = none
    runtime::Duration ready_deadline{0};    ///< from StartupPassed to the first readiness; 0 = none
    runtime::Duration stop_timeout{0};      ///< from the stop signal to SIGKILL
};

class ServiceFsm {
  public:
    explicit ServiceFsm(ServicePolicy policy) : policy_(policy) {}

    /// An event that means nothing in the current state changes nothing.
    ServiceAction step(const ServiceEvent& event, runtime::TimePoint now);

    ServiceState state() const { return state_; }
    int pid() const { return pid_; }
    /// Whether a process of this service may exist.
    bool alive() const;
    /// Whether it has been `started` once.
    bool was_started() const { return was_started_; }
    bool was_ready() const { return was_ready_; }
    /// Whether it had to be killed because it outlived its grace period, or because there was no
    /// grace.
    bool was_killed() const { return was_killed_; }

  private:
    ServiceAction on(const event::DependenciesMet&, runtime::TimePoint now);
    ServiceAction on(const event::Spawned&, runtime::TimePoint now);
    ServiceAction on(const event::SpawnFailed&, runtime::TimePoint now);
    ServiceAction on(const event::StartupPassed&, runtime::TimePoint now);
    ServiceAction on(const event::Readiness&, runtime::TimePoint now);
    ServiceAction on(const event::StopAsked&, runtime::TimePoint now);
    ServiceAction on(const event::KillAsked&, runtime::TimePoint now);
    ServiceAction on(const event::Exited&, runtime::TimePoint now);
    ServiceAction on(const event::Tick&, runtime::TimePoint now);
    ServiceAction begin_stop(runtime::TimePoint now);
    ServiceAction kill();

    ServicePolicy policy_;
    ServiceState state_ = ServiceState::pending;
    int pid_ = 0;  ///< 0 while the program is being started and after the end
    bool was_started_ = false;
    bool was_ready_ = false;
    bool was_killed_ = false;
    bool no_grace_ = false;                       ///< KillAsked came before the pid was known
    std::optional<runtime::TimePoint> deadline_;  ///< of the current state
};

}  // namespace launcher
