/// Status: an immutable picture of the whole stack, replaced as a whole by the supervisor and read
/// by the health endpoint, which therefore shares no lock with anybody. Source: spec "launcher"
/// section 5.
#pragma once

#include "launcher/logs/pipeline.hpp"
#include "launcher/plan/plan.hpp"
#include "launcher/plan/probe_result.hpp"
#include "launcher/process/proc_stat.hpp"
#include "launcher/runtime/deadline.hpp"
#include "launcher/runtime/metrics.hpp"
#include "launcher/supervise/states.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace launcher {

struct ProbeStatus {
    std::string name;  ///< "startup", "liveness", "readiness"
    ProbeKind kind = ProbeKind::http;
    std::optional<ProbeResult> last;
    std::vector<ProbeResult> recent;  ///< oldest first, at most 20
    int consecutive = 0;              ///< equal outcomes in a row
    std::chrono::system_clock::time_point last_change{}, last_ok{};
    std::array<std::uint64_t, kProbeOutcomes> results{};  ///< counts by outcome
    /// Histograms by stage: cumulative buckets as in runtime::DurationHistogram.
    std::array<runtime::DurationHistogram::Snapshot, kProbeStages> stages{};
};

struct ServiceStatus {
    std::string name;
    ServiceState state = ServiceState::pending;
    std::string phase;  ///< "onboarding", "serving"; empty when unknown
    int pid = 0;
    std::optional<std::chrono::system_clock::time_point> started, ready_since;
    std::optional<double> time_to_ready_seconds;
    std::optional<ExitStatus> exit;
    bool was_started = false;  ///< has been `started` once
    std::vector<ProbeStatus> probes;
    FreezeState freeze = FreezeState::none;
    ProbeOutcome freeze_class = ProbeOutcome::ok;
    std::optional<std::chrono::system_clock::time_point> freeze_since;
    std::map<ProbeOutcome, std::uint64_t> freezes;  ///< count by class
    double freeze_seconds = 0;  ///< of past freezes; the running one is added when rendered
    std::string last_freeze_sentence;
    std::string last_evidence_id;
    std::map<std::string, std::uint64_t> evidence_taken, evidence_skipped;  ///< by reason
    std::optional<ProcessStatus> process;
    std::map<std::string, std::string> limits;  ///< bounds in force: "nofile" → "65536"
};

struct Status {
    std::string version;
    int pid = 0;
    bool pid1 = false;
    std::chrono::system_clock::time_point started{};
    runtime::TimePoint taken{};  ///< monotonic time of this picture; /livez looks at its age
    /// Calendar time of this picture, for uptimes; when it is not set they are left out.
    std::chrono::system_clock::time_point taken_wall{};
    std::string state;  ///< "starting", "running", "stopping"
    std::string config_digest, config_source;
    std::vector<ServiceStatus> services;
    logs::PipelineCounters log;
    std::string log_filter;
    std::uint64_t orphans_reaped = 0;
    runtime::DurationHistogram::Snapshot loop_lag;
    double control_seconds = 0;  ///< last control measurement (section 2.4)
};

/// The word of the configuration for a kind of probe: "http-auto".
std::string_view kind_name(ProbeKind kind);
/// Calendar time at monotonic time `now`, as this picture knows it; nothing when taken_wall is not
/// set.
std::optional<std::chrono::system_clock::time_point> wall_time(const Status& status,
                                                               runtime::TimePoint now);
/// "2026-11-22T20:49:30.754Z"; empty for the epoch.
std::string utc_text(std::chrono::system_clock::time_point time);
/// Pure: the document of /status (schema version 1). Holds no argv, no environment, no path of a
/// secret.
std::string status_json(const Status& status, runtime::TimePoint now);

/// Where the supervisor puts the newest picture and readers take it from; any thread.
class StatusBoard {
  public:
    void publish(std::shared_ptr<const Status> status) {
        std::atomic_store(&current_, std::move(status));
    }
    std::shared_ptr<const Status> current() const { return std::atomic_load(&current_); }

  private:
    std::shared_ptr<const Status> current_ = std::make_shared<const Status>();
};

}  // namespace launcher
