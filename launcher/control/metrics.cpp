#include "launcher/control/metrics.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include <sys/resource.h>

#ifndef KMS_LAUNCHER_COMMIT
#define KMS_LAUNCHER_COMMIT "unknown"
#endif

namespace launcher {
namespace {

using runtime::MetricKind;
using runtime::MetricsText;
using std::chrono::system_clock;

constexpr std::array<std::string_view, 6> kLevels = {"trace", "debug", "info",
                                                     "warn",  "error", "fatal"};
/// Why evidence is taken (EvidenceTaker); all of them from the start.
constexpr std::array<std::string_view, 6> kEvidenceReasons = {"suspect",    "frozen", "scheduled",
                                                              "freeze-end", "manual", "stop"};
constexpr std::string_view kThreadStates = "RSDTZ";
constexpr auto kStates = {ServiceState::pending, ServiceState::starting, ServiceState::started,
                          ServiceState::ready,   ServiceState::unready,  ServiceState::stopping,
                          ServiceState::exited,  ServiceState::failed};
constexpr std::string_view kNamesOfLauncher =
    "launcher";  ///< its own records, in labels beside the services

double seconds_since_epoch(system_clock::time_point time) {
    return std::chrono::duration<double>(time.time_since_epoch()).count();
}
double seconds_since_epoch(const std::optional<system_clock::time_point>& time) {
    return time ? seconds_since_epoch(*time) : 0;
}

/// One exposition in the making: what is common to all groups of metrics.
struct Page {
    MetricsText text;
    const Status& status;
    runtime::TimePoint now;

