// The end of everything: services in reverse order of their start, then what they left behind, then
// the records.
#include "launcher/control/supervisor.hpp"
#include "launcher/control/supervisor_records.hpp"

#include <algorithm>
#include <array>
#include <csignal>

namespace launcher {
namespace {

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::LogLevel;
using runtime::Task;

// What follows the services has one second altogether (section 1.6): 300 + 300 + 300 ms and what
// flushing needs.
constexpr auto kAfterKill = 300ms;        ///< SIGKILL → reaped
constexpr auto kDescendantGrace = 500ms;  ///< SIGTERM → SIGKILL
constexpr auto kAfterTotal = 900ms;
constexpr auto kFlush = 1000ms;

}  // namespace

void Supervisor::begin_ending(Ending ending, const std::string& cause) {
    if (ending_) return;
    ending_ = std::move(ending);
    ending_cause_ = cause;
    publish();
    changed_.notify();
}

Task<void> Supervisor::wait_gone(std::vector<ServiceUnit*> units, Deadline deadline) {
    const auto gone = [](const ServiceUnit* unit) { return !unit->fsm.alive(); };
    while (!std::all_of(units.begin(), units.end(), gone) && !deadline.expired(clock_.now()))
        co_await changed_.wait(clock_, deadline);
}

Task<void> Supervisor::wait_drained(Deadline deadline) {
    const auto drained = [](const auto& unit) { return unit->drained; };
    while (!std::all_of(units_.begin(), units_.end(), drained) && !deadline.expired(clock_.now()))
        co_await changed_.wait(clock_, deadline);
}

Task<void> Supervisor::stop_services(Deadline total) {
    std::vector<ServiceUnit*> all;
    for (auto unit = units_.rbegin(); unit != units_.rend(); ++unit) all.push_back(unit->get());
    for (auto* unit : all) {
        if (no_grace_)
            apply(*unit, event::KillAsked{});
        else
            apply(*unit, event::StopAsked{});
        if (plan_.stop_parallel) continue;
        const std::vector<ServiceUnit*> one(1, unit);
        co_await wait_gone(one, total);
    }
    co_await wait_gone(all, total);
    for (auto* unit : all)
        if (unit->fsm.alive()) apply(*unit, event::KillAsked{});
    co_await wait_gone(all, Deadline::after(clock_.now(), kAfterKill));
}

Task<void> Supervisor::end_descendants(Deadline deadline) {
    if (!host_.has_children()) co_return;
    static constexpr std::array kSignals = {SIGTERM, SIGKILL,
                                            SIGKILL};  // twice: a child may be born between
    for (const int signal : kSignals) {
        if (signal == SIGTERM && no_grace_) continue;
        const int left = host_.signal_descendants(signal);
        if (left > 0) {
            logs::Fields fields;
            fields.emplace_back("processes", std::int64_t{left});
            fields.emplace_back("signal", std::int64_t{signal});
            host_.emit(launcher_record(
                LogLevel::warn, "",
                std::to_string(left) + " processes outlived their service and are ended",
                std::move(fields), "launcher::process"));
        }
        const auto limit =
            deadline.narrowed(clock_.now(), signal == SIGTERM ? kDescendantGrace : kAfterKill);
        while (host_.has_children() && !limit.expired(clock_.now()))
            co_await changed_.wait(clock_, limit);
        if (!host_.has_children()) co_return;
    }
}

Task<int> Supervisor::stop_all() {
    const auto total = Deadline::after(clock_.now(), plan_.stop_total);
    const Deadline end = Deadline::after(total.at(), kAfterTotal);
    std::string state = "STOPPING=1\nSTATUS=stopping: " + ending_cause_;
    if (ending_->cause != Ending::Cause::requested)
        state += "\nEXIT_STATUS=" + std::to_string(exit_status(*ending_, ends_));
    host_.notify(state);
    if (ending_->cause != Ending::Cause::startup_deadline)  // that record told everything already
        host_.emit(launcher_record(
            ending_->cause == Ending::Cause::requested ? LogLevel::info : LogLevel::error,
            "stop-begin", "everything is stopped: " + ending_cause_));
    publish();
    co_await stop_services(total);
    co_await wait_drained(end.narrowed(clock_.now(), kAfterKill));
    co_await end_descendants(end);
    const int status = exit_status(*ending_, ends_);
    const auto flush = [&](milliseconds limit) {
        const auto left = std::chrono::duration_cast<milliseconds>(end.remaining(clock_.now()));
        (void)host_.flush(std::clamp<milliseconds>(left, 100ms, limit));
    };
    // What an output does not take by now is counted in the last record, which the others get.
    flush(kFlush / 2);
    host_.emit(launcher_exit_record(*ending_, ends_, status, host_.log_counters(),
                                    host_.orphans_reaped()));
    publish();
    flush(kFlush / 2);
    co_return status;
}

}  // namespace launcher
