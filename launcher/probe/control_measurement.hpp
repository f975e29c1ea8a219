/// The control measurement: before a time-out counts against a service, the launcher asks itself
/// whether it was on time. Source: spec "launcher" section 2.4 ("Control").
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/plan/probe_result.hpp"
#include "launcher/runtime/clock.hpp"

#include <string>

namespace launcher {

/// A lag beyond this makes every time-out of the round doubtful.
inline constexpr std::chrono::milliseconds kMaxTimerLag{500};

struct ControlMeasurement {
    runtime::Duration lag{0};         ///< how late the launcher's own timer fired
    runtime::Duration round_trip{0};  ///< one HTTP exchange with the launcher's own health listener
    bool answered = true;             ///< false when that exchange failed
};

/// Measures once; ends at `deadline` at the latest. `health_url` is HealthEndpoint::url(); when it
/// is empty only the timer is measured.
runtime::Task<ControlMeasurement> measure_control(runtime::Clock& clock, std::string health_url,
                                                  runtime::Deadline deadline);

/// Pure: whether time-outs of this round say nothing about a service whose probe waits `headers`
/// for an answer.
bool launcher_was_late(const ControlMeasurement& control, milliseconds headers);
/// Pure: the result as it counts: a time-out of a round in which the launcher was late becomes
/// probe_late.
ProbeResult judged(ProbeResult result, const ControlMeasurement& control, milliseconds headers);

}  // namespace launcher
