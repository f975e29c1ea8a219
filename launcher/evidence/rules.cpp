#include "launcher/evidence/rules.hpp"

#include "launcher/evidence/syscall_names.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

namespace launcher::evidence {
namespace {

using Match = std::optional<Finding>;

constexpr double kSpinning = 0.8;      ///< of the sample
constexpr double kSpinningRan = 0.1;   ///< at least this much of it on a CPU
constexpr double kIdle = 0.2;          ///< a thread below this does not take part in the spinning
constexpr double kProcessIdle = 0.05;  ///< all threads together

std::string percent(double share) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f %%", share * 100);
    return text;
}
std::string count(std::uint64_t number, const char* singular, const char* plural) {
    return std::to_string(number) + " " + (number == 1 ? singular : plural);
}

bool all_of_states(const ThreadFacts& thread, char state) {
    return !thread.states.empty() && thread.states.find_first_not_of(state) == std::string::npos;
}
bool sleeps(const ThreadFacts& thread) {
    return thread.steady && all_of_states(thread, 'S');
}
std::string named(const ThreadFacts& thread) {
    return thread.name + " (" + std::to_string(thread.tid) + ")";
}
double total_cpu(const Facts& facts) {
    double sum = 0;
    for (const auto& thread : facts.threads) sum += thread.cpu_share;
    return sum;
}

/// How many threads wait on the futex that most wait on.
std::size_t longest_queue(const Facts& facts) {
    std::map<int, std::size_t> queues;
    std::size_t longest = 0;
    for (const auto& thread : facts.threads)
        if (thread.futex != 0 && sleeps(thread))
            longest = std::max(longest, ++queues[thread.futex]);
    return longest;
}

Match back_pressure(const Facts& facts) {
    for (const auto& thread : facts.threads) {
        const bool output = thread.descriptor == 1 || thread.descriptor == 2;
        const bool in_pipe =
            thread.wchan.ends_with("pipe_write") || thread.wchan.ends_with("pipe_wait_writable");
        // Where the kernel does not name the place, the call itself must do.
        if (!sleeps(thread) || !is_write(thread.syscall) || !output ||
            !(in_pipe || thread.wchan.empty()))
            continue;
        const auto pipe = std::find_if(
            facts.descriptors.begin(), facts.descriptors.end(),
            [&](const DescriptorFacts& each) { return each.number == *thread.descriptor; });
        if (pipe == facts.descriptors.end() || pipe->kind != "pipe") continue;
        const std::string stream = *thread.descriptor == 1 ? "stdout" : "stderr";
        const auto waiting = longest_queue(facts);
        Finding finding{"F1",
                        stream + " back-pressure: the log reader does not drain (" +
                            count(waiting, "thread queues", "threads queue") + " on one lock)",
                        {{"writer", named(thread)},
                         {"call", thread.syscall + " to " + stream},
                         {"wchan", thread.wchan},
                         {"waiting_on_one_lock", std::to_string(waiting)}},
                        false};
        finding.launcher_fault =
            pipe->inode != 0 &&
            std::any_of(facts.pipes.begin(), facts.pipes.end(),
                        [&](const PipeView& own) { return own.inode == pipe->inode; });
        if (finding.launcher_fault)
            finding.sentence += "; the reader is the launcher: this is its internal error";
        return finding;
    }
    return {};
}

Match lock_up(const Facts& facts) {
    const auto& threads = facts.threads;
    if (threads.size() < 2 || facts.threads_not_read != 0) return {};
    const bool all_wait = std::all_of(threads.begin(), threads.end(), [](const auto& thread) {
        return thread.futex != 0 && sleeps(thread) && thread.user_ticks + thread.system_ticks == 0;
    });
    const auto queue = longest_queue(facts);
    if (!all_wait || queue < 2 || total_cpu(facts) > kProcessIdle) return {};
    return Finding{"F2",
                   "lock-up: every worker waits on a lock",
                   {{"threads", std::to_string(threads.size())},
                    {"waiting_on_one_lock", std::to_string(queue)}},
                   false};
}

const ProbeResult* last_of(const Facts& facts, std::string_view name) {
    for (const auto& probe : facts.probes)
        if (probe.name == name && !probe.recent.empty()) return &probe.recent.back();
    return nullptr;
}

Match upstream(const Facts& facts) {
    const auto* shallow = last_of(facts, "liveness");
    if (shallow == nullptr) shallow = last_of(facts, "startup");
    const auto* deep = last_of(facts, "readiness");
    if (shallow == nullptr || !shallow->ok() || deep == nullptr || !is_timeout(deep->outcome))
        return {};
    const auto loop =
        std::find_if(facts.threads.begin(), facts.threads.end(), [](const auto& thread) {
            return is_event_wait(thread.syscall) && thread.states.ends_with('S');
        });
    if (loop == facts.threads.end()) return {};
    std::set<std::uint16_t> own_ports;
    for (const auto& socket : facts.sockets)
        if (socket.listening()) own_ports.insert(socket.local_port);
    std::map<std::string, std::size_t> peers;
    for (const auto& socket : facts.sockets)
        if (socket.state == "ESTABLISHED" && socket.peer_port != 0 && socket.inode != 0 &&
            !own_ports.contains(socket.local_port) && socket.receive_queue == 0 &&
            socket.send_queue == 0)
            ++peers[socket.peer];
    if (peers.empty()) return {};
    const auto most =
        std::max_element(peers.begin(), peers.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    return Finding{"F3",
                   "waiting for upstream " + most->first,
                   {{"thread", named(*loop) + " in " + loop->syscall},
                    {"shallow", std::string(to_string(shallow->outcome))},
                    {"deep", std::string(to_string(deep->outcome))},
                    {"connections", std::to_string(most->second)}},
                   false};
}

const CgroupFacts* throttled(const Facts& facts) {
    for (const auto& level : facts.cgroups)
        if (level.periods > 0 && 2 * level.throttled > level.periods) return &level;
    return nullptr;
}

Match spinning(const Facts& facts) {
    // A thread that is kept from running by a limit or by others is F9's.
    if (throttled(facts) != nullptr) return {};
    std::vector<const ThreadFacts*> busy;
    for (const auto& thread : facts.threads) {
        // On a busy host a thread that never rests gets less than the whole CPU; it is told from
        // one that works by never giving the CPU up.
        const bool spins = thread.cpu_share > kSpinning ||
                           (thread.cpu_share > kSpinningRan && thread.voluntary == 0 &&
                            thread.cpu_share + thread.wait_share > kSpinning);
        if (spins)
            busy.push_back(&thread);
        else if (thread.cpu_share > kIdle)
            return {};
    }
    if (busy.empty()) return {};
    const auto& first = *busy.front();
    return Finding{
        "F4",
        "spinning in thread " + first.name +
            (busy.size() == 1 ? "" : " and " + std::to_string(busy.size() - 1) + " more"),
        {{"thread", named(first)},
         {"cpu", percent(first.cpu_share)},
         {"waited_for_cpu", percent(first.wait_share)},
         {"spinning_threads", std::to_string(busy.size())}},
        false};
}

Match uninterruptible(const Facts& facts) {
    for (const auto& thread : facts.threads) {
        if (!all_of_states(thread, 'D')) continue;
        return Finding{"F5",
                       "uninterruptible I/O in " +
                           (thread.wchan.empty() ? "an unnamed kernel function" : thread.wchan),
                       {{"thread", named(thread)},
                        {"wchan", thread.wchan},
                        {"call", thread.syscall},
                        {"target", thread.target}},
                       false};
    }
    return {};
}

Match stopped(const Facts& facts) {
    const bool traced =
        facts.process.state == 't' ||
        std::any_of(facts.threads.begin(), facts.threads.end(),
                    [](const auto& thread) { return thread.states.ends_with('t'); });
    if (!traced && facts.process.state != 'T') return {};
    return Finding{"F6",
                   traced && facts.process.tracer != 0
                       ? "traced by pid " + std::to_string(facts.process.tracer)
                       : std::string(traced ? "traced" : "stopped by signal"),
                   {{"state", std::string(1, facts.process.state)},
                    {"tracer", std::to_string(facts.process.tracer)}},
                   false};
}

const SocketFacts* full_listener(const Facts& facts) {
    for (const auto& thread : facts.threads)
        if (is_accept(thread.syscall)) return nullptr;
    const auto found = std::find_if(facts.sockets.begin(), facts.sockets.end(),
                                    [](const SocketFacts& each) { return each.queue_full(); });
    return found == facts.sockets.end() ? nullptr : &*found;
}

Match no_descriptors(const Facts& facts) {
    const auto& process = facts.process;
    const bool at_limit = process.fd_limit != 0 && process.open_fds >= process.fd_limit;
    // Programs that keep a reserve stop accepting before the last one.
    const bool accept_fails = process.fd_limit != 0 &&
                              process.open_fds * 10 >= process.fd_limit * 9 &&
                              full_listener(facts) != nullptr;
    if (!at_limit && !accept_fails && !process.file_table_full) return {};
    return Finding{"F7",
                   process.file_table_full && !at_limit
                       ? "out of file descriptors: the whole system has none left"
                       : "out of file descriptors",
                   {{"open_fds", std::to_string(process.open_fds)},
                    {"fd_limit", std::to_string(process.fd_limit)}},
                   false};
}

Match no_memory(const Facts& facts) {
    Finding finding{"F8", "starved of memory", {}, false};
    for (const auto& level : facts.cgroups) {
        const auto& current = level.memory_current;
        const auto reached = [&](const std::optional<std::uint64_t>& bound) {
            return bound && current && *current >= *bound;
        };
        const bool events = level.new_events.contains("high") || level.new_events.contains("max");
        if (reached(level.memory_max) || reached(level.memory_high) || events ||
            level.new_events.contains("oom_kill") || level.memory_full_avg10.value_or(0) > 20) {
            finding.facts = {{"cgroup", level.path}};
            if (current) finding.facts.emplace_back("memory_current", std::to_string(*current));
            if (level.memory_max)
                finding.facts.emplace_back("memory_max", std::to_string(*level.memory_max));
            if (level.memory_high)
                finding.facts.emplace_back("memory_high", std::to_string(*level.memory_high));
            for (const auto& [name, number] : level.new_events)
                finding.facts.emplace_back("new_" + name, std::to_string(number));
            return finding;
        }
    }
    if (facts.pressure.memory_full.value_or(0) <= 20) return {};
    finding.facts = {{"memory_pressure_full", percent(*facts.pressure.memory_full / 100)}};
    return finding;
}

Match no_cpu(const Facts& facts) {
    Finding finding{"F9", "starved of CPU", {}, false};
    if (const auto* level = throttled(facts)) {
        finding.facts = {{"cgroup", level->path},
                         {"periods", std::to_string(level->periods)},
                         {"throttled", std::to_string(level->throttled)}};
        return finding;
    }
    // A busy host starves only those who want to run.
    double waited = 0;
    for (const auto& thread : facts.threads) waited = std::max(waited, thread.wait_share);
    if (facts.pressure.cpu_some.value_or(0) <= 80 || waited < 0.5) return {};
    finding.facts = {{"cpu_pressure_some", percent(*facts.pressure.cpu_some / 100)},
                     {"waited_for_cpu", percent(waited)}};
    return finding;
}

Match no_accept(const Facts& facts) {
    const auto* listener = full_listener(facts);
    if (listener == nullptr || total_cpu(facts) > kProcessIdle) return {};
    return Finding{"F10",
                   "accept loop does not run",
                   {{"listener", listener->local},
                    {"waiting", std::to_string(listener->receive_queue)},
                    {"limit", std::to_string(listener->send_queue)}},
                   false};
}

}  // namespace

Finding judge(const Facts& facts) {
    constexpr std::array kRules = {back_pressure,   lock_up,  upstream,       spinning,
                                   uninterruptible, stopped,  no_descriptors, no_memory,
                                   no_cpu,          no_accept};
    for (const auto rule : kRules)
        if (auto match = rule(facts)) return std::move(*match);
    return {"F11", "unclassified", {{"threads", std::to_string(facts.threads.size())}}, false};
}

}  // namespace launcher::evidence
