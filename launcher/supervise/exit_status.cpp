#include "launcher/supervise/exit_status.hpp"

#include "launcher/plan/signals.hpp"

#include <algorithm>

namespace launcher {

int shell_status(const ExitStatus& status) {
    return status.signalled ? 128 + status.code : status.code;
}

bool ended_well(const ServiceEnd& end) {
    if (end.killed) return false;
    if (end.status.signalled) return end.status.code == end.stop_signal;
    return end.status.code == 0 ||
           std::find(end.success_exit_status.begin(), end.success_exit_status.end(),
                     end.status.code) != end.success_exit_status.end();
}

int exit_status(const Ending& ending, const std::vector<ServiceEnd>& ends) {
    switch (ending.cause) {
        case Ending::Cause::requested:
            for (const auto& end : ends) {
                if (ended_well(end)) continue;
                // A killed service that still managed to end with 0 did not end in time either.
                const auto status = shell_status(end.status);
                return status != 0 ? status : 137;
            }
            return 0;
        case Ending::Cause::service_ended: {
            const auto status = ending.first ? shell_status(*ending.first) : kExitInternal;
            return status != 0 ? status : kExitUnexpectedSuccess;
        }
        case Ending::Cause::spawn_failed:
            return ending.spawn_exit_code;
        case Ending::Cause::startup_deadline:
            return kExitStartupDeadline;
        case Ending::Cause::internal:
            return kExitInternal;
    }
    return kExitInternal;
}

std::string describe(const ExitStatus& status) {
    if (!status.signalled) return "exited with code " + std::to_string(status.code);
    return "was killed by " + signal_name(status.code) +
           (status.core_dumped ? " (core dumped)" : "");
}

}  // namespace launcher
