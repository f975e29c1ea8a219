#include "launcher/control/run.hpp"

#include "launcher/control/control_commands.hpp"
#include "launcher/control/freeze_evidence.hpp"
#include "launcher/control/health.hpp"
#include "launcher/control/process_host.hpp"
#include "launcher/control/signal_source.hpp"
#include "launcher/control/supervisor.hpp"
#include "launcher/control/supervisor_records.hpp"
#include "launcher/plan/signals.hpp"
#include "launcher/process/init_duties.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <random>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace launcher {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using runtime::LogLevel;
using runtime::Task;

constexpr auto kEvidenceBeforeStop = 200ms;
constexpr auto kManualEvidence = 3s;

void complain(const std::string& sentence) {
    std::fputs(("kms-launcher: " + sentence + "\n").c_str(), stderr);
}

/// What every service gets, and what no output may show.
struct Environments {
    std::map<std::string, std::vector<std::string>> by_service;
    std::vector<logs::KnownSecret> secrets;
    std::vector<std::string> warnings;
};

void add_known(const ServicePlan& service, const Environment& own, const ServiceSecrets& values,
               std::vector<logs::KnownSecret>& known) {
    for (const auto& [name, value] : values) known.push_back({name, std::string(value.text())});
    for (const auto& name : service.env_pass)
        if (const auto found = own.find(name); found != own.end() && is_secret_name(name))
            known.push_back({name, found->second});
    for (const auto& [name, value] : service.env)
        if (is_secret_name(name)) known.push_back({name, value});
}

runtime::Result<Environments> make_environments(const Plan& plan, const Environment& own) {
    Environments made;
    for (const auto& service : plan.services) {
        TRY(const auto secrets, read_secrets(service, own, made.warnings));
        add_known(service, own, secrets, made.secrets);
        made.by_service[service.name] = service_environment(service, own, secrets, made.warnings);
    }
    return made;
}

/// The services have their copies; the launcher keeps none that it does not need.
void forget_secret_values(const Plan& plan, Environment& own) {
    for (const auto& service : plan.services)
        for (const auto& [name, source] : service.secret_env)
            if (const auto found = own.find(source.name);
                source.from == SecretSource::From::environment && found != own.end())
                runtime::wipe(found->second);
}

/// The parts of a running launcher; members are destroyed from the last to the first.
class Launcher {
  public:
    Launcher(LoadedPlan loaded, PlanSources sources)
        : plan_(std::move(loaded.plan)),
          filter_(std::move(loaded.filter)),
          sources_(std::move(sources)) {}

    int run(Descriptor signals, std::uint64_t default_nofile);

  private:
    void build_evidence();
    runtime::Result<std::unique_ptr<HealthEndpoint>> start_health();
    std::optional<std::string> build(std::uint64_t default_nofile);
    void refuse_missing_programs();
    Task<void> watch_signals(Descriptor descriptor);
    Task<void> reap_each_second();
    Task<void> on_signal(ReceivedSignal signal);
    Task<void> reload();
    void dump_status();
    Task<void> live();
    void write_exit_record(int status);
    void tell(LogLevel level, std::string message, logs::Fields fields = {});

    Plan plan_;
    runtime::LogFilter filter_;
    PlanSources sources_;
    runtime::SystemClock clock_;
    asio::io_context io_{1};
    runtime::Workers workers_{2, 32};
    SystemdNotifier systemd_;
    std::shared_ptr<StatusBoard> board_ = std::make_shared<StatusBoard>();
    std::unique_ptr<logs::LogPipeline> pipeline_;
    std::unique_ptr<FreezeEvidence> evidence_;
    std::unique_ptr<ProcessHost> host_;
    std::unique_ptr<ControlCommands> commands_;
    std::unique_ptr<HealthEndpoint> health_;
    std::unique_ptr<Supervisor> supervisor_;
    std::minstd_rand random_{std::random_device{}()};
    int status_ = kExitInternal;
};

void Launcher::tell(LogLevel level, std::string message, logs::Fields fields) {
    host_->emit(launcher_record(level, "", std::move(message), std::move(fields)));
}

void Launcher::build_evidence() {
    const auto variable = [this](const char* name) {
        const auto found = sources_.environment.find(name);
        return found == sources_.environment.end() ? std::string() : found->second;
    };
    std::vector<std::string> services;
    for (const auto& service : plan_.services) services.push_back(service.name);
    evidence_ = std::make_unique<FreezeEvidence>(
        FreezeEvidence::Parts{io_.get_executor(), clock_, *pipeline_, std::move(services),
                              secret_directories(plan_, variable("CREDENTIALS_DIRECTORY"))},
        evidence_directories(plan_, variable("RUNTIME_DIRECTORY")));
}

