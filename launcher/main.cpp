// kms-launcher: arguments → plan → run or a subcommand → exit status.
#include "launcher/control/cli_control.hpp"
#include "launcher/control/cli_health.hpp"
#include "launcher/control/cli_poll.hpp"
#include "launcher/control/cli_probe.hpp"
#include "launcher/control/cli_status.hpp"
#include "launcher/control/run.hpp"
#include "launcher/control/systemd.hpp"
#include "launcher/plan/plan_loader.hpp"
#include "launcher/supervise/exit_status.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <unistd.h>

namespace {

using launcher::Environment;
using launcher::LoadedPlan;
using launcher::PlanSources;

constexpr const char* kHelp =
    R"(usage: kms-launcher [COMMAND] [OPTION...]

  run           start the services, stay until they end, restart nothing (default)
  check         report every mistake of the configuration [--json] [--offline]
  print-config  show every key with its value and where that comes from [--json]
  status        what a running launcher knows [--json] [--url URL | --socket PATH]
  health        ask a running launcher whether all is well [--ready]; status 0 or 1
  evidence      say what a running service waits for, without touching it [--last | --list]
  log-level     change what is logged of a service: log-level SERVICE FILTER | --reset SERVICE
  probe URL     ask a service once, layer by layer [--json]
  poll URL      ask again and again, count the answers [--for 10m] [--every 5s] [--json]
  version       print the version

options of run, check and print-config
  --config FILE     configuration; default /etc/kms/launcher.toml, else built in
  --log FILTER      what the launcher logs, such as info,kms=debug
  --allow-watchdog  run, although systemd would kill a launcher that feeds no watchdog
  --pdeathsig       run: end with the process that started the launcher

Signals: TERM, INT stop in order (a second one kills); HUP reopens log files and reloads the log
filter; USR1 takes evidence; USR2 logs the status; QUIT takes evidence, then stops.
Exit status: 0 stopped as asked; n or 128+signal as the first service that ended unasked (80 if
it ended with 0); 126, 127 a program cannot run; 75 not started in time; 64, 78 mistakes.
)";

struct Arguments {
    std::string command = "run";
    PlanSources sources;
    bool json = false;
    bool allow_watchdog = false;
    bool die_with_parent = false;
    std::string fault;  ///< a sentence; empty when all is well
};

Environment whole_environment() {
    Environment environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const auto equals = text.find('=');
        if (equals != std::string_view::npos)
            environment.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return environment;
}

Arguments parse(const std::vector<std::string>& words) {
    Arguments arguments;
    std::size_t at = 0;
    if (!words.empty() && !words.front().starts_with('-')) arguments.command = words[at++];
    for (; at < words.size(); ++at) {
        auto name = words[at];
        std::optional<std::string> value;
        if (const auto equals = name.find('=');
            name.starts_with("--") && equals != std::string::npos) {
            value = name.substr(equals + 1);
            name.resize(equals);
        }
        const auto needs_value = [&]() -> std::optional<std::string> {
            if (value) return value;
            if (at + 1 < words.size()) return words[++at];
            arguments.fault = "option " + name + " needs a value";
            return std::nullopt;
        };
        if (name == "--config" || name == "-c")
            arguments.sources.config_path = needs_value();
        else if (name == "--log")
            arguments.sources.log_filter = needs_value();
        else if (name == "--offline")
            arguments.sources.offline = true;
        else if (name == "--json")
            arguments.json = true;
        else if (name == "--allow-watchdog")
            arguments.allow_watchdog = true;
        else if (name == "--pdeathsig")
            arguments.die_with_parent = true;
        else if (name == "--help" || name == "-h")
            arguments.command = "help";
        else if (name == "--version")
            arguments.command = "version";
        else
            arguments.fault = "unknown " +
                              std::string(name.starts_with('-') ? "option '" : "argument '") +
                              name + "'";
        if (!arguments.fault.empty()) break;
    }
    return arguments;
}

std::string problems_json(const runtime::ConfigProblems& problems) {
    boost::json::array list;
    for (const auto& problem : problems.list())
        list.push_back(boost::json::object{{"severity", problem.warning ? "warning" : "error"},
                                           {"file", problem.file},
                                           {"line", problem.line},
                                           {"column", problem.column},
                                           {"text", problem.text},
                                           {"hint", problem.hint}});
    return boost::json::serialize(list) + "\n";
}

void report(const runtime::ConfigProblems& problems) {
    std::fputs(problems.to_string().c_str(), stderr);
}

int check(const Arguments& arguments) {
    const auto loaded = launcher::load_plan(arguments.sources);
    if (arguments.json) {
        std::fputs(problems_json(loaded.problems).c_str(), stdout);
    } else {
        report(loaded.problems);
        if (loaded.ok())
            std::printf("%s: ok, %zu services\n", loaded.plan.source.c_str(),
                        loaded.plan.services.size());
    }
    return loaded.ok() ? 0 : launcher::kExitConfig;
}

