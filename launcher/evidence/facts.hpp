/// What a snapshot of a process holds, as values. Filled by the readers, judged by the rules,
/// written by the document. No address of the process's memory is ever kept: equal addresses have
/// equal ordinals. Source: spec "launcher" sections 6.1 and 6.2.
#pragma once

#include "launcher/plan/probe_result.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace launcher::evidence {

/// A thread as it was over the whole sample.
struct ThreadFacts {
    int tid = 0;
    std::string name;
    std::string states;   ///< one letter per sample: "SSS"
    bool steady = false;  ///< waits in the same call, for the same thing, in every sample
    std::uint64_t user_ticks = 0, system_ticks = 0;  ///< over the sample
    double cpu_share = 0;                            ///< time on a CPU / length of the sample
    double wait_share = 0;  ///< time ready to run without a CPU / length of the sample
    std::uint64_t voluntary = 0, involuntary = 0;  ///< context switches over the sample
    std::string wchan;                             ///< kernel function it sleeps in; may be empty
    std::string syscall;  ///< "futex"; "running"; "none" outside of calls; empty when not permitted
    std::optional<int> descriptor;   ///< that the call is about
    std::string target;              ///< what that is: "pipe", "socket 127.0.0.1:9200", "futex#1"
    int futex = 0;                   ///< ordinal; 0 = does not wait on one
    int buffer = 0;                  ///< ordinal of the buffer of a read or write
    std::vector<std::string> stack;  ///< kernel functions, innermost first; usually not permitted
};

struct DescriptorFacts {
    int number = 0;
    std::string kind;         ///< "socket", "pipe", "file", "device", "eventpoll", "eventfd", …
    std::uint64_t inode = 0;  ///< of sockets and pipes
    std::string text;         ///< path of a file (shortened where it may tell of secrets)
    std::string info;         ///< from fdinfo: "watches 3", "count 0"
};

struct SocketFacts {
    std::string family;  ///< "tcp", "tcp6", "unix"
    std::string state;   ///< "LISTEN", "ESTABLISHED", …
    std::string local, peer;
    std::uint16_t local_port = 0, peer_port = 0;
    std::uint64_t receive_queue = 0, send_queue = 0;  ///< bytes; of a listener: waiting, limit
    std::uint64_t inode = 0;
    bool limit_known = true;  ///< of a listener
    bool listening() const { return state == "LISTEN"; }
    /// Connections wait in it up to its limit.
    bool queue_full() const {
        return listening() && limit_known && receive_queue > 0 && receive_queue >= send_queue;
    }
};

struct ProcessFacts {
    char state = '?';
    int tracer = 0;  ///< pid of the process that traces it
    std::uint64_t rss_bytes = 0, swap_bytes = 0, threads = 0;
    std::uint64_t open_fds = 0, fd_limit = 0;  ///< limit 0 = unknown
    std::uint64_t read_bytes = 0, written_bytes = 0, read_calls = 0,
                  write_calls = 0;  ///< over the sample
    std::optional<std::int64_t> oom_score;
    bool file_table_full = false;  ///< of the whole system
};

/// One level of the control groups above a process, from its own upwards.
struct CgroupFacts {
    std::string path;
    std::optional<std::uint64_t> memory_current, memory_max, memory_high, pids_current, pids_max;
    std::map<std::string, std::uint64_t> memory_events;  ///< since the group was made
    std::map<std::string, std::uint64_t> new_events;     ///< over the sample
    std::uint64_t periods = 0, throttled = 0;            ///< of CPU bandwidth, over the sample
    std::optional<double> memory_full_avg10;             ///< pressure, percent
};

/// Of the host: shares of the sample in which somebody (some) or everybody (full) waited.
struct PressureFacts {
    std::optional<double> cpu_some, memory_some, memory_full, io_full;
    std::string load_average;
    std::map<std::string, std::uint64_t> memory_kib;  ///< five lines of meminfo
};

struct OtherProcess {
    int pid = 0;
    std::string name;
    double cpu_share = 0;
};

struct ProbeHistory {
    std::string name;                 ///< "startup", "liveness", "readiness"
    std::vector<ProbeResult> recent;  ///< oldest first, at most 20
};

/// The launcher's end of a service's pipe.
struct PipeView {
    std::string service, stream;
    std::uint64_t bytes = 0, size = 0;  ///< in it now, it can hold
    std::uint64_t inode = 0;
    std::chrono::system_clock::time_point last_line{};  ///< when something was read last
};
struct SinkView {
    std::string name, state;
    std::uint64_t queued_bytes = 0, limit_bytes = 0;
    std::chrono::milliseconds stalled_for{0};
};
struct LinesView {
    std::string service;
    std::vector<std::string> lines;  ///< oldest first
};

/// How one step of the reading went.
struct StepNote {
    std::string name;
    std::string fault;  ///< empty; "not permitted", "timeout", "gone", …
    std::chrono::microseconds took{0};
};

struct Facts {
    std::string service;
    int pid = 0;
    std::chrono::milliseconds sample{0};  ///< from the first to the last look at the threads
    std::vector<ProbeHistory> probes;
    double control_seconds = 0;  ///< the launcher's own round trip (section 2.4)
    std::vector<PipeView> pipes;
    std::vector<SinkView> sinks;
    std::vector<ThreadFacts> threads;
    std::uint64_t threads_not_read = 0;  ///< beyond the bound
    std::vector<DescriptorFacts> descriptors;
    std::vector<SocketFacts> sockets;
    ProcessFacts process;
    std::vector<CgroupFacts> cgroups;
    PressureFacts pressure;
    std::vector<OtherProcess> others;
    std::vector<LinesView> lines;
    std::vector<StepNote> steps;
};

}  // namespace launcher::evidence