runtime::Result<std::unique_ptr<HealthEndpoint>> Launcher::start_health() {
    ControlCommands::Parts parts{clock_, workers_,         *pipeline_, evidence_->store(),
                                 {},     plan_.log.syntax, {},         {}};
    for (const auto& service : plan_.services) parts.services.push_back(service.name);
    parts.take_evidence = [this](std::string service, runtime::Deadline deadline) {
        return supervisor_->take_evidence_of(std::move(service), deadline);
    };
    parts.tell = [this](std::string message, logs::Fields fields) {
        host_->emit(launcher_record(LogLevel::info, "config-loaded", std::move(message),
                                    std::move(fields)));
        supervisor_->publish();
    };
    commands_ = std::make_unique<ControlCommands>(std::move(parts));
    const ControlDoor door{io_.get_executor(),
                           [this](runtime::HttpServerRequest request, runtime::Deadline deadline) {
                               return commands_->answer(std::move(request), deadline);
                           }};
    auto health = HealthEndpoint::start(plan_.health, clock_, board_, door);
    if (health || plan_.source != "built-in" || plan_.health.unix_path.empty()) return health;
    // Nobody asked for the built-in socket by name: a read-only root is no reason not to start.
    const auto reason = health.error().context;
    auto without = plan_.health;
    without.unix_path.clear();
    auto second = HealthEndpoint::start(without, clock_, board_);
    if (second) tell(LogLevel::info, "no control socket: " + reason);
    return second;
}

std::optional<std::string> Launcher::build(std::uint64_t default_nofile) {
    auto environments = make_environments(plan_, sources_.environment);
    if (!environments) return environments.error().context;
    forget_secret_values(plan_, sources_.environment);
    // The secrets stay in memory for the redaction of logs: no dump of this process.
    if (!environments->secrets.empty()) ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    logs::PipelineOptions surroundings;
    surroundings.no_color = sources_.environment.contains("NO_COLOR");
    if (const auto found = sources_.environment.find("JOURNAL_STREAM");
        found != sources_.environment.end())
        surroundings.journal_stream = found->second;
    auto pipeline = logs::LogPipeline::start(plan_.log, filter_, std::move(environments->secrets),
                                             surroundings);
    if (!pipeline) return pipeline.error().context;
    pipeline_ = std::move(*pipeline);
    build_evidence();
    host_ = std::make_unique<ProcessHost>(
        ProcessHost::Parts{io_.get_executor(), clock_, *pipeline_, workers_, systemd_,
                           evidence_.get(), default_nofile},
        std::move(environments->by_service));
    if (filter_.enabled({LogLevel::debug, "launcher::process", "launcher", "", {}, {}}))
        host_->log_orphans();
    for (const auto& warning : environments->warnings) tell(LogLevel::warn, warning);
    Supervisor::Options options;
    options.version = KMS_LAUNCHER_VERSION;
    options.pid = ::getpid();
    options.pid1 = options.pid == 1;
    options.random = [this] { return std::uniform_real_distribution<double>(0, 1)(random_); };
    supervisor_ = std::make_unique<Supervisor>(io_.get_executor(), clock_, *host_, *board_, plan_,
                                               std::move(options));
    host_->on_children_changed([this] { supervisor_->children_changed(); });
    auto health = start_health();
    if (!health) {
        tell(LogLevel::error, "the health endpoint cannot be started: " + health.error().context);
        (void)pipeline_->flush(1000ms);
        return "the health endpoint cannot be started: " + health.error().context;
    }
    health_ = std::move(*health);
    host_->set_health_url(health_->url());
    return std::nullopt;
}

/// Looks for every program before the first service starts, so that none is started in vain.
void Launcher::refuse_missing_programs() {
    const auto faults = find_command_faults(plan_, sources_.environment);
    for (const auto& fault : faults) {
        logs::Fields fields;
        fields.emplace_back("service", fault.service);
        fields.emplace_back("exit_code", std::int64_t{fault.exit_code});
        host_->emit(launcher_record(LogLevel::error, "service-exit", fault.to_string(),
                                    std::move(fields), "launcher::process"));
    }
    if (!faults.empty()) supervisor_->refuse(faults.front().service, faults.front().exit_code);
}

