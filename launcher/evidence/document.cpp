#include "launcher/evidence/document.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>
#include <set>
#include <tuple>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace launcher::evidence {
namespace {

namespace json = boost::json;
using std::chrono::system_clock;

constexpr std::size_t kTidsShown = 16;

json::string text(std::string_view view) {
    return json::string(view.data(), view.size());
}

double milliseconds_of(std::chrono::microseconds span) {
    return static_cast<double>(span.count()) / 1000;
}

double rounded(double value) {
    return static_cast<double>(static_cast<std::int64_t>(value * 1000 + 0.5)) / 1000;
}

json::value utc_value(system_clock::time_point time) {
    if (time == system_clock::time_point{}) return nullptr;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
    const auto seconds = static_cast<std::time_t>(ms.count() / 1000);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char date[32], whole[48];
    std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(whole, sizeof whole, "%s.%03dZ", date, static_cast<int>(ms.count() % 1000));
    return text(whole);
}

template <class Number>
void add(json::object& object, const char* name, const std::optional<Number>& value) {
    if (value) object[name] = *value;
}
void add(json::object& object, const char* name, const std::string& value) {
    if (!value.empty()) object[name] = text(value);
}

json::array probes_of(const Facts& facts) {
    json::array probes;
    for (const auto& probe : facts.probes) {
        json::array results;
        for (const auto& result : probe.recent) {
            json::object one;
            one["at"] = utc_value(result.at);
            one["result"] = text(to_string(result.outcome));
            add(one, "detail", result.detail);
            if (result.status != 0) one["status"] = result.status;
            one["total_ms"] = milliseconds_of(result.total);
            json::object stages;
            for (std::size_t i = 0; i < kProbeStages; ++i)
                if (result.stage_times[i].count() > 0)
                    stages[text(to_string(static_cast<ProbeStage>(i)))] =
                        milliseconds_of(result.stage_times[i]);
            one["stages_ms"] = std::move(stages);
            results.push_back(std::move(one));
        }
        probes.push_back(json::object{{"name", text(probe.name)}, {"results", std::move(results)}});
    }
    return probes;
}

json::object log_view(const Facts& facts) {
    json::array pipes, sinks;
    for (const auto& pipe : facts.pipes)
        pipes.push_back(json::object{{"service", text(pipe.service)},
                                     {"stream", text(pipe.stream)},
                                     {"bytes", pipe.bytes},
                                     {"size", pipe.size},
                                     {"last_read", utc_value(pipe.last_line)}});
    for (const auto& sink : facts.sinks)
        sinks.push_back(json::object{{"name", text(sink.name)},
                                     {"state", text(sink.state)},
                                     {"queued_bytes", sink.queued_bytes},
                                     {"limit_bytes", sink.limit_bytes},
                                     {"stalled_ms", sink.stalled_for.count()}});
    return {{"pipes", std::move(pipes)}, {"sinks", std::move(sinks)}};
}

/// Threads that look alike, as one entry.
struct ThreadGroup {
    const ThreadFacts* example = nullptr;
    std::vector<int> tids;
};

std::vector<ThreadGroup> folded(const Facts& facts) {
    std::vector<ThreadGroup> groups;
    using Shape = std::tuple<std::string, std::string, bool, std::string, std::string, std::string,
                             int, int, std::vector<std::string>>;
    std::map<Shape, std::size_t> known;
    for (const auto& thread : facts.threads) {
        const bool rested =
            thread.user_ticks + thread.system_ticks + thread.voluntary + thread.involuntary == 0;
        const Shape shape{
            thread.name,    thread.states, thread.steady, thread.wchan,
            thread.syscall, thread.target, thread.buffer, thread.descriptor.value_or(-1),
            thread.stack};
        const auto place = rested ? known.find(shape) : known.end();
        if (place != known.end()) {
            groups[place->second].tids.push_back(thread.tid);
            continue;
        }
        if (rested) known.emplace(shape, groups.size());
        groups.push_back({&thread, {thread.tid}});
    }
    return groups;
}

json::object thread_object(const ThreadGroup& group) {
    const auto& thread = *group.example;
    json::array tids;
    for (std::size_t i = 0; i < group.tids.size() && i < kTidsShown; ++i)
        tids.push_back(group.tids[i]);
    json::object object;
    object["count"] = group.tids.size();
    object["tids"] = std::move(tids);
    object["name"] = text(thread.name);
    object["states"] = text(thread.states);
    object["steady"] = thread.steady;
    if (thread.syscall.empty())
        object["call"] = nullptr;
    else
        object["call"] = text(thread.syscall);
    add(object, "descriptor", thread.descriptor);
    add(object, "waits_on", thread.target);
    if (thread.buffer != 0) object["buffer"] = text("buf#" + std::to_string(thread.buffer));
    add(object, "wchan", thread.wchan);
    object["cpu"] = rounded(thread.cpu_share);
    object["waited_for_cpu"] = rounded(thread.wait_share);
    object["user_ticks"] = thread.user_ticks;
    object["system_ticks"] = thread.system_ticks;
    object["voluntary_switches"] = thread.voluntary;
    object["involuntary_switches"] = thread.involuntary;
    json::array stack;
    for (const auto& function : thread.stack) stack.push_back(text(function));
    if (!stack.empty()) object["stack"] = std::move(stack);
    return object;
}

json::object descriptors_of(const Facts& facts, std::size_t details) {
    std::map<std::string, std::uint64_t> kinds;
    json::array shown;
    for (const auto& each : facts.descriptors) {
        ++kinds[each.kind];
        if (each.info.empty() || shown.size() >= details) continue;
        shown.push_back(json::object{
            {"descriptor", each.number}, {"kind", text(each.kind)}, {"info", text(each.info)}});
    }
    json::object counts;
    for (const auto& [kind, number] : kinds) counts[text(kind)] = number;
    return {{"by_kind", std::move(counts)}, {"details", std::move(shown)}};
}

json::object sockets_of(const Facts& facts, std::size_t details) {
    json::array listeners, shown;
    std::map<std::string, std::uint64_t> by_peer;
    std::set<std::uint16_t> own_ports;
    for (const auto& socket : facts.sockets)
        if (socket.listening()) own_ports.insert(socket.local_port);
    for (const auto& socket : facts.sockets) {
        if (socket.listening()) {
            json::object one{{"family", text(socket.family)},
                             {"address", text(socket.local)},
                             {"waiting", socket.receive_queue}};
            one["limit"] = socket.limit_known ? json::value(socket.send_queue) : nullptr;
            listeners.push_back(std::move(one));
            continue;
        }
        const bool inbound = own_ports.contains(socket.local_port);
        const auto key =
            socket.state + (socket.family == "unix" ? " unix"
                            : inbound ? " on port " + std::to_string(socket.local_port)
                                      : " to port " + std::to_string(socket.peer_port));
        ++by_peer[key];
        if (shown.size() >= details || socket.family == "unix") continue;
        shown.push_back(json::object{{"state", text(socket.state)},
                                     {"local", text(socket.local)},
                                     {"peer", text(socket.peer)},
                                     {"receive_queue", socket.receive_queue},
                                     {"send_queue", socket.send_queue},
                                     {"accepted", socket.inode != 0}});
    }
    json::object counts;
    for (const auto& [key, number] : by_peer) counts[text(key)] = number;
    return {{"listeners", std::move(listeners)},
            {"by_state_and_port", std::move(counts)},
            {"connections", std::move(shown)}};
}

json::object process_of(const ProcessFacts& process) {
    json::object object{{"state", text(std::string_view(&process.state, 1))},
                        {"tracer", process.tracer},
                        {"rss_bytes", process.rss_bytes},
                        {"swap_bytes", process.swap_bytes},
                        {"threads", process.threads},
                        {"open_fds", process.open_fds},
                        {"fd_limit", process.fd_limit},
                        {"read_bytes", process.read_bytes},
                        {"written_bytes", process.written_bytes},
                        {"read_calls", process.read_calls},
                        {"write_calls", process.write_calls}};
    add(object, "oom_score", process.oom_score);
    return object;
}

json::array cgroups_of(const Facts& facts) {
    json::array levels;
    for (const auto& level : facts.cgroups) {
        json::object object{{"path", text(level.path)}};
        add(object, "memory_current", level.memory_current);
        add(object, "memory_max", level.memory_max);
        add(object, "memory_high", level.memory_high);
        add(object, "pids_current", level.pids_current);
        add(object, "pids_max", level.pids_max);
        add(object, "memory_full_avg10", level.memory_full_avg10);
        json::object all, fresh;
        for (const auto& [name, number] : level.memory_events) all[text(name)] = number;
        for (const auto& [name, number] : level.new_events) fresh[text(name)] = number;
        if (!all.empty()) object["memory_events"] = std::move(all);
        if (!fresh.empty()) object["new_memory_events"] = std::move(fresh);
        if (level.periods != 0) {
            object["cpu_periods"] = level.periods;
            object["cpu_throttled"] = level.throttled;
        }
        levels.push_back(std::move(object));
    }
    return levels;
}

json::object host_of(const Facts& facts) {
    json::object object;
    const auto& pressure = facts.pressure;
    add(object, "cpu_some_percent", pressure.cpu_some);
    add(object, "memory_some_percent", pressure.memory_some);
    add(object, "memory_full_percent", pressure.memory_full);
    add(object, "io_full_percent", pressure.io_full);
    add(object, "load_average", pressure.load_average);
    json::object memory;
    for (const auto& [name, number] : pressure.memory_kib) memory[text(name)] = number;
    object["memory_kib"] = std::move(memory);
    json::array others;
    for (const auto& other : facts.others)
        others.push_back(json::object{
            {"pid", other.pid}, {"name", text(other.name)}, {"cpu", rounded(other.cpu_share)}});
    object["busiest_others"] = std::move(others);
    return object;
}

json::object lines_of(const Facts& facts, std::size_t count) {
    json::object object;
    for (const auto& view : facts.lines) {
        json::array lines;
        const auto skip = view.lines.size() > count ? view.lines.size() - count : 0;
        for (std::size_t i = skip; i < view.lines.size(); ++i) lines.push_back(text(view.lines[i]));
        object[text(view.service)] = std::move(lines);
    }
    return object;
}

json::array steps_of(const Facts& facts) {
    json::array steps;
    for (const auto& step : facts.steps) {
        json::object object{{"step", text(step.name)}, {"took_ms", milliseconds_of(step.took)}};
        add(object, "unreadable", step.fault);
        steps.push_back(std::move(object));
    }
    return steps;
}

void redact_texts(json::value& value, const std::function<std::string(std::string)>& redact) {
    if (auto* object = value.if_object()) {
        for (auto& member : *object) redact_texts(member.value(), redact);
    } else if (auto* array = value.if_array()) {
        for (auto& each : *array) redact_texts(each, redact);
    } else if (auto* string = value.if_string()) {
        *string = text(redact(std::string(string->data(), string->size())));
    }
}

}  // namespace

