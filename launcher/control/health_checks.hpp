/// What /livez, /startupz, /readyz and /healthz ask of a status. Pure. Source: spec "launcher"
/// section 5.
#pragma once

#include "launcher/control/status.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace launcher {

/// A picture older than this says that the main loop does not turn.
inline constexpr std::chrono::seconds kMaxPictureAge{5};

struct HealthCheck {
    std::string name;  ///< "launcher", or the service
    bool ok = false;
    std::string text;  ///< "ready", "frozen since …: http_headers_timeout: …"
};

/// One check, "launcher": the main loop has turned within 5 s. Deliberately ignores the services.
std::vector<HealthCheck> live_checks(const Status& status, runtime::TimePoint now);
/// Each service has been started once.
std::vector<HealthCheck> startup_checks(const Status& status);
/// The launcher is on time and not stopping, and each service (or only `service`) is ready and not
/// frozen.
std::vector<HealthCheck> ready_checks(const Status& status, runtime::TimePoint now,
                                      std::string_view service = {});
/// The launcher is on time; each service's process exists and is not frozen.
std::vector<HealthCheck> process_checks(const Status& status, runtime::TimePoint now);

}  // namespace launcher
