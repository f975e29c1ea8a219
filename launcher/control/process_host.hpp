/// ProcessHost: the supervisor's world made of real processes, pipes and sockets.
#pragma once

#include "launcher/control/evidence_taker.hpp"
#include "launcher/control/host.hpp"
#include "launcher/control/systemd.hpp"
#include "launcher/control/wakeup.hpp"
#include "launcher/probe/line_watch.hpp"
#include "launcher/probe/notify_socket.hpp"
#include "launcher/probe/probe.hpp"
#include "launcher/process/cgroup.hpp"
#include "launcher/process/descriptor.hpp"
#include "launcher/process/environment.hpp"
#include "launcher/process/reaper.hpp"
#include "launcher/runtime/workers.hpp"

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

namespace launcher {

class ProcessHost final : public Host {
  public:
    struct Parts {
        boost::asio::any_io_executor executor;  ///< of the main thread
        runtime::Clock& clock;
        logs::LogPipeline& pipeline;
        runtime::Workers& workers;
        SystemdNotifier& systemd;
        EvidenceTaker* evidence = nullptr;  ///< may be null
        std::uint64_t default_nofile = 1024;
    };
    /// `environments`: each service's complete environment.
    ProcessHost(Parts parts, std::map<std::string, std::vector<std::string>> environments);
    ~ProcessHost() override;

    /// The health endpoint's URL, for the control measurement.
    void set_health_url(std::string url) { health_url_ = std::move(url); }
    /// Called whenever some child has ended.
    void on_children_changed(std::function<void()> listener) {
        children_changed_ = std::move(listener);
    }
    /// Takes every ended child, in portions. Call on SIGCHLD and once a second.
    void reap();
    /// Logs each orphan at debug.
    void log_orphans();

    runtime::Task<SpawnOutcome> spawn(ServicePlan service, std::function<void(ChildEnd)> on_end,
                                      runtime::Deadline deadline) override;
    void signal_service(const std::string& service, int signal, bool group) override;
    int signal_descendants(int signal) override;
    bool has_children() override;
    runtime::Task<ProbeResult> probe(std::string service, ProbePlan probe,
                                     runtime::Deadline deadline) override;
    runtime::Task<ControlMeasurement> control(runtime::Deadline deadline) override;
    runtime::Task<std::vector<Listener>> listeners(std::map<int, std::string> services,
                                                   std::uint16_t port,
                                                   runtime::Deadline deadline) override;
    std::optional<ProcessStatus> process_status(int pid) override;
    void emit(logs::Record record) override;
    std::vector<std::string> last_lines(const std::string& service, std::size_t count) override;
    runtime::Task<void> drain(std::string service, milliseconds limit) override;
    logs::PipelineCounters log_counters() override;
    std::string log_filter() override;
    bool flush(milliseconds limit) override;
    std::uint64_t orphans_reaped() override;
    void notify(const std::string& state) override;
    runtime::Task<EvidenceOutcome> take_evidence(EvidenceOrder order,
                                                 runtime::Deadline deadline) override;

  private:
    struct Running {
        int pid = 0;
        Descriptor pidfd;
    };
    struct Watched;  ///< notify socket and line watches of one service
    /// A drain under way, which may outlast the wait for it.
    struct Drained {
        bool done = false;
        Wakeup wakeup;
    };
    Watched& watched(const ServicePlan& service);
    runtime::Task<void> drain_on_worker(std::string service, milliseconds limit,
                                        std::shared_ptr<Drained> drained);
    Descriptor enter_cgroup(const ServicePlan& service);
    std::map<std::string, std::string> limits_of(const std::string& service, int pid) const;
    runtime::Task<runtime::Result<int>> run_command(std::string service,
                                                    std::vector<std::string> command,
                                                    runtime::Deadline deadline);

    Parts parts_;
    std::map<std::string, std::vector<std::string>> environments_;
    std::map<std::string, Running> running_;
    std::map<std::string, std::unique_ptr<Watched>> watched_;
    std::map<std::string, ServicePlan> plans_;
    Reaper reaper_;
    ServiceCgroups cgroups_{own_cgroup()};
    bool no_children_ = false;
    bool reap_again_ = false;
    std::function<void()> children_changed_;
    std::string health_url_;
};

}  // namespace launcher
