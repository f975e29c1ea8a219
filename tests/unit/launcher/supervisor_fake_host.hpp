/// A scripted world for the supervisor: processes that exist on paper, probes that answer what the
/// test says.
#pragma once

#include "launcher/control/host.hpp"
#include "launcher/control/supervisor.hpp"
#include "tests/support/manual_clock.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

namespace test {

class FakeHost final : public launcher::Host {
  public:
    explicit FakeHost(ManualClock& clock) : clock_(clock) {}

    // What the test says
    std::map<std::string, launcher::ProbeOutcome>
        answers;                                ///< "kms startup" → outcome; absent = tcp_refused
    std::map<std::string, std::string> phases;  ///< service → phase in good answers
    std::map<std::string, launcher::SpawnOutcome>
        refusals;  ///< services whose program cannot be run
    std::map<std::string, runtime::Duration>
        probe_time;  ///< "kms liveness" → how long an answer takes
    runtime::Duration control_time{0};
    int descendants = 0;  ///< processes that outlive their service
    bool stubborn_descendants = false;
    std::vector<launcher::Listener> sockets;
    std::string refused_evidence;  ///< reason for which evidence is skipped
    /// Services that end by themselves as soon as they get their stop signal.
    std::map<std::string, bool> obedient;

    // What the test looks at
    std::vector<std::string> deeds;  ///< "spawn kms", "15 kms", "9 kms group", "notify READY=1", …
    std::vector<launcher::logs::Record> records;
    std::vector<std::string> evidence;
    bool flushed = false;

    void end(const std::string& service, launcher::ExitStatus status);
    std::vector<std::string> actions() const;  ///< event.action of the records that have one
    const launcher::logs::Record* record(const std::string& action) const;
    int deeds_like(const std::string& start) const;

    runtime::Task<launcher::SpawnOutcome> spawn(launcher::ServicePlan service,
                                                std::function<void(launcher::ChildEnd)> on_end,
                                                runtime::Deadline deadline) override;
    void signal_service(const std::string& service, int signal, bool group) override;
    int signal_descendants(int signal) override;
    bool has_children() override { return descendants > 0; }
    runtime::Task<launcher::ProbeResult> probe(std::string service, launcher::ProbePlan probe,
                                               runtime::Deadline deadline) override;
    runtime::Task<launcher::ControlMeasurement> control(runtime::Deadline deadline) override;
    runtime::Task<std::vector<launcher::Listener>> listeners(std::map<int, std::string> services,
                                                             std::uint16_t port,
                                                             runtime::Deadline deadline) override;
    std::optional<launcher::ProcessStatus> process_status(int) override {
        return launcher::ProcessStatus{};
    }
    void emit(launcher::logs::Record record) override { records.push_back(std::move(record)); }
    std::vector<std::string> last_lines(const std::string& service, std::size_t) override {
        return {"last line of " + service};
    }
    runtime::Task<void> drain(std::string, launcher::milliseconds) override { co_return; }
    launcher::logs::PipelineCounters log_counters() override { return {}; }
    std::string log_filter() override { return "info"; }
    bool flush(launcher::milliseconds) override { return flushed = true; }
    std::uint64_t orphans_reaped() override { return 0; }
    void notify(const std::string& state) override {
        deeds.push_back("notify " + state.substr(0, state.find('\n')));
    }
    runtime::Task<launcher::EvidenceOutcome> take_evidence(launcher::EvidenceOrder order,
                                                           runtime::Deadline) override {
        evidence.push_back(order.service.name + " " + order.reason);
        launcher::EvidenceOutcome outcome;
        outcome.taken = order.reason != refused_evidence;
        outcome.id = "evidence-" + std::to_string(evidence.size());
        co_return outcome;
    }

  private:
    ManualClock& clock_;
    int next_pid_ = 100;
    struct Process {
        int pid;
        std::function<void(launcher::ChildEnd)> on_end;
    };
    std::map<std::string, Process> processes_;
};

/// A supervisor in that world.
class Stage {
  public:
    explicit Stage(launcher::Plan plan);

    boost::asio::io_context io;  // outlives the clock, whose sleepers are timers of it
    ManualClock clock;
    FakeHost host{clock};
    launcher::StatusBoard board;
    launcher::Supervisor supervisor;
    std::optional<int> exit_status;

    /// Lets time pass in steps of 10 ms.
    void pass(runtime::Duration span);
    launcher::ServiceState state(const std::string& service) const;
    const launcher::ServiceStatus& status_of(const std::string& service) const;
};

}  // namespace test