    void counter(std::string_view name, std::string_view help, std::string_view unit = "") {
        text.family(name, MetricKind::counter, help, unit);
    }
    void gauge(std::string_view name, std::string_view help, std::string_view unit = "") {
        text.family(name, MetricKind::gauge, help, unit);
    }
    /// A gauge with one value per service.
    template <class Value>
    void gauge_by_service(std::string_view name, std::string_view help, std::string_view unit,
                          Value value) {
        gauge(name, help, unit);
        for (const auto& service : status.services)
            text.sample(value(service), {{"service", service.name}});
    }
};

void write_launcher(Page& page) {
    page.gauge("kms_launcher_build_info", "What this launcher was built from; always 1.");
    page.text.sample(1, {{"version", page.status.version},
                         {"commit", KMS_LAUNCHER_COMMIT},
                         {"compiler", __VERSION__}});
    page.gauge("kms_launcher_start_time_seconds",
               "When the launcher started, in seconds since 1970.", "seconds");
    page.text.sample(seconds_since_epoch(page.status.started));
    page.text.family("kms_launcher_loop_lag_seconds", MetricKind::histogram,
                     "How late the launcher's own timers fired.", "seconds");
    page.text.sample(page.status.loop_lag);
    page.counter("kms_launcher_orphans_reaped_total",
                 "Processes without a parent that the launcher has reaped.");
    page.text.sample(page.status.orphans_reaped);
}

void write_services(Page& page) {
    page.gauge_by_service(
        "kms_launcher_service_up", "1 while the service's process exists.", "",
        [](const ServiceStatus& service) { return service.pid > 0 && !service.exit; });
    page.gauge("kms_launcher_service_state", "1 for the state that the service is in.");
    for (const auto& service : page.status.services)
        for (const ServiceState state : kStates)
            page.text.sample(service.state == state,
                             {{"service", service.name}, {"state", to_string(state)}});
    page.gauge("kms_launcher_service_phase_info", "The phase that the service is in; always 1.");
    for (const auto& service : page.status.services)
        page.text.sample(1, {{"service", service.name},
                             {"phase", service.phase.empty() ? "unknown" : service.phase}});
    page.gauge_by_service(
        "kms_launcher_service_start_time_seconds",
        "When the service was started, in seconds since 1970; 0 before that.", "seconds",
        [](const ServiceStatus& service) { return seconds_since_epoch(service.started); });
    page.gauge_by_service(
        "kms_launcher_service_time_to_ready_seconds",
        "From the start of the service until it was ready; 0 before that.", "seconds",
        [](const ServiceStatus& service) { return service.time_to_ready_seconds.value_or(0); });
    page.counter("kms_launcher_service_restarts_total", "Always 0: nothing is ever restarted.");
    for (const auto& service : page.status.services)
        page.text.sample(0, {{"service", service.name}});
    page.gauge("kms_launcher_service_exit_code",
               "The exit code of a service that ended by itself.");
    for (const auto& service : page.status.services)
        if (service.exit && !service.exit->signalled)
            page.text.sample(service.exit->code, {{"service", service.name}});
    page.gauge("kms_launcher_service_exit_signal",
               "The number of the signal that ended a service.");
    for (const auto& service : page.status.services)
        if (service.exit && service.exit->signalled)
            page.text.sample(service.exit->code, {{"service", service.name}});
}

template <class Write>
void for_each_probe(const Page& page, Write write) {
    for (const auto& service : page.status.services)
        for (const auto& probe : service.probes) write(service.name, probe);
}

void write_probes(Page& page) {
    page.gauge("kms_launcher_probe_success", "1 when the last run of the probe succeeded.");
    for_each_probe(page, [&](const std::string& service, const ProbeStatus& probe) {
        page.text.sample(probe.last && probe.last->ok(),
                         {{"service", service}, {"probe", probe.name}});
    });
    page.counter("kms_launcher_probe_results_total", "Runs of the probe by result.");
    for_each_probe(page, [&](const std::string& service, const ProbeStatus& probe) {
        for (std::size_t i = 0; i < kProbeOutcomes; ++i)
            page.text.sample(probe.results[i],
                             {{"service", service},
                              {"probe", probe.name},
                              {"result", to_string(static_cast<ProbeOutcome>(i))}});
    });
    page.text.family("kms_launcher_probe_stage_duration_seconds", MetricKind::histogram,
                     "How long the stages of the probe took, as far as they were reached.",
                     "seconds");
    for_each_probe(page, [&](const std::string& service, const ProbeStatus& probe) {
        for (std::size_t i = 0; i < kProbeStages; ++i)
            page.text.sample(probe.stages[i], {{"service", service},
                                               {"probe", probe.name},
                                               {"stage", to_string(static_cast<ProbeStage>(i))}});
    });
    page.gauge("kms_launcher_probe_last_success_timestamp_seconds",
               "When the probe succeeded last, in seconds since 1970; 0 for never.", "seconds");
    for_each_probe(page, [&](const std::string& service, const ProbeStatus& probe) {
        page.text.sample(seconds_since_epoch(probe.last_ok),
                         {{"service", service}, {"probe", probe.name}});
    });
}

template <class Write>
void for_each_freeze_class(const Page& page, Write write) {
    for (const auto& service : page.status.services)
        for (std::size_t i = 0; i < kProbeOutcomes; ++i)
            if (is_timeout(static_cast<ProbeOutcome>(i)))
                write(service, static_cast<ProbeOutcome>(i));
}

double freeze_seconds(const ServiceStatus& service,
                      const std::optional<system_clock::time_point>& wall) {
    double seconds = service.freeze_seconds;
    if (wall && service.freeze == FreezeState::frozen && service.freeze_since)
        seconds +=
            std::max(0.0, std::chrono::duration<double>(*wall - *service.freeze_since).count());
    return seconds;
}

void write_evidence(Page& page, std::string_view name, std::string_view help,
                    const std::map<std::string, std::uint64_t> ServiceStatus::* counts) {
    page.counter(name, help);
    for (const auto& service : page.status.services) {
        const auto& known = service.*counts;
        std::set<std::string_view> reasons(kEvidenceReasons.begin(), kEvidenceReasons.end());
        for (const auto& [reason, count] : known) reasons.insert(reason);
        for (const auto reason : reasons) {
            const auto found = known.find(std::string(reason));
            page.text.sample(found == known.end() ? 0 : found->second,
                             {{"service", service.name}, {"reason", reason}});
        }
    }
}

void write_freezes(Page& page) {
    page.gauge("kms_launcher_freeze_state", "1 for the class in which the service is frozen.");
    for_each_freeze_class(page, [&](const ServiceStatus& service, ProbeOutcome outcome) {
        page.text.sample(service.freeze == FreezeState::frozen && service.freeze_class == outcome,
                         {{"service", service.name}, {"class", to_string(outcome)}});
    });
    page.counter("kms_launcher_freezes_total", "How often the service has frozen, by class.");
    for_each_freeze_class(page, [&](const ServiceStatus& service, ProbeOutcome outcome) {
        const auto found = service.freezes.find(outcome);
        page.text.sample(found == service.freezes.end() ? 0 : found->second,
                         {{"service", service.name}, {"class", to_string(outcome)}});
    });
    page.counter("kms_launcher_freeze_seconds_total",
                 "How long the service has been frozen, in all.", "seconds");
    const auto wall = wall_time(page.status, page.now);
    for (const auto& service : page.status.services)
        page.text.sample(freeze_seconds(service, wall), {{"service", service.name}});
    write_evidence(page, "kms_launcher_evidence_snapshots_total", "Evidence taken, by reason.",
                   &ServiceStatus::evidence_taken);
    write_evidence(page, "kms_launcher_evidence_skipped_total",
                   "Evidence not taken because of the rate limit, by reason.",
                   &ServiceStatus::evidence_skipped);
}

/// The counters of a service's streams; zeros before the pipeline knows the service.
logs::ServiceLogCounters log_counters(const Page& page, const std::string& service) {
    for (const auto& entry : page.status.log.services)
        if (entry.service == service) return entry;
    return {.service = service, .out = {}, .err = {}};
}

template <class Write>
void for_each_stream(const Page& page, Write write) {
    for (const auto& service : page.status.services) {
        const auto counters = log_counters(page, service.name);
        write(service.name, std::string_view("stdout"), counters.out);
        write(service.name, std::string_view("stderr"), counters.err);
    }
}

void write_by_level(Page& page, std::string_view name, std::string_view help, std::string_view unit,
                    std::array<std::uint64_t, 6> logs::StreamCounters::* counts) {
    page.counter(name, help, unit);
    for_each_stream(page, [&](const std::string& service, std::string_view stream,
                              const logs::StreamCounters& counters) {
        for (std::size_t level = 0; level < kLevels.size(); ++level)
            page.text.sample((counters.*counts)[level],
                             {{"service", service}, {"stream", stream}, {"level", kLevels[level]}});
    });
}

void write_by_service(Page& page, std::string_view name, std::string_view help,
                      std::uint64_t logs::StreamCounters::* count) {
    page.counter(name, help);
    for (const auto& service : page.status.services) {
        const auto counters = log_counters(page, service.name);
        page.text.sample(counters.out.*count + counters.err.*count, {{"service", service.name}});
    }
}

void write_drops(Page& page) {
    page.counter("kms_launcher_log_dropped_total",
                 "Records lost because a sink could not take them.");
    constexpr std::array<std::string_view, 3> kStreams = {"none", "stdout", "stderr"};
    for (const auto& sink : page.status.log.sinks) {
        std::map<std::string_view, std::array<std::array<std::uint64_t, 6>, 3>> by_service;
        for (const auto& service : page.status.services) by_service[service.name] = {};
        by_service[kNamesOfLauncher] = {};
        for (const auto& [service, counts] : sink.dropped_by_stream) by_service[service] = counts;
        for (const auto& [service, counts] : by_service)
            for (std::size_t stream = 0; stream < kStreams.size(); ++stream) {
                // Services have streams; the launcher's own records come from none.
                if ((service == kNamesOfLauncher) != (stream == 0)) continue;
                for (std::size_t level = 0; level < kLevels.size(); ++level)
                    page.text.sample(counts[stream][level], {{"service", service},
                                                             {"stream", kStreams[stream]},
                                                             {"level", kLevels[level]},
                                                             {"sink", sink.name}});
            }
    }
    page.counter("kms_launcher_log_dropped_bytes_total", "Bytes of the records lost, by sink.",
                 "bytes");
    for (const auto& sink : page.status.log.sinks)
        page.text.sample(sink.dropped_bytes, {{"sink", sink.name}});
}

void write_sinks(Page& page) {
    const auto by_sink = [&](std::string_view name, std::string_view help, std::string_view unit,
                             auto value) {
        page.gauge(name, help, unit);
        for (const auto& sink : page.status.log.sinks)
            page.text.sample(value(sink), {{"sink", sink.name}});
    };
    using Sink = logs::SinkCounters;
    by_sink("kms_launcher_log_queue_bytes", "What waits for the sink.", "bytes",
            [](const Sink& sink) { return static_cast<std::uint64_t>(sink.queued_bytes); });
    by_sink("kms_launcher_log_queue_limit_bytes", "How much may wait for the sink.", "bytes",
            [](const Sink& sink) { return static_cast<std::uint64_t>(sink.queue_limit_bytes); });
    by_sink("kms_launcher_log_sink_up", "1 while the sink takes records.", "",
            [](const Sink& sink) { return sink.up; });
    by_sink(
        "kms_launcher_log_sink_stalled_seconds",
        "For how long the sink has taken nothing although something waits.", "seconds",
        [](const Sink& sink) { return std::chrono::duration<double>(sink.stalled_for).count(); });
}

void write_logs(Page& page) {
    using Stream = logs::StreamCounters;
    write_by_level(page, "kms_launcher_log_lines_total", "Lines that the service has written.", "",
                   &Stream::lines_by_level);
    write_by_level(page, "kms_launcher_log_bytes_total", "Bytes that the service has written.",
                   "bytes", &Stream::bytes_by_level);
    write_by_service(page, "kms_launcher_log_filtered_total",
                     "Records that the filter has held back.", &Stream::filtered);
    write_by_service(page, "kms_launcher_log_probe_total",
                     "Lines held back because the launcher's own probes caused them.",
                     &Stream::probe_noise);
    page.counter("kms_launcher_log_redactions_total",
                 "Texts replaced before they could leave, by rule.");
    for (const auto& [rule, count] : page.status.log.redactions)
        page.text.sample(count, {{"rule", rule}});
    write_drops(page);
    write_sinks(page);
    page.gauge("kms_launcher_log_pipe_bytes",
               "What the service has written and the launcher has not read yet.", "bytes");
    for_each_stream(
        page, [&](const std::string& service, std::string_view stream, const Stream& counters) {
            page.text.sample(static_cast<std::uint64_t>(counters.pipe_bytes),
                             {{"service", service}, {"stream", stream}});
        });
}

/// Zeros before the service has a process; nothing while its numbers may not be read.
std::optional<ProcessStatus> process_numbers(const ServiceStatus& service) {
    if (service.process || service.pid > 0) return service.process;
    return ProcessStatus{};
}

template <class Value>
void process_gauge(Page& page, std::string_view name, std::string_view help, std::string_view unit,
                   Value value) {
    page.gauge(name, help, unit);
    for (const auto& service : page.status.services)
        if (const auto process = process_numbers(service))
            page.text.sample(value(*process), {{"service", service.name}});
}

/// A counter with two series per service, told apart by `label`.
template <class First, class Second>
void process_pair(Page& page, std::string_view name, std::string_view help, std::string_view unit,
                  std::string_view label, std::pair<std::string_view, First> first,
                  std::pair<std::string_view, Second> second) {
    page.counter(name, help, unit);
    for (const auto& service : page.status.services)
        if (const auto process = process_numbers(service)) {
            page.text.sample((*process).*first.second,
                             {{"service", service.name}, {label, first.first}});
            page.text.sample((*process).*second.second,
                             {{"service", service.name}, {label, second.first}});
        }
}

std::uint64_t threads_in(const ProcessStatus& process, char state) {
    const auto count = [&](char letter) {
        const auto found = process.thread_states.find(letter);
        return found == process.thread_states.end() ? std::uint64_t{0} : found->second;
    };
    // A thread that is traced is stopped, too.
    return state == 'T' ? count('T') + count('t') : count(state);
}

void write_processes(Page& page) {
    using P = ProcessStatus;
    process_pair(page, "kms_launcher_process_cpu_seconds_total", "CPU time of the service.",
                 "seconds", "mode", std::pair{std::string_view("user"), &P::user_seconds},
                 std::pair{std::string_view("system"), &P::system_seconds});
    process_gauge(page, "kms_launcher_process_resident_memory_bytes",
                  "Memory of the service in RAM.", "bytes",
                  [](const P& process) { return process.rss_bytes; });
    process_gauge(page, "kms_launcher_process_virtual_memory_bytes",
                  "Address space of the service.", "bytes",
                  [](const P& process) { return process.virtual_bytes; });
    process_gauge(page, "kms_launcher_process_swap_bytes", "Memory of the service in swap.",
                  "bytes", [](const P& process) { return process.swap_bytes; });
    process_gauge(page, "kms_launcher_process_threads", "Threads of the service.", "",
                  [](const P& process) { return process.threads; });
    process_gauge(page, "kms_launcher_process_open_fds", "Open descriptors of the service.", "",
                  [](const P& process) { return process.open_fds; });
    process_gauge(page, "kms_launcher_process_max_fds",
                  "How many descriptors the service may open.", "",
                  [](const P& process) { return process.max_fds; });
    page.gauge("kms_launcher_process_thread_states", "Threads of the service by state.");
    for (const auto& service : page.status.services)
        if (const auto process = process_numbers(service))
            for (std::size_t i = 0; i < kThreadStates.size(); ++i)
                page.text.sample(
                    threads_in(*process, kThreadStates[i]),
                    {{"service", service.name}, {"state", kThreadStates.substr(i, 1)}});
    process_pair(page, "kms_launcher_process_context_switches_total",
                 "Context switches of the service.", "", "kind",
                 std::pair{std::string_view("voluntary"), &P::voluntary_switches},
                 std::pair{std::string_view("involuntary"), &P::involuntary_switches});
    page.counter("kms_launcher_process_major_page_faults_total",
                 "Page faults that had to wait for a disk.");
    for (const auto& service : page.status.services)
        if (const auto process = process_numbers(service))
            page.text.sample(process->major_faults, {{"service", service.name}});
    process_pair(page, "kms_launcher_process_io_bytes_total",
                 "Bytes that the service moved from and to disks.", "bytes", "direction",
                 std::pair{std::string_view("read"), &P::read_bytes},
                 std::pair{std::string_view("write"), &P::written_bytes});
}

void write_system(Page& page, const SystemSample& system) {
    const auto optional_gauge = [&](std::string_view name, std::string_view help,
                                    const std::optional<std::uint64_t>& value) {
        if (!value) return;
        page.gauge(name, help, "bytes");
        page.text.sample(*value);
    };
    optional_gauge("kms_launcher_cgroup_memory_bytes", "Memory of the launcher's control group.",
                   system.cgroup_memory_bytes);
    optional_gauge("kms_launcher_cgroup_memory_limit_bytes",
                   "How much memory the control group may use.", system.cgroup_memory_limit_bytes);
    if (system.cgroup_oom_kills) {
        page.counter("kms_launcher_cgroup_oom_kills_total",
                     "Processes of the control group killed for want of memory.");
        page.text.sample(*system.cgroup_oom_kills);
    }
    if (system.pressure.empty()) return;
    page.counter("kms_launcher_pressure_stall_seconds_total",
                 "How long some or all tasks of the host have waited for a resource.", "seconds");
    for (const auto& entry : system.pressure)
        page.text.sample(entry.seconds, {{"resource", entry.resource}, {"kind", entry.kind}});
}

void write_http(Page& page, const EndpointNumbers& numbers) {
    page.counter("kms_launcher_http_requests_total",
                 "Requests that the health endpoint has answered.");
    for (std::size_t path = 0; path < RequestCounters::kPaths.size(); ++path)
        for (std::size_t code = 0; code < RequestCounters::kCodes.size(); ++code)
            page.text.sample(numbers.requests.count(path, code),
                             {{"path", RequestCounters::kPaths[path]},
                              {"code", std::to_string(RequestCounters::kCodes[code])}});
    page.counter("kms_launcher_http_rejected_total",
                 "Connections and requests that the health endpoint has refused unread.");
    const auto& server = numbers.server;
    page.text.sample(server.timeouts_head.value() + server.timeouts_first_byte.value() +
                         server.connections_given_way.value(),
                     {{"code", "408"}});
    page.text.sample(server.heads_refused.value(), {{"code", "431"}});
    page.text.sample(server.connections_refused.value() + server.requests_refused.value(),
                     {{"code", "503"}});
}

double address_space_limit() {
    rlimit limit{};
    const bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return limited ? static_cast<double>(limit.rlim_cur) : std::numeric_limits<double>::infinity();
}

/// The standard names of the launcher's own process.
void write_self(Page& page, const std::optional<ProcessStatus>& self) {
    page.gauge("process_start_time_seconds",
               "Start time of the process since unix epoch in seconds.", "seconds");
    page.text.sample(seconds_since_epoch(page.status.started));
    if (!self) return;
    page.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
                 "seconds");
    page.text.sample(self->user_seconds + self->system_seconds);
    page.gauge("process_open_fds", "Number of open file descriptors.");
    page.text.sample(self->open_fds);
    page.gauge("process_max_fds", "Maximum number of open file descriptors.");
    page.text.sample(self->max_fds);
    page.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", "bytes");
    page.text.sample(self->virtual_bytes);
    page.gauge("process_virtual_memory_max_bytes",
               "Maximum amount of virtual memory available in bytes.", "bytes");
    page.text.sample(address_space_limit());
    page.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", "bytes");
    page.text.sample(self->rss_bytes);
    page.gauge("process_threads", "Number of OS threads in the process.");
    page.text.sample(self->threads);
}

}  // namespace

void RequestCounters::add(std::string_view path, unsigned code) {
    if (path.starts_with("/readyz/")) path = "/readyz";
    const auto known_path = std::find(kPaths.begin(), kPaths.end() - 1, path);
    const auto known_code = std::find(kCodes.begin(), kCodes.end() - 1, code);
    counters_[static_cast<std::size_t>(known_path - kPaths.begin())]
             [static_cast<std::size_t>(known_code - kCodes.begin())]
                 .add();
}

std::string metrics_text(const Status& status, runtime::TimePoint now,
                         const EndpointNumbers& numbers, MetricsText::Format format) {
    Page page{MetricsText(format), status, now};
    write_launcher(page);
    write_services(page);
    write_probes(page);
    write_freezes(page);
    write_logs(page);
    write_processes(page);
    write_system(page, numbers.system);
    write_http(page, numbers);
    write_self(page, numbers.system.self);
    return std::move(page.text).finish();
}

}  // namespace launcher
