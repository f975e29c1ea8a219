// What others see of the supervisor: the status board, systemd, and the heartbeat that keeps both
// fresh.
#include "launcher/control/supervisor.hpp"
#include "launcher/control/supervisor_records.hpp"

#include <algorithm>

namespace launcher {
namespace {

using namespace std::chrono_literals;
using runtime::LogLevel;
using runtime::Task;

constexpr auto kBeat = 500ms;
constexpr auto kLagMemory = 10s;

}  // namespace

Task<void> Supervisor::heartbeat() {
    for (int beat = 0; !finished_; ++beat) {
        const auto due = clock_.now() + kBeat;
        co_await clock_.sleep_until(due);
        const auto now = clock_.now();
        const auto lag = now - due;
        loop_lag_.observe(
            std::chrono::duration<double>(std::max(lag, runtime::Duration::zero())).count());
        if (lag > worst_recent_lag_ || now - worst_lag_at_ > kLagMemory) {
            worst_recent_lag_ = lag;
            worst_lag_at_ = now;
        }
        if (beat % 2 == 0) continue;
        for (auto& unit : units_)
            if (unit->fsm.alive() && unit->pid != 0)
                unit->process = host_.process_status(unit->pid);
        publish();
    }
}

void Supervisor::publish() {
    auto status = std::make_shared<Status>();
    status->version = options_.version;
    status->pid = options_.pid;
    status->pid1 = options_.pid1;
    status->started = started_;
    status->taken = clock_.now();
    status->taken_wall = clock_.wall_now();
    status->state = ending_                            ? "stopping"
                    : all_reached(Dependency::started) ? "running"
                                                       : "starting";
    status->config_digest = plan_.digest;
    status->config_source = plan_.source;
    for (const auto& unit : units_) status->services.push_back(unit->picture());
    status->log = host_.log_counters();
    status->log_filter = host_.log_filter();
    status->orphans_reaped = host_.orphans_reaped();
    status->loop_lag = loop_lag_.snapshot();
    status->control_seconds = control_seconds_;
    board_.publish(std::move(status));
}

std::shared_ptr<const Status> Supervisor::status() const {
    return board_.current();
}

bool Supervisor::all_reached(Dependency wanted) const {
    return std::all_of(units_.begin(), units_.end(), [&](const auto& unit) {
        return wanted == Dependency::started ? unit->running()
                                             : unit->fsm.state() == ServiceState::ready;
    });
}

void Supervisor::tell_systemd() {
    if (ending_) return;
    const auto line = status_line(units_);
    if (!ready_told_ && all_reached(plan_.notify_ready)) {
        ready_told_ = true;
        last_status_line_ = line;
        host_.notify("READY=1\nSTATUS=" + line);
    } else if (line != last_status_line_) {
        last_status_line_ = line;
        host_.notify("STATUS=" + line);
    }
    if (all_ready_told_ || !all_reached(Dependency::ready)) return;
    all_ready_told_ = true;
    host_.emit(
        launcher_record(LogLevel::info, "service-ready",
                        "all services are ready after " + span_text(clock_.now() - started_at_)));
}

}  // namespace launcher
