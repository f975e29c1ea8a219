#include "launcher/control/health_checks.hpp"

#include <cstdio>

namespace launcher {
namespace {

HealthCheck launcher_check(const Status& status, runtime::TimePoint now) {
    const auto age = now - status.taken;
    if (age <= kMaxPictureAge) return {"launcher", true, "the main loop turns"};
    if (status.taken == runtime::TimePoint{})
        return {"launcher", false, "the main loop has not turned yet"};
    char text[80];
    std::snprintf(text, sizeof text, "the main loop has not turned for %.1f s",
                  std::chrono::duration<double>(age).count());
    return {"launcher", false, text};
}

std::string frozen_text(const ServiceStatus& service) {
    std::string text = "frozen (" + std::string(to_string(service.freeze_class)) + ")";
    if (service.freeze_since) text += " since " + utc_text(*service.freeze_since);
    if (!service.last_freeze_sentence.empty()) text += ": " + service.last_freeze_sentence;
    return text;
}

/// The state, and what the probe that failed last has said.
std::string state_text(const ServiceStatus& service) {
    std::string text(to_string(service.state));
    if (!service.phase.empty()) text += ", phase " + service.phase;
    if (service.state == ServiceState::ready) return text;
    for (const auto& probe : service.probes)
        if (probe.last && !probe.last->ok()) {
            text += "; " + probe.name + " probe: " + std::string(to_string(probe.last->outcome));
            if (!probe.last->detail.empty()) text += ": " + probe.last->detail;
            break;
        }
    return text;
}

/// Before the first picture there is nothing to be healthy.
void require_services(const Status& status, std::vector<HealthCheck>& checks) {
    if (status.services.empty()) checks.push_back({"launcher", false, "no service is known yet"});
}

}  // namespace

std::vector<HealthCheck> live_checks(const Status& status, runtime::TimePoint now) {
    return {launcher_check(status, now)};
}

std::vector<HealthCheck> startup_checks(const Status& status) {
    std::vector<HealthCheck> checks;
    require_services(status, checks);
    for (const auto& service : status.services)
        checks.push_back(
            {service.name, service.was_started,
             service.was_started ? "has been started" : "not started yet: " + state_text(service)});
    return checks;
}

std::vector<HealthCheck> ready_checks(const Status& status, runtime::TimePoint now,
                                      std::string_view service) {
    std::vector<HealthCheck> checks{launcher_check(status, now)};
    if (status.state == "stopping") checks.push_back({"launcher", false, "stopping"});
    require_services(status, checks);
    for (const auto& each : status.services) {
        if (!service.empty() && each.name != service) continue;
        const bool frozen = each.freeze == FreezeState::frozen;
        checks.push_back({each.name, each.state == ServiceState::ready && !frozen,
                          frozen ? frozen_text(each) : state_text(each)});
    }
    return checks;
}

std::vector<HealthCheck> process_checks(const Status& status, runtime::TimePoint now) {
    std::vector<HealthCheck> checks{launcher_check(status, now)};
    require_services(status, checks);
    for (const auto& service : status.services) {
        const bool frozen = service.freeze == FreezeState::frozen;
        const bool exists = service.pid > 0 && !service.exit;
        checks.push_back({service.name, exists && !frozen,
                          !exists  ? "no process: " + state_text(service)
                          : frozen ? frozen_text(service)
                                   : "process " + std::to_string(service.pid)});
    }
    return checks;
}

}  // namespace launcher