Task<void> Launcher::reload() {
    systemd_.reloading();
    pipeline_->reopen_files();
    auto sources = sources_;
    sources.offline = true;  // nothing but the filter is taken over
    const auto loaded = load_plan(sources);
    if (loaded.ok()) {
        pipeline_->set_filter(loaded.filter);
        logs::Fields fields;
        fields.emplace_back("filter", loaded.filter.text());
        host_->emit(launcher_record(LogLevel::info, "config-loaded",
                                    "log filter reloaded, log files reopened", std::move(fields)));
    } else {
        tell(LogLevel::warn,
             "the log filter stays as it was: " + loaded.problems.list().front().to_string());
    }
    host_->notify("READY=1");
    co_return;
}

void Launcher::dump_status() {
    logs::Fields fields;
    fields.emplace_back("status", logs::JsonText{status_json(*board_->current(), clock_.now())});
    tell(LogLevel::info, "status", std::move(fields));
}

Task<void> Launcher::on_signal(ReceivedSignal signal) {
    const auto from = signal_name(signal.number) + " from pid " +
                      std::to_string(signal.sender_pid) + " (uid " +
                      std::to_string(signal.sender_uid) + ")";
    switch (reaction_to(signal.number)) {
        case SignalReaction::reap:
            host_->reap();
            break;
        case SignalReaction::stop:
            supervisor_->request_stop(from);
            break;
        case SignalReaction::stop_with_evidence:
            co_await supervisor_->take_evidence("stop", kEvidenceBeforeStop);
            supervisor_->request_stop(from);
            break;
        case SignalReaction::reload:
            co_await reload();
            break;
        case SignalReaction::evidence:
            co_await supervisor_->take_evidence("manual", kManualEvidence);
            break;
        case SignalReaction::dump_status:
            dump_status();
            break;
        case SignalReaction::ignore:
            break;
        case SignalReaction::forward:
            break;
    }
    if (signal.number == SIGCHLD || reaction_to(signal.number) == SignalReaction::ignore) co_return;
    // Beside what it means to the launcher, a signal goes to the services that ask for it.
    const bool sent = supervisor_->forward(signal.number);
    if (!sent && reaction_to(signal.number) == SignalReaction::forward)
        tell(LogLevel::debug, from + " means nothing");
}

Task<void> Launcher::watch_signals(Descriptor descriptor) {
    SignalSource source(io_.get_executor(), std::move(descriptor));
    while (true) {
        const auto signal = co_await source.next();
        if (!signal) co_return;
        if (signal->number == SIGCHLD)
            host_->reap();
        else
            asio::co_spawn(io_, on_signal(*signal), asio::detached);
    }
}

/// SIGCHLD coalesces, and as PID 1 nothing may be missed.
Task<void> Launcher::reap_each_second() {
    while (true) {
        co_await clock_.sleep_until(clock_.now() + 1s);
        host_->reap();
    }
}

Task<void> Launcher::live() {
    status_ = co_await supervisor_->run();
    write_exit_record(status_);
    io_.stop();
}

void Launcher::write_exit_record(int status) {
    if (plan_.exit_record.empty()) return;
    const auto text = exit_document(supervisor_->ending(), supervisor_->ends(), status);
    const auto temporary = plan_.exit_record + ".new";
    const Descriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640));
    const bool written = file.is_open() && ::write(file.get(), text.data(), text.size()) ==
                                               static_cast<ssize_t>(text.size());
    if (!written || ::rename(temporary.c_str(), plan_.exit_record.c_str()) != 0)
        complain("cannot write the exit record '" + plan_.exit_record + "'");
}

int Launcher::run(Descriptor signals, std::uint64_t default_nofile) {
    if (const auto fault = build(default_nofile)) {
        complain(*fault);
        return kExitInternal;
    }
    asio::co_spawn(io_, watch_signals(std::move(signals)), asio::detached);
    asio::co_spawn(io_, reap_each_second(), asio::detached);
    refuse_missing_programs();
    asio::co_spawn(io_, live(), [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
    });
    io_.run();
    health_.reset();
    // A worker that hangs in the kernel must not hold up the end; what matters is written by now.
    if (workers_.in_flight() > 0 || evidence_->busy()) ::_exit(status_);
    return status_;
}

}  // namespace

int run_launcher(LoadedPlan loaded, PlanSources sources, RunOptions options) {
    auto signals = take_over_signals();
    if (!signals) {
        complain(signals.error().context);
        return kExitInternal;
    }
    open_standard_descriptors();
    const bool subreaper = ::getpid() == 1 || become_subreaper();
    if (!subreaper) complain("cannot become a subreaper: orphans of the services go elsewhere");
    const auto default_nofile = raise_descriptor_limit();
    if (options.die_with_parent && ::getpid() != 1) die_with_parent();
    return Launcher(std::move(loaded), std::move(sources)).run(std::move(*signals), default_nofile);
}

}  // namespace launcher
