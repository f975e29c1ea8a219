/// ServiceUnit: all that the supervisor knows about one service, and its picture for the status
/// board.
#pragma once

#include "launcher/control/status.hpp"
#include "launcher/plan/plan.hpp"
#include "launcher/supervise/freeze_fsm.hpp"
#include "launcher/supervise/probe_tally.hpp"
#include "launcher/supervise/service_fsm.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace launcher {

/// One probe of a service: its history, counts and verdict.
class ProbeTrack {
  public:
    explicit ProbeTrack(const ProbePlan& plan);

    const ProbePlan& plan() const { return plan_; }
    const ProbeStatus& history() const { return status_; }
    std::optional<bool> verdict() const { return tally_.verdict(); }

    struct Change {
        bool outcome = false;  ///< another outcome than before (or the first)
        std::optional<ProbeOutcome> before;
        std::optional<bool> verdict;  ///< the new one, if it changed
        std::string old_certificate;  ///< set when the peer presented another certificate
    };
    Change add(const ProbeResult& result, bool good);
    /// With the histograms as of now.
    ProbeStatus picture() const;
    /// The first and the last distinct result, and the last few, for the diagnosis of a start that
    /// failed.
    const std::optional<ProbeResult>& first() const { return first_; }

  private:
    ProbePlan plan_;
    ProbeTally tally_;
    ProbeStatus status_;
    std::optional<ProbeResult> first_;
    std::string certificate_;
    std::array<runtime::DurationHistogram, kProbeStages> stages_;
};

struct ServiceUnit {
    explicit ServiceUnit(const ServicePlan& service);

    ServicePlan plan;
    ServiceFsm fsm;
    FreezeFsm freeze;
    std::optional<ProbeTrack> startup, liveness, readiness;

    int pid = 0;  ///< kept after the end, for records
    std::string phase;
    std::optional<std::chrono::system_clock::time_point> started, ready_since, freeze_since;
    runtime::TimePoint spawned_at{};
    runtime::TimePoint frozen_at{};
    std::optional<double> time_to_ready_seconds;
    std::optional<ChildEnd> end;
    bool drained = true;  ///< no output of it is outstanding
    bool told_to_stop = false;
    std::map<ProbeOutcome, std::uint64_t> freezes;
    double freeze_seconds = 0;
    std::string last_freeze_sentence;
    std::string last_evidence_id;
    std::map<std::string, std::uint64_t> evidence_taken, evidence_skipped;  ///< by reason
    std::optional<ProcessStatus> process;
    std::map<std::string, std::string> limits;  ///< bounds in force

    /// The probe that decides about readiness: readiness, else liveness, else startup; null when
    /// there is none.
    ProbeTrack* ready_source();
    /// The probes that are there, with their role as name.
    std::vector<const ProbeTrack*> tracks() const;
    bool running() const;  ///< probes of the running service make sense
    ServiceStatus picture() const;
};

}  // namespace launcher
