#include "launcher/control/process_host.hpp"

#include "launcher/control/supervisor_records.hpp"
#include "launcher/plan/plan_checks.hpp"
#include "launcher/process/child.hpp"
#include "launcher/process/descendants.hpp"
#include "launcher/process/sockets.hpp"

#include <algorithm>
#include <csignal>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

namespace launcher {
namespace {

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::Result;
using runtime::Task;

/// Every probe of a plan, those inside combinations too.
void flatten(const ProbePlan& plan, std::vector<const ProbePlan*>& out) {
    out.push_back(&plan);
    for (const auto& inner : plan.probes) flatten(inner, out);
}
std::vector<const ProbePlan*> all_probes(const ServicePlan& service) {
    std::vector<const ProbePlan*> probes;
    for (const auto* role : {&service.startup, &service.liveness, &service.readiness})
        if (*role) flatten(**role, probes);
    return probes;
}

std::string line_key(const ProbePlan& plan) {
    return plan.stream + "\n" + plan.target + "\n" + (plan.pattern_is_regex ? "~" : "=") +
           plan.pattern;
}

std::string path_in(const std::vector<std::string>& environment) {
    for (const auto& entry : environment)
        if (entry.starts_with("PATH=")) return entry.substr(5);
    return "";
}

std::string_view stream_word(logs::Stream stream) {
    switch (stream) {
        case logs::Stream::out:
            return "stdout";
        case logs::Stream::err:
            return "stderr";
        case logs::Stream::none:
            break;
    }
    return "";
}

/// The end of a child may be reaped before its exec is confirmed; it is told afterwards.
struct EarlyEnd {
    bool confirmed = false;
    std::optional<ChildEnd> end;
};

}  // namespace

struct ProcessHost::Watched {
    std::unique_ptr<NotifySocket> socket;
    std::map<std::string, std::unique_ptr<LineWatch>> lines;
    std::string fault;  ///< why one of them could not be made
};

ProcessHost::ProcessHost(Parts parts, std::map<std::string, std::vector<std::string>> environments)
    : parts_(std::move(parts)), environments_(std::move(environments)) {}

ProcessHost::~ProcessHost() {
    for (const auto& [name, extras] : watched_)
        if (!extras->lines.empty()) parts_.pipeline.listen(name, {});
}

void ProcessHost::log_orphans() {
    reaper_.on_orphan([this](const ChildEnd& end, const std::string& comm) {
        logs::Fields fields;
        fields.emplace_back("pid", std::int64_t{end.pid});
        if (!comm.empty()) fields.emplace_back("comm", comm);
        emit(launcher_record(runtime::LogLevel::debug, "", "an orphan " + describe(end.status),
                             std::move(fields), "launcher::process"));
    });
}

void ProcessHost::reap() {
    const auto pass = reaper_.collect();
    no_children_ = pass.no_children;
    if (pass.more && !reap_again_) {
        // Other handlers get their turn between two portions.
        reap_again_ = true;
        boost::asio::post(parts_.executor, [this] {
            reap_again_ = false;
            reap();
        });
    }
    if (children_changed_) children_changed_();
}

ProcessHost::Watched& ProcessHost::watched(const ServicePlan& service) {
    auto& slot = watched_[service.name];
    if (slot) return *slot;
    slot = std::make_unique<Watched>();
    const auto name = service.name;
    for (const auto* probe : all_probes(service)) {
        if (probe->kind == ProbeKind::notify && !slot->socket) {
            auto socket = NotifySocket::create(parts_.executor, [this, name](int pid) {
                const auto found = running_.find(name);
                if (found == running_.end()) return false;
                if (found->second.pid == pid) return true;
                const auto below = live_descendants(found->second.pid);
                return std::find(below.begin(), below.end(), pid) != below.end();
            });
            if (socket)
                slot->socket = std::move(*socket);
            else
                slot->fault = socket.error().context;
        }
        if (probe->kind != ProbeKind::log_line || slot->lines.contains(line_key(*probe))) continue;
        auto watch = LineWatch::create(*probe);
        if (watch)
            slot->lines.emplace(line_key(*probe), std::move(*watch));
        else
            slot->fault = watch.error().context;
    }
    if (slot->lines.empty()) return *slot;
    auto* lines = &slot->lines;
    parts_.pipeline.listen(name, [lines](const logs::Record& record) {
        for (const auto& [key, watch] : *lines)
            watch->look(stream_word(record.stream), record.logger, record.message);
    });
    return *slot;
}

/// The service's cgroup.procs when it has bounds that need one; a launcher that may not make
/// cgroups says so and goes on without them.
Descriptor ProcessHost::enter_cgroup(const ServicePlan& service) {
    if (!service.limits.needs_cgroup()) return {};
    auto processes = cgroups_.prepare(service);
    if (processes) return std::move(*processes);
    emit(launcher_record(runtime::LogLevel::warn, "",
                         "the memory, pids and cpu bounds of " + service.name +
                             " are not in force: " + processes.error().context +
                             "; delegate a cgroup (Delegate=yes in the unit), or remove them",
                         {}, "launcher::process"));
    return {};
}

std::map<std::string, std::string> ProcessHost::limits_of(const std::string& service,
                                                          int pid) const {
    auto limits = cgroups_.effective(service);
    for (auto& [name, value] : read_process_limits(pid)) limits.emplace(name, value);
    return limits;
}

Task<SpawnOutcome> ProcessHost::spawn(ServicePlan service, std::function<void(ChildEnd)> on_end,
                                      Deadline deadline) {
    const auto& name = service.name;
    plans_[name] = service;
    auto& extras = watched(service);
    if (!extras.fault.empty()) co_return SpawnOutcome{0, kExitConfig, extras.fault, {}};
    ChildSpec spec;
    spec.service = service;
    spec.environment = environments_[name];
    spec.default_nofile = parts_.default_nofile;
    const auto found =
        find_command(service.command.front(), path_in(spec.environment), service.cwd);
    spec.program = found.path;  // when nothing was found, exec says why
    if (extras.socket) spec.environment.push_back("NOTIFY_SOCKET=" + extras.socket->address());
    const auto cgroup = enter_cgroup(service);
    spec.cgroup_procs = cgroup.get();
    auto child = start_child(spec);
    for (auto& entry : spec.environment) runtime::wipe(entry);
    if (!child) co_return SpawnOutcome{0, kExitInternal, child.error().context, {}};

    const int pid = child->pid;
    auto early = std::make_shared<EarlyEnd>();
    running_[name] = Running{pid, std::move(child->pidfd)};
    reaper_.watch(pid, [this, early, on_end, name](const ChildEnd& end) {
        running_.erase(name);
        if (early->confirmed)
            on_end(end);
        else
            early->end = end;
    });
    const auto fault =
        co_await confirm_exec(parts_.clock, std::move(child->exec_status), spec.program, deadline);
    if (fault) {
        signal_service(name, SIGKILL, true);  // in case it hangs on its way to the program
        co_return SpawnOutcome{0, fault->exit_code, fault->text, {}};
    }
    parts_.pipeline.adopt(service, pid, child->output.release(), child->errors.release());
    early->confirmed = true;
    if (early->end)
        boost::asio::post(parts_.executor, [on_end, end = *early->end] { on_end(end); });
    co_return SpawnOutcome{pid, 0, "", limits_of(name, pid)};
}

void ProcessHost::signal_service(const std::string& service, int signal, bool group) {
    const auto found = running_.find(service);
    if (found == running_.end()) return;
    // The leader was not reaped, so neither its number nor that of its group can belong to anybody
    // else.
    if (group) ::kill(-found->second.pid, signal);
    send_signal(found->second.pid, found->second.pidfd, signal);
}

int ProcessHost::signal_descendants(int signal) {
    return launcher::signal_descendants(signal);
}

bool ProcessHost::has_children() {
    reap();
    return !no_children_;
}

Task<Result<int>> ProcessHost::run_command(std::string service, std::vector<std::string> command,
                                           Deadline deadline) {
    ChildSpec spec;
    spec.service = plans_[service];
    spec.service.command = std::move(command);
    spec.service.stdin_inherit = false;
    spec.environment = environments_[service];
    spec.default_nofile = parts_.default_nofile;
    spec.discard_output = true;
    spec.program =
        find_command(spec.service.command.front(), path_in(spec.environment), spec.service.cwd)
            .path;
    auto child = start_child(spec);
    if (!child) co_return std::move(child.error());
    struct Ended {
        std::optional<ChildEnd> end;
        Wakeup wakeup;
    };
    auto ended = std::make_shared<Ended>(Ended{std::nullopt, Wakeup(parts_.executor)});
    reaper_.watch(child->pid, [ended](const ChildEnd& end) {
        ended->end = end;
        ended->wakeup.notify();
    });
    while (!ended->end && !deadline.expired(parts_.clock.now()))
        co_await ended->wakeup.wait(parts_.clock, deadline);
    if (ended->end) co_return shell_status(ended->end->status);
    ::kill(-child->pid, SIGKILL);
    send_signal(child->pid, child->pidfd, SIGKILL);
    co_return runtime::Error{runtime::ErrorCode::deadline_exceeded,
                             "the probe's command did not end in time"};
}

Task<ProbeResult> ProcessHost::probe(std::string service, ProbePlan probe, Deadline deadline) {
    auto* extras = watched_[service].get();
    ProbeHooks hooks;
    hooks.exec = [this, service](std::vector<std::string> command, Deadline limit) {
        return run_command(service, std::move(command), limit);
    };
    hooks.notified = [extras] {
        return extras != nullptr && extras->socket && extras->socket->ready();
    };
    hooks.line_seen = [extras](const ProbePlan& plan) {
        if (extras == nullptr) return false;
        const auto watch = extras->lines.find(line_key(plan));
        return watch != extras->lines.end() && watch->second->seen();
    };
    hooks.connected = [this](std::uint16_t port) { parts_.pipeline.note_probe_port(port); };
    co_return co_await run_probe(parts_.clock, std::move(probe), deadline, std::move(hooks));
}

Task<ControlMeasurement> ProcessHost::control(Deadline deadline) {
    co_return co_await measure_control(parts_.clock, health_url_, deadline);
}

Task<std::vector<Listener>> ProcessHost::listeners(std::map<int, std::string> services,
                                                   std::uint16_t port, Deadline deadline) {
    auto work = [services = std::move(services), port]() -> Result<std::vector<Listener>> {
        return find_listeners(services, port);
    };
    auto found = co_await parts_.workers.run(parts_.clock, deadline, std::move(work));
    co_return found ? std::move(*found) : std::vector<Listener>{};
}

std::optional<ProcessStatus> ProcessHost::process_status(int pid) {
    return read_process_status(pid);
}

void ProcessHost::emit(logs::Record record) {
    record.timestamp = record.received = parts_.clock.wall_now();
    parts_.pipeline.emit(std::move(record));
}

std::vector<std::string> ProcessHost::last_lines(const std::string& service, std::size_t count) {
    return parts_.pipeline.last_lines(service, count);
}

Task<void> ProcessHost::drain_on_worker(std::string service, milliseconds limit,
                                        std::shared_ptr<Drained> drained) {
    auto work = [&pipeline = parts_.pipeline, service = std::move(service),
                 limit]() -> Result<void> {
        pipeline.drain(service, limit);
        return {};
    };
    const auto done = co_await parts_.workers.run(
        parts_.clock, Deadline::after(parts_.clock.now(), limit + 1s), std::move(work));
    (void)done;  // a drain that was not done loses nothing: the capture thread reads on
    drained->done = true;
    drained->wakeup.notify();
}

Task<void> ProcessHost::drain(std::string service, milliseconds limit) {
    // The workers may have longer work before this one; the record of an end must not wait for it.
    const auto deadline = Deadline::after(parts_.clock.now(), limit);
    auto drained = std::make_shared<Drained>(Drained{false, Wakeup(parts_.executor)});
    boost::asio::co_spawn(parts_.executor, drain_on_worker(std::move(service), limit, drained),
                          boost::asio::detached);
    while (!drained->done && !deadline.expired(parts_.clock.now()))
        co_await drained->wakeup.wait(parts_.clock, deadline);
}

logs::PipelineCounters ProcessHost::log_counters() {
    return parts_.pipeline.counters();
}
std::string ProcessHost::log_filter() {
    return parts_.pipeline.filter_text();
}
bool ProcessHost::flush(milliseconds limit) {
    return parts_.pipeline.flush(limit);
}
std::uint64_t ProcessHost::orphans_reaped() {
    return reaper_.orphans_reaped();
}

void ProcessHost::notify(const std::string& state) {
    parts_.systemd.send(state);
    const auto failure = parts_.systemd.take_failure();
    if (!failure.empty()) emit(launcher_record(runtime::LogLevel::warn, "", failure));
}

Task<EvidenceOutcome> ProcessHost::take_evidence(EvidenceOrder order, Deadline deadline) {
    if (parts_.evidence == nullptr) {
        EvidenceOutcome outcome;
        outcome.fault = "nobody takes evidence here";
        co_return outcome;
    }
    co_return co_await parts_.evidence->take(std::move(order), deadline);
}

}  // namespace launcher
