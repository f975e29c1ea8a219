#include "launcher/supervise/service_fsm.hpp"

namespace launcher {

using What = ServiceAction::What;
using runtime::TimePoint;

std::string_view to_string(What what) {
    switch (what) {
        case What::nothing:
            return "nothing";
        case What::spawn:
            return "spawn";
        case What::terminate:
            return "terminate";
        case What::kill:
            return "kill";
        case What::deadline_missed:
            return "deadline missed";
    }
    return "unknown";
}

ServiceAction ServiceFsm::step(const ServiceEvent& event, TimePoint now) {
    return std::visit([&](const auto& happened) { return on(happened, now); }, event);
}

bool ServiceFsm::alive() const {
    switch (state_) {
        case ServiceState::starting:
        case ServiceState::started:
        case ServiceState::ready:
        case ServiceState::unready:
        case ServiceState::stopping:
            return true;
        case ServiceState::pending:
        case ServiceState::exited:
        case ServiceState::failed:
            return false;
    }
    return false;
}

ServiceAction ServiceFsm::on(const event::DependenciesMet&, TimePoint) {
    if (state_ != ServiceState::pending) return {};
    state_ = ServiceState::starting;
    return {What::spawn, std::nullopt};
}

ServiceAction ServiceFsm::on(const event::Spawned& spawned, TimePoint now) {
    if (!alive() || pid_ != 0) return {};
    pid_ = spawned.pid;
    if (state_ == ServiceState::stopping) return no_grace_ ? kill() : begin_stop(now);
    if (policy_.startup_deadline > runtime::Duration::zero())
        deadline_ = now + policy_.startup_deadline;
    return {What::nothing, deadline_};
}

ServiceAction ServiceFsm::on(const event::SpawnFailed&, TimePoint) {
    if (!alive() || pid_ != 0) return {};
    state_ = state_ == ServiceState::stopping ? ServiceState::exited : ServiceState::failed;
    deadline_.reset();
    return {};
}

ServiceAction ServiceFsm::on(const event::StartupPassed&, TimePoint now) {
    if (state_ != ServiceState::starting || pid_ == 0) return {};
    state_ = ServiceState::started;
    was_started_ = true;
    deadline_.reset();
    if (policy_.ready_deadline > runtime::Duration::zero())
        deadline_ = now + policy_.ready_deadline;
    return {What::nothing, deadline_};
}

ServiceAction ServiceFsm::on(const event::Readiness& verdict, TimePoint) {
    if (verdict.ready && (state_ == ServiceState::started || state_ == ServiceState::unready)) {
        state_ = ServiceState::ready;
        was_ready_ = true;
        deadline_.reset();
    } else if (!verdict.ready && state_ == ServiceState::ready) {
        state_ = ServiceState::unready;
    }
    return {};
}

ServiceAction ServiceFsm::on(const event::StopAsked&, TimePoint now) {
    if (state_ == ServiceState::pending) state_ = ServiceState::exited;
    if (!alive() || state_ == ServiceState::stopping) return {};
    return begin_stop(now);
}

ServiceAction ServiceFsm::begin_stop(TimePoint now) {
    state_ = ServiceState::stopping;
    deadline_.reset();
    if (pid_ == 0) return {};  // the stop signal follows as soon as the program runs
    deadline_ = now + policy_.stop_timeout;
    return {What::terminate, deadline_};
}

ServiceAction ServiceFsm::on(const event::KillAsked&, TimePoint) {
    if (state_ == ServiceState::pending) state_ = ServiceState::exited;
    if (!alive()) return {};
    state_ = ServiceState::stopping;
    no_grace_ = true;
    return pid_ == 0 ? ServiceAction{} : kill();
}

ServiceAction ServiceFsm::kill() {
    was_killed_ = true;
    deadline_.reset();
    return {What::kill, std::nullopt};
}

ServiceAction ServiceFsm::on(const event::Exited&, TimePoint) {
    if (!alive()) return {};
    state_ = state_ == ServiceState::stopping ? ServiceState::exited : ServiceState::failed;
    pid_ = 0;
    deadline_.reset();
    return {};
}

ServiceAction ServiceFsm::on(const event::Tick&, TimePoint now) {
    if (!deadline_ || now < *deadline_) return {What::nothing, deadline_};
    deadline_.reset();
    switch (state_) {
        case ServiceState::starting:
        case ServiceState::started:
            return {What::deadline_missed, std::nullopt};
        case ServiceState::stopping:
            return kill();
        default:
            return {};
    }
}

}  // namespace launcher
