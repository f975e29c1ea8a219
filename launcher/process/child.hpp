/// Starts one service: a new session, three standard descriptors, bounds, identity, exec; nothing
/// else survives.
///
/// Boost.Process makes the process; the steps between fork and exec are ours, in the order of spec
/// "launcher" section 1.2, and use async-signal-safe calls only. Boost never waits for the child:
/// the reaper alone does.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/process/descriptor.hpp"
#include "launcher/runtime/clock.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace launcher {

struct ChildSpec {
    ServicePlan service;
    std::string program;                   ///< path, already found
    std::vector<std::string> environment;  ///< "NAME=value"; complete
    std::uint64_t default_nofile =
        1024;                     ///< soft limit of descriptors unless the service says otherwise
    int cgroup_procs = -1;        ///< borrowed; the child moves there first, -1 = stays
    bool discard_output = false;  ///< stdout and stderr are /dev/null instead of pipes
};

/// The child's steps, in their order.
enum class ChildStep : std::int32_t {
    session,
    descriptors,
    cgroup,
    limits,
    umask,
    directory,
    oom_score,
    nice,
    groups,
    group,
    user,
    no_new_privs,
    parent_death,
    signals,
    close_range,
    exec,
};
std::string_view to_string(ChildStep step);

/// A process that was made and may not have reached its program yet.
struct StartedChild {
    int pid = 0;
    Descriptor pidfd;        ///< not open on kernels without pidfd_open
    Descriptor output;       ///< our end of stdout; not open with discard_output
    Descriptor errors;       ///< our end of stderr; not open with merge_streams or a terminal
    Descriptor exec_status;  ///< closes at exec, or tells why there was none
};

/// Why a program could not be run.
struct StartFault {
    int exit_code = 0;  ///< 127: not found, 126: anything else
    std::string text;   ///< "exec failed: /opt/kms: Permission denied (errno 13)"
};

/// Makes the process. Must be called on the main thread: the child dies with the thread that made
/// it. Errors (unavailable, invalid_argument): pipes, fork, an unknown user; then there is no
/// process.
runtime::Result<StartedChild> start_child(const ChildSpec& spec);

/// Waits until the program runs. Nothing: it does. The caller kills the child after
/// deadline_exceeded (as a fault with exit code 126).
runtime::Task<std::optional<StartFault>> confirm_exec(runtime::Clock& clock, Descriptor exec_status,
                                                      std::string program,
                                                      runtime::Deadline deadline);

/// Sends a signal to a process, by pidfd where there is one. False when it is gone.
bool send_signal(int pid, const Descriptor& pidfd, int signal);

}  // namespace launcher
