/// How a process ended, and what it used. Values only.
#pragma once

#include <chrono>
#include <cstdint>

namespace launcher {

struct ExitStatus {
    bool signalled = false;
    int code = 0;  ///< exit code, or signal number
    bool core_dumped = false;
    friend bool operator==(const ExitStatus&, const ExitStatus&) = default;
};

/// What wait4(2) said about a child.
struct ChildEnd {
    int pid = 0;
    ExitStatus status;
    std::chrono::microseconds user_time{0}, system_time{0};
    std::uint64_t max_rss_bytes = 0;
};

}  // namespace launcher
