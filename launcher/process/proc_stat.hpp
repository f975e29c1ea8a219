/// What /proc says about a process and its surroundings. Every function reads a few small files and
/// never waits for the process; a value that may not be read is absent, not 0. Source: proc(5);
/// spec "launcher" section 5.1.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace launcher {

/// Numbers of /proc/PID.
struct ProcessStatus {
    std::uint64_t rss_bytes = 0, virtual_bytes = 0, swap_bytes = 0;
    double user_seconds = 0, system_seconds = 0;
    std::uint64_t threads = 0, open_fds = 0, max_fds = 0;
    std::map<char, std::uint64_t> thread_states;
    std::uint64_t voluntary_switches = 0, involuntary_switches = 0, major_faults = 0;
    std::uint64_t read_bytes = 0, written_bytes = 0;
};

/// Nothing when the process does not exist (a zombie counts as existing).
std::optional<ProcessStatus> read_process_status(int pid);

/// The soft limits that bound a service: "nofile" → "1024", "core" → "0"; "unlimited" where there
/// is none.
std::map<std::string, std::string> read_process_limits(int pid);

/// The fields of /proc/PID/stat that are needed to find one's way in the process tree.
struct ProcessEntry {
    int pid = 0, parent = 0, session = 0;
    char state = '?';
    std::string comm;
};
/// Pure: reads one line of /proc/PID/stat; comm may hold blanks and parentheses.
std::optional<ProcessEntry> parse_process_entry(std::string_view stat_line);
std::optional<ProcessEntry> read_process_entry(int pid);
/// Every process below `root` that is not a zombie, children before grandchildren.
std::vector<int> live_descendants(int root);

}  // namespace launcher
