/// The launcher's exit status. Pure. Source: spec "launcher" section 1.7.
#pragma once

#include "launcher/supervise/states.hpp"

#include <optional>
#include <string>
#include <vector>

namespace launcher {

inline constexpr int kExitUsage = 64;     ///< bad arguments
inline constexpr int kExitInternal = 70;  ///< a bug, or the machine is broken
inline constexpr int kExitStartupDeadline = 75;
inline constexpr int kExitConfig = 78;  ///< bad configuration
inline constexpr int kExitUnexpectedSuccess =
    80;  ///< a service ended with 0, which a server has no reason to do

/// How one service ended.
struct ServiceEnd {
    std::string service;
    ExitStatus status;
    bool asked = false;    ///< it was told to stop before it ended
    bool killed = false;   ///< it was sent SIGKILL by the launcher
    int stop_signal = 15;  ///< what it was told with
    std::vector<int> success_exit_status;
};

/// Why everything ends.
struct Ending {
    enum class Cause {
        requested,      ///< a signal to the launcher
        service_ended,  ///< first unexpected end
        spawn_failed,   ///< a program could not be run
        startup_deadline,
        internal,
    };
    Cause cause = Cause::requested;
    std::string service;              ///< the one that failed
    std::optional<ExitStatus> first;  ///< service_ended: its status
    int spawn_exit_code = 0;          ///< spawn_failed: 126, 127, or kExitInternal
};

/// 128 + signal, or the code.
int shell_status(const ExitStatus& status);
/// Whether the end of a service that was told to stop is a good one.
bool ended_well(const ServiceEnd& end);
/// `ends` in the order in which the services ended.
int exit_status(const Ending& ending, const std::vector<ServiceEnd>& ends);
/// "exited with code 7", "was killed by SIGSEGV (core dumped)".
std::string describe(const ExitStatus& status);

}  // namespace launcher
