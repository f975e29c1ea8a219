/// What the machine says about the launcher and about itself: its own process, its cgroup, the
/// pressure of the host. Source: spec "launcher" section 5.1; proc(5); the kernel's documentation
/// of PSI and of cgroup v2.
#pragma once

#include "launcher/process/proc_stat.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace launcher {

/// A value that may not be read is absent, not 0.
struct SystemSample {
    std::optional<ProcessStatus> self;
    std::optional<std::uint64_t> cgroup_memory_bytes;
    std::optional<std::uint64_t> cgroup_memory_limit_bytes;  ///< absent when there is no limit
    std::optional<std::uint64_t> cgroup_oom_kills;
    struct Pressure {
        std::string resource;  ///< "cpu", "memory", "io"
        std::string kind;      ///< "some", "full"
        double seconds = 0;    ///< stalled since boot
    };
    std::vector<Pressure> pressure;
};

/// Reads a dozen small files of /proc and /sys.
SystemSample sample_system();

/// Pure: the totals of one file of /proc/pressure.
std::vector<SystemSample::Pressure> parse_pressure(std::string_view resource,
                                                   std::string_view text);
/// Pure: the value behind `key` in "key value" lines, as memory.events has them.
std::optional<std::uint64_t> keyed_number(std::string_view text, std::string_view key);
/// Pure: the path of the process in the unified hierarchy ("0::/x"), or of the v1 memory controller
/// when `v1`.
std::optional<std::string> cgroup_path(std::string_view proc_self_cgroup, bool v1);

}  // namespace launcher
