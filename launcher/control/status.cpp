#include "launcher/control/status.hpp"

#include "launcher/logs/timestamp.hpp"

#include <array>
#include <csignal>
#include <numeric>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace launcher {
namespace {

namespace json = boost::json;
using std::chrono::system_clock;

constexpr std::array<std::string_view, 6> kLevels = {"trace", "debug", "info",
                                                     "warn",  "error", "fatal"};

json::string text(std::string_view value) {
    return json::string(value.data(), value.size());
}

json::value time_value(system_clock::time_point time) {
    if (time == system_clock::time_point{}) return nullptr;
    return text(utc_text(time));
}
json::value time_value(const std::optional<system_clock::time_point>& time) {
    return time ? time_value(*time) : json::value(nullptr);
}

/// Seconds from `since` to `wall`; null when either is not known.
json::value span_value(const std::optional<system_clock::time_point>& since,
                       const std::optional<system_clock::time_point>& wall) {
    if (!since || !wall || *since == system_clock::time_point{}) return nullptr;
    return std::chrono::duration<double>(*wall - *since).count();
}

double milliseconds_of(std::chrono::microseconds span) {
    return static_cast<double>(span.count()) / 1000;
}

json::object by_level(const std::array<std::uint64_t, 6>& counts) {
    json::object object;
    for (std::size_t level = 0; level < counts.size(); ++level)
        object[text(kLevels[level])] = counts[level];
    return object;
}

json::object result_object(const ProbeResult& result) {
    json::object stages;
    for (std::size_t i = 0; i < kProbeStages; ++i)
        if (result.stage_times[i].count() > 0)
            stages[text(to_string(static_cast<ProbeStage>(i)))] =
                milliseconds_of(result.stage_times[i]);
    json::object object;
    object["result"] = text(to_string(result.outcome));
    object["detail"] = text(result.detail);
    object["at"] = time_value(result.at);
    object["total_ms"] = milliseconds_of(result.total);
    object["stages_ms"] = std::move(stages);
    object["status"] = result.status == 0 ? json::value(nullptr) : json::value(result.status);
    if (!result.certificate_sha256.empty())
        object["certificate_sha256"] = text(result.certificate_sha256);
    return object;
}

json::object probe_object(const ProbeStatus& probe) {
    json::object object;
    object["name"] = text(probe.name);
    object["role"] = text(probe.name);
    object["kind"] = text(kind_name(probe.kind));
    object["last"] = probe.last ? json::value(result_object(*probe.last)) : json::value(nullptr);
    object["consecutive"] = probe.consecutive;
    object["last_change"] = time_value(probe.last_change);
    object["last_ok"] = time_value(probe.last_ok);
    json::array recent;
    for (const auto& result : probe.recent) recent.push_back(text(to_string(result.outcome)));
    object["recent"] = std::move(recent);
    return object;
}

json::object freeze_object(const ServiceStatus& service) {
    json::object by_class;
    std::uint64_t count = 0;
    for (const auto& [outcome, times] : service.freezes) {
        by_class[text(to_string(outcome))] = times;
        count += times;
    }
    json::object object;
    object["state"] = text(to_string(service.freeze));
    const bool has_class = service.freeze != FreezeState::none && is_timeout(service.freeze_class);
    object["class"] =
        has_class ? json::value(text(to_string(service.freeze_class))) : json::value(nullptr);
    object["since"] = time_value(service.freeze_since);
    object["count"] = count;
    object["by_class"] = std::move(by_class);
    object["past_seconds"] = service.freeze_seconds;
    object["last_sentence"] = text(service.last_freeze_sentence);
    object["last_evidence"] = text(service.last_evidence_id);
    return object;
}

json::value exit_value(const std::optional<ExitStatus>& exit) {
    if (!exit) return nullptr;
    json::object object;
    object[exit->signalled ? "signal" : "code"] = exit->code;
    if (exit->signalled)
        if (const char* name = sigabbrev_np(exit->code))
            object["signal_name"] = text(std::string("SIG") + name);
    object["core_dumped"] = exit->core_dumped;
    return object;
}

json::value process_value(const std::optional<ProcessStatus>& process) {
    if (!process) return nullptr;
    json::object states;
    for (const auto& [letter, count] : process->thread_states)
        states[text(std::string_view(&letter, 1))] = count;
    json::object object;
    object["rss_bytes"] = process->rss_bytes;
    object["virtual_bytes"] = process->virtual_bytes;
    object["swap_bytes"] = process->swap_bytes;
    object["cpu_seconds"] = process->user_seconds + process->system_seconds;
    object["threads"] = process->threads;
    object["thread_states"] = std::move(states);
    object["open_fds"] = process->open_fds;
    object["max_fds"] = process->max_fds;
    return object;
}

json::object stream_object(const logs::StreamCounters& stream) {
    json::object object;
    object["lines"] = by_level(stream.lines_by_level);
    object["bytes"] = by_level(stream.bytes_by_level);
    object["filtered"] = stream.filtered;
    object["probe_noise"] = stream.probe_noise;
    object["empty_lines"] = stream.empty_lines;
    object["pipe_held_by_descendant"] = stream.held_by_descendant;
    object["pipe_bytes"] = stream.pipe_bytes;
    object["last_line"] = time_value(stream.last_line);
    return object;
}

json::object log_object(const Status& status, const std::string& service) {
    json::object object;
    for (const auto& entry : status.log.services)
        if (entry.service == service) {
            object["stdout"] = stream_object(entry.out);
            object["stderr"] = stream_object(entry.err);
        }
    std::uint64_t dropped = 0;
    for (const auto& sink : status.log.sinks)
        for (const auto& [name, counts] : sink.dropped)
            if (name == service)
                dropped += std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
    object["dropped"] = dropped;
    return object;
}

json::object evidence_object(const std::map<std::string, std::uint64_t>& counts) {
    json::object object;
    for (const auto& [reason, count] : counts) object[text(reason)] = count;
    return object;
}

json::object service_object(const Status& status, const ServiceStatus& service,
                            const std::optional<system_clock::time_point>& wall) {
    json::object object;
    object["name"] = text(service.name);
    object["state"] = text(to_string(service.state));
    object["phase"] =
        service.phase.empty() ? json::value(nullptr) : json::value(text(service.phase));
    object["pid"] = service.pid > 0 ? json::value(service.pid) : json::value(nullptr);
    object["started"] = time_value(service.started);
    object["ready_since"] = time_value(service.ready_since);
    object["uptime_seconds"] =
        service.exit ? json::value(nullptr) : span_value(service.started, wall);
    object["time_to_ready_seconds"] = service.time_to_ready_seconds
                                          ? json::value(*service.time_to_ready_seconds)
                                          : json::value(nullptr);
    object["exit"] = exit_value(service.exit);
    json::array probes;
    for (const auto& probe : service.probes) probes.push_back(probe_object(probe));
    object["probes"] = std::move(probes);
    object["freeze"] = freeze_object(service);
    object["process"] = process_value(service.process);
    json::object limits;
    for (const auto& [name, value] : service.limits) limits[text(name)] = text(value);
    object["limits"] = std::move(limits);
    object["log"] = log_object(status, service.name);
    object["evidence"] = json::object{{"taken", evidence_object(service.evidence_taken)},
                                      {"skipped", evidence_object(service.evidence_skipped)}};
    return object;
}

json::object sink_object(const logs::SinkCounters& sink) {
    std::uint64_t dropped = 0;
    for (const auto& [name, counts] : sink.dropped)
        dropped += std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
    json::object object;
    object["name"] = text(sink.name);
    object["up"] = sink.up;
    object["state"] = text(sink.state);
    object["queue_bytes"] = sink.queued_bytes;
    object["queue_limit_bytes"] = sink.queue_limit_bytes;
    object["stalled_seconds"] = std::chrono::duration<double>(sink.stalled_for).count();
    object["written"] = sink.records_written;
    object["dropped"] = dropped;
    object["dropped_bytes"] = sink.dropped_bytes;
    return object;
}

json::object launcher_object(const Status& status, runtime::TimePoint now,
                             const std::optional<system_clock::time_point>& wall) {
    json::array sinks;
    for (const auto& sink : status.log.sinks) sinks.push_back(sink_object(sink));
    json::object object;
    object["version"] = text(status.version);
    object["pid"] = status.pid;
    object["pid1"] = status.pid1;
    object["started"] = time_value(status.started);
    object["uptime_seconds"] = span_value(status.started, wall);
    object["state"] = text(status.state);
    object["picture_age_ms"] =
        std::chrono::duration<double, std::milli>(now - status.taken).count();
    object["config"] = json::object{{"digest", text(status.config_digest)},
                                    {"source", text(status.config_source)}};
    object["log"] = json::object{{"filter", text(status.log_filter)}, {"sinks", std::move(sinks)}};
    object["orphans_reaped"] = status.orphans_reaped;
    object["control_ms"] = status.control_seconds * 1000;
    return object;
}

}  // namespace

