/// The files of /proc/PID/task/TID, and three looks at them → facts about each thread. Pure.
/// Source: proc(5), sched-stats of the kernel's documentation; spec "launcher" section 6.1 step 3.
#pragma once

#include "launcher/evidence/facts.hpp"

#include <array>
#include <string>
#include <string_view>
#include <vector>

namespace launcher::evidence {

/// As read; an empty text was not readable.
struct TaskTexts {
    int tid = 0;
    std::string comm, stat, status, schedstat, wchan, syscall;
};

/// What the file `syscall` says.
struct SyscallText {
    enum class Where { unknown, running, outside, inside } where = Where::unknown;
    long number = -1;
    std::array<std::uint64_t, 6> arguments{};
    friend bool operator==(const SyscallText&, const SyscallText&) = default;
};
SyscallText parse_syscall(std::string_view text);

/// One look at one thread.
struct ThreadSample {
    int tid = 0;
    std::string name;
    char state = '?';
    std::uint64_t user_ticks = 0, system_ticks = 0;
    std::uint64_t on_cpu_ns = 0, wait_ns = 0;
    std::uint64_t voluntary = 0, involuntary = 0;
    int tracer = 0;
    std::string wchan;
    SyscallText syscall;
};
ThreadSample parse_task(const TaskTexts& texts);

/// One look at all threads, `at` since the first one.
struct Look {
    std::chrono::microseconds at{0};
    std::vector<ThreadSample> threads;
};
/// Threads of the last look that were there in the first, too, compared over all looks. Addresses
/// become ordinals here, in the order of their first appearance.
std::vector<ThreadFacts> compare_looks(const std::vector<Look>& looks);

/// Names each thread's target: the descriptor it waits on, or its futex.
void name_targets(std::vector<ThreadFacts>& threads,
                  const std::vector<DescriptorFacts>& descriptors,
                  const std::vector<SocketFacts>& sockets);

/// /proc/…/stack → function names, without addresses and offsets.
std::vector<std::string> parse_stack(std::string_view text);

}  // namespace launcher::evidence
