/// Supervisor: the coroutine shell around the machines of launcher/supervise. It starts the
/// services in dependency order, asks their probes, publishes what it knows, and ends everything in
/// order. It restarts nothing, and no result of a probe ever sends a signal; only a start-up
/// deadline ends the launcher. Source: spec "launcher" sections 1, 2.
#pragma once

#include "launcher/control/host.hpp"
#include "launcher/control/service_unit.hpp"
#include "launcher/control/status.hpp"
#include "launcher/control/wakeup.hpp"
#include "launcher/supervise/diagnosis.hpp"
#include "launcher/supervise/exit_status.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

namespace launcher {

class Supervisor {
  public:
    struct Options {
        std::string version;
        int pid = 0;
        bool pid1 = false;
        std::function<double()> random;  ///< from 0 to 1, for jitter
    };
    /// Everything runs on `executor`, one thread. `clock`, `host` and `board` must outlive it.
    Supervisor(boost::asio::any_io_executor executor, runtime::Clock& clock, Host& host,
               StatusBoard& board, Plan plan, Options options);
    ~Supervisor();

    /// The whole life: returns the launcher's exit status when every service is gone.
    runtime::Task<int> run();

    /// Orderly stop; a second call ends the grace of what is left. `cause` is a sentence for the
    /// record.
    void request_stop(const std::string& cause);
    /// Nothing can be started: ends with `exit_code` without starting anything more.
    void refuse(const std::string& service, int exit_code);
    /// Evidence of every living service, side by side; returns after `limit` at the latest.
    runtime::Task<void> take_evidence(std::string reason, runtime::Duration limit);
    /// Evidence of one service, because somebody asks. The fault says why there is none.
    runtime::Task<EvidenceOutcome> take_evidence_of(std::string service,
                                                    runtime::Deadline deadline);
    /// Sends `signal` to the services that list it in forward_signals; false when none does.
    bool forward(int signal);
    /// A child of the launcher has ended, whoever it was.
    void children_changed() { changed_.notify(); }
    /// A new picture for the health endpoint.
    void publish();
    /// The newest picture.
    std::shared_ptr<const Status> status() const;

    /// After run(): how everything ended, for the exit record.
    const Ending& ending() const { return *ending_; }
    const std::vector<ServiceEnd>& ends() const { return ends_; }

  private:
    // Life of a service (supervisor.cpp)
    void apply(ServiceUnit& unit, const ServiceEvent& event);
    void on_state(ServiceUnit& unit, ServiceState before);
    void start_what_can();
    bool dependencies_met(const ServiceUnit& unit) const;
    runtime::Task<void> start(ServiceUnit& unit);
    runtime::Task<void> tick_at(ServiceUnit& unit, runtime::TimePoint at);
    void on_end(ServiceUnit& unit, const ChildEnd& end);
    runtime::Task<void> finish_end(ServiceUnit& unit, ChildEnd end, bool expected);
    runtime::Task<void> miss_deadline(ServiceUnit& unit);

    // The end of everything (supervisor_stop.cpp)
    void begin_ending(Ending ending, const std::string& cause);
    runtime::Task<int> stop_all();
    runtime::Task<void> wait_gone(std::vector<ServiceUnit*> units, runtime::Deadline deadline);
    runtime::Task<void> wait_drained(runtime::Deadline deadline);
    runtime::Task<void> stop_services(runtime::Deadline total);
    runtime::Task<void> end_descendants(runtime::Deadline deadline);

    // Probes (supervisor_probes.cpp)
    runtime::Task<void> startup_loop(ServiceUnit& unit);
    runtime::Task<void> probe_loop(ServiceUnit& unit, ProbeTrack& track,
                                   runtime::Duration first_pause);
    runtime::Task<ProbeResult> ask(ServiceUnit& unit, ProbeTrack& track);
    void begin_probing(ServiceUnit& unit);
    void on_result(ServiceUnit& unit, ProbeTrack& track, const ProbeResult& result);
    void on_liveness(ServiceUnit& unit, const ProbeResult& result);
    void note_phase(ServiceUnit& unit, const std::string& phase);
    void take_one_evidence(ServiceUnit& unit, const std::string& reason);
    runtime::Task<EvidenceOutcome> evidence_of(ServiceUnit& unit, std::string reason,
                                               runtime::Deadline deadline);
    struct Waiting {
        explicit Waiting(boost::asio::any_io_executor executor) : done(std::move(executor)) {}
        int left = 0;
        Wakeup done;
    };
    runtime::Task<void> evidence_beside(ServiceUnit& unit, std::string reason,
                                        runtime::Deadline deadline,
                                        std::shared_ptr<Waiting> waiting);
    runtime::Task<void> evidence_loop(ServiceUnit& unit);
    runtime::Task<void> explain_change(ServiceUnit& unit, ProbeTrack& track, ProbeResult result,
                                       std::optional<ProbeOutcome> before);
    runtime::Task<void> explain_freeze(ServiceUnit& unit, FreezeChange change);
    struct Finding {
        Diagnosis diagnosis;
        std::vector<Listener> listeners;
    };
    runtime::Task<Finding> find_out(ServiceUnit& unit, const ProbeTrack& track);
    struct Control {
        std::optional<ControlMeasurement> measured;
    };
    runtime::Task<void> measure(std::shared_ptr<Control> control, runtime::Deadline deadline);

    // What others see (supervisor_status.cpp)
    runtime::Task<void> heartbeat();
    void tell_systemd();
    bool all_reached(Dependency wanted) const;
    void spawn_task(runtime::Task<void> task);

    boost::asio::any_io_executor executor_;
    runtime::Clock& clock_;
    Host& host_;
    StatusBoard& board_;
    const Plan plan_;
    const Options options_;
    std::vector<std::unique_ptr<ServiceUnit>> units_;  ///< in start order
    Wakeup changed_;  ///< a service changed its state, or everything has to end
    std::optional<Ending> ending_;
    std::string ending_cause_;
    bool no_grace_ = false;
    bool finished_ = false;
    bool ready_told_ = false, all_ready_told_ = false;
    std::string last_status_line_;
    std::vector<ServiceEnd> ends_;
    std::chrono::system_clock::time_point started_;
    runtime::TimePoint started_at_;
    runtime::DurationHistogram loop_lag_;
    runtime::Duration worst_recent_lag_{
        0};  ///< of the last heartbeats, for the control measurement
    runtime::TimePoint worst_lag_at_{};
    double control_seconds_ = 0;
};

}  // namespace launcher
