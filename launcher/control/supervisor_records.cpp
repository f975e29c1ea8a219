#include "launcher/control/supervisor_records.hpp"

#include "launcher/plan/signals.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace launcher {
namespace {

namespace json = boost::json;
using logs::Fields;
using logs::Record;
using runtime::LogLevel;

std::int64_t milliseconds_of(runtime::Duration span) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
}

json::string text(std::string_view view) {
    return json::string(view.data(), view.size());
}

json::object result_object(const ProbeResult& result) {
    json::object object;
    object["result"] = text(to_string(result.outcome));
    if (!result.detail.empty()) object["detail"] = text(result.detail);
    if (result.status != 0) object["status"] = result.status;
    object["total_ms"] = static_cast<double>(result.total.count()) / 1000;
    json::object stages;
    for (std::size_t i = 0; i < kProbeStages; ++i)
        if (result.stage_times[i].count() > 0)
            stages[text(to_string(static_cast<ProbeStage>(i)))] =
                static_cast<double>(result.stage_times[i].count()) / 1000;
    object["stages_ms"] = std::move(stages);
    return object;
}

json::object end_object(const ServiceEnd& end) {
    json::object object;
    object["service"] = text(end.service);
    object[end.status.signalled ? "exit_signal" : "exit_code"] = end.status.code;
    object["asked"] = end.asked;
    object["killed"] = end.killed;
    return object;
}

std::string_view cause_word(Ending::Cause cause) {
    switch (cause) {
        case Ending::Cause::requested:
            return "requested";
        case Ending::Cause::service_ended:
            return "service-ended";
        case Ending::Cause::spawn_failed:
            return "spawn-failed";
        case Ending::Cause::startup_deadline:
            return "startup-deadline";
        case Ending::Cause::internal:
            return "internal";
    }
    return "internal";
}

void add_exit(Fields& fields, const ExitStatus& status) {
    if (!status.signalled) {
        fields.emplace_back("exit_code", std::int64_t{status.code});
        return;
    }
    fields.emplace_back("exit_signal", std::int64_t{status.code});
    fields.emplace_back("exit_signal_name", signal_name(status.code));
    fields.emplace_back("core_dumped", status.core_dumped);
}

std::uint64_t dropped_lines(const logs::PipelineCounters& counters) {
    std::uint64_t sum = 0;
    for (const auto& sink : counters.sinks)
        for (const auto& [service, levels] : sink.dropped)
            for (const auto count : levels) sum += count;
    return sum;
}

/// Pipes that something which outlived its service kept open, so that their end was not awaited.
std::uint64_t held_pipes(const logs::PipelineCounters& counters) {
    std::uint64_t pipes = 0;
    for (const auto& service : counters.services)
        pipes += service.out.held_by_descendant + service.err.held_by_descendant;
    return pipes;
}

/// What still waits at an output that takes nothing: lost, unless it does within the last moments.
std::uint64_t unwritten_lines(const logs::PipelineCounters& counters) {
    std::uint64_t sum = 0;
    for (const auto& sink : counters.sinks) sum += sink.queued_lines;
    return sum;
}

}  // namespace

Record launcher_record(LogLevel level, std::string_view action, std::string message, Fields fields,
                       std::string_view logger) {
    Record record;
    record.level = level;
    record.service = "launcher";
    record.logger = logger;
    record.action = action;
    record.message = std::move(message);
    record.fields = std::move(fields);
    return record;
}

std::string span_text(runtime::Duration span) {
    const auto ms = milliseconds_of(span);
    if (ms < 1000) return std::to_string(ms) + "ms";
    const auto tenths = ms / 100;
    return std::to_string(tenths / 10) +
           (tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10)) + "s";
}

logs::JsonText json_object(const std::map<std::string, std::string>& values) {
    json::object object;
    for (const auto& [name, value] : values) object[text(name)] = text(value);
    return {json::serialize(object)};
}

logs::JsonText json_texts(const std::vector<std::string>& texts) {
    json::array array;
    for (const auto& entry : texts) array.push_back(text(entry));
    return {json::serialize(array)};
}

logs::JsonText json_results(const std::vector<ProbeResult>& results) {
    json::array array;
    for (const auto& result : results) array.push_back(result_object(result));
    return {json::serialize(array)};
}

