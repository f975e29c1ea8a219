/// Host: what the supervisor needs of the world. The program gives it processes, sockets and logs
/// (ProcessHost); tests give it a script. Everything is called on the supervisor's thread.
#pragma once

#include "launcher/control/evidence_taker.hpp"
#include "launcher/logs/pipeline.hpp"
#include "launcher/plan/listener.hpp"
#include "launcher/plan/plan.hpp"
#include "launcher/plan/probe_result.hpp"
#include "launcher/plan/process_end.hpp"
#include "launcher/probe/control_measurement.hpp"
#include "launcher/process/proc_stat.hpp"
#include "launcher/runtime/clock.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace launcher {

/// What became of an attempt to run a program: a pid, or why there is none.
struct SpawnOutcome {
    int pid = 0;
    int exit_code = 0;                          ///< 126, 127 or 70 when pid is 0
    std::string fault;                          ///< a sentence when pid is 0
    std::map<std::string, std::string> limits;  ///< bounds in force: "nofile" → "65536"
};

class Host {
  public:
    virtual ~Host() = default;

    /// Runs the service's program, once. `on_end` is called when it was reaped, never before this
    /// has returned.
    virtual runtime::Task<SpawnOutcome> spawn(ServicePlan service,
                                              std::function<void(ChildEnd)> on_end,
                                              runtime::Deadline deadline) = 0;
    /// To the leader, or to its whole group. Nothing happens when it is gone.
    virtual void signal_service(const std::string& service, int signal, bool group) = 0;
    /// Signals what the services left behind, and returns how many that were.
    virtual int signal_descendants(int signal) = 0;
    /// Whether any child is left, dead or alive.
    virtual bool has_children() = 0;

    virtual runtime::Task<ProbeResult> probe(std::string service, ProbePlan probe,
                                             runtime::Deadline deadline) = 0;
    virtual runtime::Task<ControlMeasurement> control(runtime::Deadline deadline) = 0;
    /// All listeners; services as leader → name.
    virtual runtime::Task<std::vector<Listener>> listeners(std::map<int, std::string> services,
                                                           std::uint16_t port,
                                                           runtime::Deadline deadline) = 0;
    virtual std::optional<ProcessStatus> process_status(int pid) = 0;

    virtual void emit(logs::Record record) = 0;
    virtual std::vector<std::string> last_lines(const std::string& service, std::size_t count) = 0;
    /// Reads what an ended service left in its pipes, for at most `limit`.
    virtual runtime::Task<void> drain(std::string service, milliseconds limit) = 0;
    virtual logs::PipelineCounters log_counters() = 0;
    virtual std::string log_filter() = 0;
    virtual bool flush(milliseconds limit) = 0;

    virtual std::uint64_t orphans_reaped() = 0;
    /// To systemd ("READY=1"); nothing happens where there is none.
    virtual void notify(const std::string& state) = 0;
    /// Takes evidence about a service's process; as EvidenceTaker::take().
    virtual runtime::Task<EvidenceOutcome> take_evidence(EvidenceOrder order,
                                                         runtime::Deadline deadline) = 0;
};

}  // namespace launcher
