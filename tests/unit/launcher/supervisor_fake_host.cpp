#include "tests/unit/launcher/supervisor_fake_host.hpp"

#include <csignal>
#include <stdexcept>

#include <boost/asio/co_spawn.hpp>

namespace test {

using namespace launcher;
using namespace std::chrono_literals;

namespace {

Supervisor::Options options() {
    Supervisor::Options made;
    made.version = "test";
    made.pid = 1;
    made.random = [] { return 0.0; };
    return made;
}

}  // namespace

void FakeHost::end(const std::string& service, ExitStatus status) {
    const auto process = processes_.at(service);
    processes_.erase(service);
    ChildEnd end;
    end.pid = process.pid;
    end.status = status;
    process.on_end(end);
}

std::vector<std::string> FakeHost::actions() const {
    std::vector<std::string> list;
    for (const auto& record : records)
        if (!record.action.empty()) list.push_back(record.action);
    return list;
}

const logs::Record* FakeHost::record(const std::string& action) const {
    for (const auto& record : records)
        if (record.action == action) return &record;
    return nullptr;
}

int FakeHost::deeds_like(const std::string& start) const {
    return static_cast<int>(std::count_if(
        deeds.begin(), deeds.end(), [&](const auto& deed) { return deed.starts_with(start); }));
}

runtime::Task<SpawnOutcome> FakeHost::spawn(ServicePlan service,
                                            std::function<void(ChildEnd)> on_end,
                                            runtime::Deadline) {
    deeds.push_back("spawn " + service.name);
    if (const auto refusal = refusals.find(service.name); refusal != refusals.end())
        co_return refusal->second;
    const int pid = next_pid_++;
    processes_[service.name] = {pid, std::move(on_end)};
    co_return SpawnOutcome{pid, 0, "", {{"nofile", "1024"}}};
}

void FakeHost::signal_service(const std::string& service, int signal, bool group) {
    if (!processes_.contains(service)) return;
    if (signal == SIGCONT) return;
    deeds.push_back(std::to_string(signal) + " " + service + (group ? " group" : ""));
    if (signal == SIGKILL)
        end(service, {true, SIGKILL, false});
    else if (signal == SIGTERM && obedient[service])
        end(service, {false, 0, false});
}

int FakeHost::signal_descendants(int signal) {
    const int left = descendants;
    if (left > 0) deeds.push_back(std::to_string(signal) + " descendants");
    if (signal == SIGKILL || !stubborn_descendants) descendants = 0;
    return left;
}

runtime::Task<ProbeResult> FakeHost::probe(std::string service, ProbePlan probe,
                                           runtime::Deadline deadline) {
    const auto name = service + (probe.role == ProbeRole::startup    ? " startup"
                                 : probe.role == ProbeRole::liveness ? " liveness"
                                                                     : " readiness");
    const auto answer = answers.find(name);
    ProbeResult result;
    result.outcome = answer == answers.end() ? ProbeOutcome::tcp_refused : answer->second;
    const auto began = clock_.now();
    auto takes = probe_time[name];
    if (is_timeout(result.outcome) && takes == 0s) takes = probe.timeouts.headers;
    co_await clock_.sleep_until(std::min(began + takes, deadline.at()));
    result.total = std::chrono::duration_cast<std::chrono::microseconds>(clock_.now() - began);
    if (result.ok()) result.phase = phases[service];
    if (result.ok()) result.status = 200;
    result.at = clock_.wall_now();
    co_return result;
}

runtime::Task<ControlMeasurement> FakeHost::control(runtime::Deadline) {
    ControlMeasurement measured;
    measured.round_trip = control_time;
    co_return measured;
}

runtime::Task<std::vector<Listener>> FakeHost::listeners(std::map<int, std::string>, std::uint16_t,
                                                         runtime::Deadline) {
    co_return sockets;
}

Stage::Stage(Plan plan)
    : supervisor(io.get_executor(), clock, host, board, std::move(plan), options()) {
    boost::asio::co_spawn(io, supervisor.run(), [this](std::exception_ptr failure, int status) {
        if (failure) std::rethrow_exception(failure);
        exit_status = status;
    });
    run_ready(io);
}

void Stage::pass(runtime::Duration span) {
    for (runtime::Duration passed{0}; passed < span; passed += 10ms) {
        clock.advance(10ms);
        run_ready(io);
    }
}

const ServiceStatus& Stage::status_of(const std::string& service) const {
    const auto status = board.current();
    for (const auto& entry : status->services)
        if (entry.name == service) return entry;
    throw std::logic_error("no such service: " + service);
}

ServiceState Stage::state(const std::string& service) const {
    return status_of(service).state;
}

}  // namespace test