Record exit_record(const ServiceUnit& unit, const ChildEnd& end, bool expected,
                   runtime::Duration uptime, const std::vector<std::string>& last_lines) {
    Fields fields;
    fields.emplace_back("service", unit.plan.name);
    fields.emplace_back("pid", std::int64_t{end.pid});
    add_exit(fields, end.status);
    fields.emplace_back("expected", expected);
    fields.emplace_back("uptime_seconds", static_cast<double>(milliseconds_of(uptime)) / 1000);
    fields.emplace_back("user_cpu_seconds", static_cast<double>(end.user_time.count()) / 1e6);
    fields.emplace_back("system_cpu_seconds", static_cast<double>(end.system_time.count()) / 1e6);
    fields.emplace_back("max_rss_bytes", end.max_rss_bytes);
    if (!expected) fields.emplace_back("last_lines", json_texts(last_lines));
    auto message = unit.plan.name + " " + describe(end.status) + " after " + span_text(uptime);
    if (!expected) message += ", which nobody asked for: everything ends";
    return launcher_record(expected ? LogLevel::info : LogLevel::error, "service-exit",
                           std::move(message), std::move(fields), "launcher::process");
}

Record probe_change_record(const ServiceUnit& unit, const ProbeTrack& track,
                           const ProbeResult& result, std::optional<ProbeOutcome> before) {
    Fields fields;
    fields.emplace_back("service", unit.plan.name);
    fields.emplace_back("probe", track.history().name);
    fields.emplace_back("result", std::string(to_string(result.outcome)));
    if (before) fields.emplace_back("before", std::string(to_string(*before)));
    if (result.status != 0) fields.emplace_back("status", std::int64_t{result.status});
    fields.emplace_back("total_ms", static_cast<double>(result.total.count()) / 1000);
    auto message = unit.plan.name + ": " + track.history().name + " probe is " +
                   std::string(to_string(result.outcome));
    if (!result.detail.empty()) message += " (" + result.detail + ")";
    // A service that does not listen yet while it starts is no news.
    const bool starting = track.plan().role == ProbeRole::startup;
    const auto level = result.ok() ? LogLevel::info : starting ? LogLevel::debug : LogLevel::warn;
    return launcher_record(level, "probe-change", std::move(message), std::move(fields),
                           "launcher::probe");
}

Record freeze_record(const ServiceUnit& unit, const FreezeChange& change,
                     const std::string& sentence) {
    const auto& name = unit.plan.name;
    Fields fields;
    fields.emplace_back("service", name);
    const auto word = [](ProbeOutcome outcome) { return std::string(to_string(outcome)); };
    switch (change.what) {
        case FreezeChange::What::suspected:
            fields.emplace_back("class", word(change.new_class));
            return launcher_record(LogLevel::warn, "freeze-suspect",
                                   name + " did not answer in time (" + word(change.new_class) +
                                       "); asking again soon",
                                   std::move(fields), "launcher::probe");
        case FreezeChange::What::cleared:
            return launcher_record(LogLevel::info, "freeze-end",
                                   name + " answers again; it was not frozen", std::move(fields),
                                   "launcher::probe");
        case FreezeChange::What::frozen:
            fields.emplace_back("class", word(change.new_class));
            fields.emplace_back("diagnosis", sentence);
            return launcher_record(LogLevel::error, "freeze-begin",
                                   name + " is frozen (" + word(change.new_class) +
                                       "): " + sentence + ". It is left as it is",
                                   std::move(fields), "launcher::probe");
        case FreezeChange::What::class_changed:
            fields.emplace_back("class", word(change.new_class));
            fields.emplace_back("old_class", word(change.old_class));
            fields.emplace_back("old_class_seconds",
                                static_cast<double>(milliseconds_of(change.lasted)) / 1000);
            return launcher_record(LogLevel::error, "freeze-class",
                                   name + " is still frozen, now " + word(change.new_class) +
                                       " after " + span_text(change.lasted) + " of " +
                                       word(change.old_class),
                                   std::move(fields), "launcher::probe");
        case FreezeChange::What::ended:
            fields.emplace_back("worst_class", word(change.worst));
            fields.emplace_back("seconds",
                                static_cast<double>(milliseconds_of(change.lasted)) / 1000);
            return launcher_record(
                LogLevel::warn, "freeze-end",
                name + " answers again after a freeze of " + span_text(change.lasted),
                std::move(fields), "launcher::probe");
        case FreezeChange::What::nothing:
            break;
    }
    return launcher_record(LogLevel::debug, "", name + ": no change", std::move(fields),
                           "launcher::probe");
}

