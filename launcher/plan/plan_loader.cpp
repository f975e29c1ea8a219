#include "launcher/plan/plan_loader.hpp"

#include "launcher/plan/builtin_config.hpp"
#include "launcher/plan/effective_config.hpp"
#include "launcher/plan/plan_reader.hpp"
#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/sha256.hpp"

#include <algorithm>
#include <cctype>

#include <unistd.h>

namespace launcher {
namespace {

constexpr std::size_t kMaxConfig = 1024 * 1024;

std::string variable(const Environment& environment, const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() ? "" : found->second;
}

/// SHA-256 of every key and value, so that two launchers can be compared without showing a
/// configuration.
std::string digest_of(const std::vector<EffectiveValue>& values) {
    std::string text;
    for (const auto& value : values) text += value.path + " = " + value.value + "\n";
    const auto hash = runtime::sha256_of_public(text);
    return runtime::to_hex(runtime::ByteView(hash.data(), hash.size()));
}

/// The first of --log, LAUNCHER_LOG, [log] filter, RUST_LOG and "info" that is set. The first two
/// are in the document.
runtime::LogFilter choose_filter(Plan& plan, bool configured, const Environment& environment,
                                 runtime::ConfigProblems& problems) {
    std::vector<runtime::LogFilterProblem> mistakes;
    if (!configured) {
        const auto inherited = environment.find("RUST_LOG");
        if (inherited != environment.end()) plan.log.filter = inherited->second;
        auto filter = runtime::LogFilter::parse(plan.log.filter, plan.log.syntax, mistakes);
        for (const auto& mistake : mistakes) {
            runtime::ConfigProblem problem;
            problem.file = "RUST_LOG";
            problem.text = mistake.text + " at column " + std::to_string(mistake.column + 1) +
                           "; it is left out";
            problem.hint = mistake.hint;
            problem.warning = true;
            problems.add(std::move(problem));
        }
        return filter;
    }
    return runtime::LogFilter::parse(plan.log.filter, plan.log.syntax,
                                     mistakes);  // mistakes: reported by check_plan
}

bool is_port(const std::string& text) {
    return !text.empty() && text.size() <= 5 && text.front() != '0' &&
           std::all_of(text.begin(), text.end(),
                       [](unsigned char c) { return std::isdigit(c) != 0; }) &&
           std::stoi(text) <= 65535;
}

LoadedPlan load_builtin(const PlanSources& sources) {
    const auto port = variable(sources.environment, "PORT");
    auto loaded = load_plan_text(builtin_config(is_port(port) ? port : ""), "built-in", sources);
    if (!port.empty() && !is_port(port)) {
        runtime::ConfigProblem problem;
        problem.file = "environment";
        problem.text = "PORT is '" + port + "', which is no port";
        problem.hint = "the port of the authorization webhook, such as 9200";
        loaded.problems.add(std::move(problem));
    }
    return loaded;
}

}  // namespace

LoadedPlan load_plan_text(const std::string& text, const std::string& file,
                          const PlanSources& sources) {
    LoadedPlan loaded;
    runtime::ConfigDocument document;
    document.merge_toml(text, file, loaded.problems);
    if (loaded.problems.has_errors())
        return loaded;  // nothing can be said about a file that is not TOML
    apply_environment(sources.environment, document, loaded.problems);
    if (sources.log_filter) document.set({"log", "filter"}, *sources.log_filter, "--log");

    PlanTables tables;
    loaded.plan = read_plan(document, loaded.problems, tables);
    check_plan(loaded.plan, tables);
    loaded.filter = choose_filter(loaded.plan, tables.has("log", "filter"), sources.environment,
                                  loaded.problems);
    if (!sources.offline) check_host(loaded.plan, sources.environment, tables, loaded.problems);
    if (!sources.offline && sources.commands_too)
        for (const auto& fault : find_command_faults(loaded.plan, sources.environment))
            tables.problem("service." + fault.service, "command", fault.to_string(),
                           fault.exit_code == 127 ? "install the program, or correct its path"
                                                  : "chmod +x it");
    loaded.plan.source = file;
    loaded.effective = effective_config(loaded.plan, document, sources.environment);
    loaded.plan.digest = digest_of(loaded.effective);
    return loaded;
}

LoadedPlan load_plan(const PlanSources& sources) {
    const bool use_default =
        !sources.config_path && ::access(sources.default_path.c_str(), F_OK) == 0;
    if (!sources.config_path && !use_default) return load_builtin(sources);
    const auto path = sources.config_path ? *sources.config_path : sources.default_path;
    auto text = runtime::read_file(path, kMaxConfig);
    if (text) return load_plan_text(*text, path, sources);
    LoadedPlan loaded;
    runtime::ConfigProblem problem;
    problem.file = path;
    problem.text = text.error().context;
    problem.hint = "name a readable file with --config, or leave it out to use " +
                   sources.default_path + " or the built-in configuration";
    loaded.problems.add(std::move(problem));
    return loaded;
}

}  // namespace launcher