int print_config(const Arguments& arguments) {
    const auto loaded = launcher::load_plan(arguments.sources);
    report(loaded.problems);
    if (arguments.json) {
        boost::json::array list;
        for (const auto& value : loaded.effective)
            list.push_back(boost::json::object{
                {"key", value.path}, {"value", value.value}, {"origin", value.origin}});
        std::fputs((boost::json::serialize(list) + "\n").c_str(), stdout);
    } else {
        for (const auto& value : loaded.effective)
            std::printf("%s = %s  # %s\n", value.path.c_str(), value.value.c_str(),
                        value.origin.c_str());
    }
    return loaded.ok() ? 0 : launcher::kExitConfig;
}

/// Overwrites the values of secret variables where /proc/PID/environ shows them.
void hide_secret_variables(const launcher::Plan& plan) {
    for (const auto& service : plan.services) {
        for (const auto& [name, source] : service.secret_env) {
            if (source.from != launcher::SecretSource::From::environment) continue;
            char* value = std::getenv(source.name.c_str());
            if (value == nullptr) continue;
            explicit_bzero(value, std::strlen(value));
            unsetenv(source.name.c_str());
        }
    }
}

int run(const Arguments& arguments) {
    auto loaded = launcher::load_plan(arguments.sources);
    report(loaded.problems);
    if (!loaded.ok()) return launcher::kExitConfig;
    if (launcher::watchdog_expected() && !arguments.allow_watchdog) {
        std::fputs(
            "kms-launcher: WATCHDOG_USEC is set, and a watchdog that nobody feeds would kill the "
            "launcher: set "
            "WatchdogSec=0 in the unit, or give --allow-watchdog\n",
            stderr);
        return launcher::kExitConfig;
    }
    hide_secret_variables(loaded.plan);
    return launcher::run_launcher(std::move(loaded), arguments.sources,
                                  {arguments.die_with_parent});
}

/// The commands that talk to services or to a running launcher; nothing when it is none of them.
std::optional<int> client(const std::vector<std::string>& words) {
    if (words.empty()) return std::nullopt;
    const std::vector<std::string_view> args(words.begin() + 1, words.end());
    const launcher::CliIo io{std::cout, std::cerr, ::isatty(STDERR_FILENO) == 1};
    const char* address = std::getenv("LAUNCHER_HEALTH");
    const std::string_view environment = address != nullptr ? address : "";
    const launcher::HealthPlanLoader load =
        [](const std::string& path) -> runtime::Result<launcher::HealthPlan> {
        PlanSources sources;
        if (!path.empty()) sources.config_path = path;
        sources.environment = whole_environment();
        sources.offline = true;
        auto loaded = launcher::load_plan(sources);
        if (loaded.ok()) return std::move(loaded.plan.health);
        return runtime::Error{runtime::ErrorCode::invalid_argument, loaded.problems.to_string()};
    };
    if (words.front() == "poll") return launcher::run_poll(args, io);
    if (words.front() == "probe") return launcher::run_probe_command(args, io);
    if (words.front() == "health") return launcher::run_health(args, load, environment, io);
    if (words.front() == "evidence") return launcher::run_evidence(args, load, environment, io);
    if (words.front() == "log-level") return launcher::run_log_level(args, load, environment, io);
    if (words.front() == "status") return launcher::run_status(args, load, environment, io);
    return std::nullopt;
}

int dispatch(const std::vector<std::string>& words) {
    if (const auto status = client(words)) return *status;
    auto arguments = parse(words);
    arguments.sources.environment = whole_environment();
    if (!arguments.fault.empty()) {
        std::fputs(("kms-launcher: " + arguments.fault + "; see kms-launcher --help\n").c_str(),
                   stderr);
        return launcher::kExitUsage;
    }
    arguments.sources.commands_too = arguments.command == "check";
    if (arguments.command == "run") return run(arguments);
    if (arguments.command == "check") return check(arguments);
    if (arguments.command == "print-config") return print_config(arguments);
    if (arguments.command == "version") {
        std::printf("kms-launcher %s\n", KMS_LAUNCHER_VERSION);
        return 0;
    }
    if (arguments.command == "help") {
        std::fputs(kHelp, stdout);
        return 0;
    }
    std::fputs(
        ("kms-launcher: unknown command '" + arguments.command + "'; see kms-launcher --help\n")
            .c_str(),
        stderr);
    return launcher::kExitUsage;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return dispatch({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        std::fputs((std::string("kms-launcher: internal error: ") + error.what() + "\n").c_str(),
                   stderr);
        return launcher::kExitInternal;
    }
}