std::string compact_utc(system_clock::time_point time) {
    const auto seconds = system_clock::to_time_t(time);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char written[32];
    std::strftime(written, sizeof written, "%Y%m%dT%H%M%SZ", &parts);
    return written;
}

std::string evidence_json(const Heading& heading, const Facts& facts, const Finding& finding,
                          const std::function<std::string(std::string)>& redact) {
    json::object used;
    for (const auto& [name, fact] : finding.facts) used[text(name)] = text(fact);
    json::object document;
    document["schema"] = 1;
    document["id"] = text(heading.id);
    document["service"] = text(facts.service);
    document["pid"] = facts.pid;
    document["taken"] = utc_value(heading.taken);
    document["reason"] = text(heading.reason);
    document["class"] =
        heading.freeze_class.empty() ? json::value(nullptr) : text(heading.freeze_class);
    document["rule"] = text(finding.rule);
    document["sentence"] = text(finding.sentence);
    document["facts"] = std::move(used);
    document["sample_ms"] = facts.sample.count();
    document["took_ms"] = milliseconds_of(heading.took);
    document["cpu_ms"] = milliseconds_of(heading.cpu);
    document["steps"] = steps_of(facts);
    document["probes"] = probes_of(facts);
    document["control_ms"] = facts.control_seconds * 1000;
    document["log"] = log_view(facts);
    document["process"] = process_of(facts.process);
    document["cgroups"] = cgroups_of(facts);
    document["host"] = host_of(facts);

    auto groups = folded(facts);
    std::sort(groups.begin(), groups.end(), [](const ThreadGroup& a, const ThreadGroup& b) {
        return a.tids.size() < b.tids.size();
    });
    std::size_t details = 256, lines = 50, left_out = 0;
    while (true) {
        json::array threads;
        for (const auto& group : groups) threads.push_back(thread_object(group));
        document["threads"] = std::move(threads);
        document["threads_left_out"] = left_out + facts.threads_not_read;
        document["descriptors"] = descriptors_of(facts, details);
        document["sockets"] = sockets_of(facts, details);
        document["last_lines"] = lines_of(facts, lines);
        json::value whole = document;
        redact_texts(whole, redact);
        auto written = json::serialize(whole);
        if (written.size() <= kMaxDocument) return written;
        // The most common kind says least about what is wrong.
        const auto before = written.size();
        std::size_t freed = 0;
        while (!groups.empty() && before - std::min(before, freed) > kMaxDocument) {
            freed += json::serialize(thread_object(groups.back())).size();
            left_out += groups.back().tids.size();
            groups.pop_back();
        }
        if (!groups.empty()) continue;
        if (details > 0)
            details = 0;
        else if (lines > 0)
            lines /= 2;
        else
            return written;
    }
}

}  // namespace launcher::evidence
