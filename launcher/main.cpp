// kms-launcher: arguments → plan → run or a subcommand → exit status.
#include "launcher/control/cli_control.hpp"
#include "launcher/control/cli_health.hpp"
#include "launcher/control/cli_help.hpp"
#include "launcher/control/cli_poll.hpp"
#include "launcher/control/cli_probe.hpp"
#include "launcher/control/cli_status.hpp"
#include "launcher/control/run.hpp"
#include "launcher/control/systemd.hpp"
#include "launcher/plan/plan_checks.hpp"
#include "launcher/plan/plan_loader.hpp"
#include "launcher/supervise/exit_status.hpp"

#include <algorithm>
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

/// The options of the commands that read a configuration; those of the others are in cli_*.cpp.
launcher::CliOptionNames options_of(std::string_view command) {
    if (command == "run") return {{"--allow-watchdog", "--pdeathsig"}, {"--config", "-c", "--log"}};
    if (command == "version") return {{"--json"}, {}};
    return {{"--offline", "--json"}, {"--config", "-c", "--log"}};
}

Arguments parse(const std::vector<std::string>& words) {
    Arguments arguments;
    std::vector<std::string_view> rest(words.begin(), words.end());
    if (!rest.empty() && !rest.front().starts_with('-')) {
        arguments.command = rest.front();
        rest.erase(rest.begin());
    } else if (!rest.empty() && rest.front() == "--version") {
        arguments.command = "version";
        rest.erase(rest.begin());
    }
    const auto options = launcher::CliOptions::parse(rest, options_of(arguments.command));
    if (!options) {
        arguments.fault = options.error().context;
        return arguments;
    }
    if (!options->positional().empty())
        arguments.fault = "unexpected '" + options->positional().front() + "'";
    arguments.sources.config_path = options->value("--config");
    if (const auto path = options->value("-c")) arguments.sources.config_path = path;
    arguments.sources.log_filter = options->value("--log");
    arguments.sources.offline = options->has("--offline");
    arguments.json = options->has("--json");
    arguments.allow_watchdog = options->has("--allow-watchdog");
    arguments.die_with_parent = options->has("--pdeathsig");
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

void hide_variable(const std::string& name) {
    char* value = std::getenv(name.c_str());
    if (value == nullptr) return;
    explicit_bzero(value, std::strlen(value));
    unsetenv(name.c_str());
}

/// Overwrites the values of secret variables where /proc/PID/environ shows them: those that the
/// configuration calls secret, and those whose names say it.
void hide_secret_variables(const launcher::Plan& plan, const Environment& environment) {
    for (const auto& service : plan.services)
        for (const auto& [name, source] : service.secret_env)
            if (source.from == launcher::SecretSource::From::environment)
                hide_variable(source.name);
    for (const auto& [name, value] : environment)
        if (launcher::is_secret_name(name)) hide_variable(name);
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
    hide_secret_variables(loaded.plan, arguments.sources.environment);
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

void complain(const std::string& sentence) {
    std::fputs(("kms-launcher: " + sentence + "\n").c_str(), stderr);
}

int print_version(bool json) {
    std::printf(json ? "{\"version\":\"%s\"}\n" : "kms-launcher %s\n", KMS_LAUNCHER_VERSION);
    return 0;
}

bool asks_for_help(const std::vector<std::string>& words) {
    return std::any_of(words.begin(), words.end(),
                       [](const std::string& word) { return word == "--help" || word == "-h"; }) ||
           (!words.empty() && words.front() == "help");
}

/// `help`, `--help`: the screen; `COMMAND --help`, `help COMMAND`: that command's options.
int help(const std::vector<std::string>& words) {
    const auto named = std::find_if(words.begin(), words.end(), [](const std::string& word) {
        return word != "help" && !word.starts_with('-');
    });
    if (named == words.end()) {
        std::fputs(std::string(launcher::help_text()).c_str(), stdout);
        return 0;
    }
    const auto usage = launcher::usage_of(*named);
    if (usage.empty()) {
        complain(launcher::unknown_command(*named));
        return launcher::kExitUsage;
    }
    std::fputs(std::string(usage).c_str(), stdout);
    return 0;
}

int dispatch(const std::vector<std::string>& words) {
    if (asks_for_help(words)) return help(words);
    if (const auto status = client(words)) return *status;
    auto arguments = parse(words);
    const auto usage = launcher::usage_of(arguments.command);
    if (usage.empty()) {
        complain(launcher::unknown_command(arguments.command));
        return launcher::kExitUsage;
    }
    if (!arguments.fault.empty()) {
        complain(arguments.fault);
        std::fputs(std::string(usage).c_str(), stderr);
        return launcher::kExitUsage;
    }
    if (arguments.command == "version") return print_version(arguments.json);
    arguments.sources.environment = whole_environment();
    arguments.sources.commands_too = arguments.command == "check";
    if (arguments.command == "check") return check(arguments);
    if (arguments.command == "print-config") return print_config(arguments);
    return run(arguments);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return dispatch({argv + 1, argv + argc});
    } catch (const std::exception& error) {
        complain(std::string("internal error: ") + error.what());
        return launcher::kExitInternal;
    }
}