std::string_view kind_name(ProbeKind kind) {
    switch (kind) {
        case ProbeKind::tcp:
            return "tcp";
        case ProbeKind::tls:
            return "tls";
        case ProbeKind::http:
            return "http";
        case ProbeKind::https:
            return "https";
        case ProbeKind::http_auto:
            return "http-auto";
        case ProbeKind::unix_socket:
            return "unix";
        case ProbeKind::notify:
            return "notify";
        case ProbeKind::log_line:
            return "log-line";
        case ProbeKind::exec:
            return "exec";
        case ProbeKind::all:
            return "all";
        case ProbeKind::any:
            return "any";
    }
    return "unknown";
}

std::optional<system_clock::time_point> wall_time(const Status& status, runtime::TimePoint now) {
    if (status.taken_wall == system_clock::time_point{}) return std::nullopt;
    return status.taken_wall +
           std::chrono::duration_cast<system_clock::duration>(now - status.taken);
}

std::string utc_text(system_clock::time_point time) {
    if (time == system_clock::time_point{}) return {};
    std::string result(logs::TimestampWriter::kMilliseconds, ' ');
    logs::TimestampWriter().write_milliseconds(time, result.data());
    return result;
}

std::string status_json(const Status& status, runtime::TimePoint now) {
    const auto wall = wall_time(status, now);
    json::array services;
    for (const auto& service : status.services)
        services.push_back(service_object(status, service, wall));
    json::object document;
    document["schema"] = 1;
    document["time"] = time_value(wall);
    document["launcher"] = launcher_object(status, now, wall);
    document["services"] = std::move(services);
    return json::serialize(document);
}

}  // namespace launcher
