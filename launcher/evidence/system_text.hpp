/// Process, control groups and pressure as /proc and cgroup files show them. Pure. Source: proc(5),
/// cgroups(7), the kernel's cgroup-v2 and psi documents; spec "launcher" section 6.1 steps 7 to 9.
#pragma once

#include "launcher/evidence/facts.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace launcher::evidence {

/// Texts of the files of /proc/PID by their names: stat, status, io, limits, oom_score.
using Texts = std::map<std::string, std::string>;

/// `before` holds `io` of the sample's begin.
ProcessFacts parse_process(const Texts& before, const Texts& now);
/// Whether /proc/sys/fs/file-nr says that the system has no file handles left.
bool file_table_full(std::string_view file_nr);

/// "oom_kill 3\n…" → numbers.
std::map<std::string, std::uint64_t> parse_pairs(std::string_view text);

/// The directories of a process's control groups: v2, and the v1 hierarchies of memory, cpu and
/// pids, each with its ancestors up to the mount point, at most six levels; own level first.
/// From /proc/PID/cgroup and /proc/self/mountinfo.
struct CgroupPlace {
    std::string directory;
    std::string shown;  ///< path below the mount point
    bool v2 = true;
};
std::vector<CgroupPlace> cgroup_places(std::string_view cgroup, std::string_view mountinfo);
/// The files that are read in such a directory.
std::vector<std::string> cgroup_files(bool v2);
/// One level from the texts of its files at the begin and the end of the sample.
CgroupFacts parse_cgroup(const CgroupPlace& place, const Texts& before, const Texts& now);

/// Share of the span in which `kind` ("some", "full") was stalled, in percent, from two texts of a
/// pressure file.
std::optional<double> stalled_share(std::string_view kind, std::string_view before,
                                    std::string_view now, std::chrono::microseconds span);
/// avg10 of a pressure file.
std::optional<double> stalled_avg10(std::string_view kind, std::string_view text);
/// The five lines of /proc/meminfo that matter.
std::map<std::string, std::uint64_t> parse_meminfo(std::string_view text);

/// The `count` busiest of the processes in two looks (pid → text of stat), without those in
/// `excluded`.
std::vector<OtherProcess> busiest(const std::map<int, std::string>& before,
                                  const std::map<int, std::string>& now,
                                  std::chrono::microseconds span, long ticks_per_second,
                                  const std::vector<int>& excluded, std::size_t count = 5);

}  // namespace launcher::evidence