Record missed_deadline_record(const ServiceUnit& unit, const Diagnosis& diagnosis,
                              const std::vector<Listener>& listeners,
                              const std::vector<std::string>& last_lines) {
    Fields fields;
    const auto& name = unit.plan.name;
    fields.emplace_back("service", name);
    fields.emplace_back("rule", std::string(diagnosis.rule));
    fields.emplace_back("diagnosis", diagnosis.sentence);
    std::string message = name + " did not start in time";
    if (unit.startup) {
        const auto& history = unit.startup->history();
        fields.emplace_back("deadline_seconds",
                            static_cast<double>(unit.plan.startup->deadline.count()) / 1000);
        message = name + " did not start within " + span_text(unit.plan.startup->deadline);
        auto recent = history.recent;
        if (recent.size() > 5) recent.erase(recent.begin(), recent.end() - 5);
        fields.emplace_back("last_results", json_results(recent));
        if (unit.startup->first())
            fields.emplace_back("first_result", json_results({*unit.startup->first()}));
        if (history.last) fields.emplace_back("last_result", json_results({*history.last}));
    }
    json::array sockets;
    for (const auto& listener : listeners) {
        if (listener.owner.empty()) continue;
        sockets.push_back(json::object{{"address", text(listener.address)},
                                       {"port", listener.port},
                                       {"pid", listener.pid},
                                       {"owner", text(listener.owner)}});
    }
    fields.emplace_back("listening", logs::JsonText{json::serialize(sockets)});
    if (unit.process) {
        std::string states;
        for (const auto& [state, count] : unit.process->thread_states)
            states += (states.empty() ? "" : " ") + std::to_string(count) + state;
        fields.emplace_back("thread_states", states);
        fields.emplace_back("rss_bytes", unit.process->rss_bytes);
        fields.emplace_back("open_fds", unit.process->open_fds);
    }
    fields.emplace_back("last_lines", json_texts(last_lines));
    return launcher_record(LogLevel::error, "stop-begin", message + ": " + diagnosis.sentence,
                           std::move(fields), "launcher::probe");
}

Record launcher_exit_record(const Ending& ending, const std::vector<ServiceEnd>& ends, int status,
                            const logs::PipelineCounters& counters, std::uint64_t orphans_reaped) {
    Fields fields;
    fields.emplace_back("cause", std::string(cause_word(ending.cause)));
    if (!ending.service.empty()) fields.emplace_back("service", ending.service);
    fields.emplace_back("exit_status", std::int64_t{status});
    json::array services;
    for (const auto& end : ends) services.push_back(end_object(end));
    fields.emplace_back("services", logs::JsonText{json::serialize(services)});
    fields.emplace_back("log_lines_dropped", dropped_lines(counters));
    fields.emplace_back("log_lines_unwritten", unwritten_lines(counters));
    fields.emplace_back("pipe_held_by_descendant", held_pipes(counters));
    fields.emplace_back("orphans_reaped", orphans_reaped);
    return launcher_record(status == 0 ? LogLevel::info : LogLevel::error, "launcher-exit",
                           "the launcher ends with status " + std::to_string(status),
                           std::move(fields));
}

std::string status_line(const std::vector<std::unique_ptr<ServiceUnit>>& units) {
    std::string line;
    // The service that the others exist for is started last, and named first.
    for (auto unit = units.rbegin(); unit != units.rend(); ++unit) {
        const auto& service = **unit;
        std::string word(to_string(service.fsm.state()));
        if (service.freeze.state() == FreezeState::frozen)
            word = "frozen (" + std::string(to_string(service.freeze.freeze_class())) + ")";
        else if (service.running() && !service.phase.empty() && service.phase != "serving")
            word = service.phase;
        line += (line.empty() ? "" : "; ") + service.plan.name + " " + word;
    }
    return line;
}

std::string exit_document(const Ending& ending, const std::vector<ServiceEnd>& ends, int status) {
    json::object document;
    document["version"] = 1;
    document["cause"] = text(cause_word(ending.cause));
    if (!ending.service.empty()) document["service"] = text(ending.service);
    document["exit_status"] = status;
    json::array services;
    for (const auto& end : ends) services.push_back(end_object(end));
    document["services"] = std::move(services);
    return json::serialize(document) + "\n";
}

}  // namespace launcher
