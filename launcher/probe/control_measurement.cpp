#include "launcher/probe/control_measurement.hpp"

#include "launcher/probe/probe.hpp"

namespace launcher {

using std::chrono::duration_cast;

runtime::Task<ControlMeasurement> measure_control(runtime::Clock& clock, std::string health_url,
                                                  runtime::Deadline deadline) {
    ControlMeasurement control;
    const auto due = clock.now() + std::chrono::milliseconds(1);
    if (!deadline.expired(due)) {
        co_await clock.sleep_until(due);
        control.lag = std::max(clock.now() - due, runtime::Duration::zero());
    }
    if (health_url.empty()) co_return control;
    ProbePlan plan;
    plan.kind = ProbeKind::http;
    plan.url = health_url + "/livez";
    plan.expect_status = {200, 503};  // any answer will do: the question is how long it takes
    const auto begin = clock.now();
    const ProbeResult result = co_await run_probe(clock, std::move(plan), deadline);
    control.round_trip = clock.now() - begin;
    control.answered = result.ok();
    co_return control;
}

bool launcher_was_late(const ControlMeasurement& control, milliseconds headers) {
    return control.lag > kMaxTimerLag || control.round_trip > headers / 2;
}

ProbeResult judged(ProbeResult result, const ControlMeasurement& control, milliseconds headers) {
    if (!is_timeout(result.outcome) || !launcher_was_late(control, headers)) return result;
    const auto shown = [](runtime::Duration span) {
        return std::to_string(duration_cast<milliseconds>(span).count()) + " ms";
    };
    result.detail = "the launcher itself was late (timer " + shown(control.lag) +
                    ", own health listener " + shown(control.round_trip) +
                    "), so this does not count: " + result.detail;
    result.outcome = ProbeOutcome::probe_late;
    return result;
}

}  // namespace launcher
