#include "kms/program/program.hpp"

#include "kms/guest/guest_agent.hpp"
#include "kms/program/command_line.hpp"
#include "kms/program/inspect_certificate.hpp"
#include "kms/program/kms_life.hpp"
#include "launcher/runtime/config.hpp"
#include "launcher/runtime/log.hpp"
#include "launcher/runtime/secret.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

namespace kms {
namespace {

using runtime::kv;

constexpr std::string_view kLogTarget = "kms";
constexpr std::size_t kLargestPemFile = 1024 * 1024;

void print(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
}

/// The number of threads for computing, from the variable that sets upstream's.
std::size_t worker_count(const char* text) {
    if (text == nullptr || *text == '\0') return 2;
    char* end = nullptr;
    const unsigned long count = std::strtoul(text, &end, 10);
    if (*end == '\0' && count >= 1 && count <= 64) return count;
    runtime::log_warn(kLogTarget, "ROCKET_WORKERS is not a number from 1 to 64; using 2",
                      {kv("value", text)});
    return 2;
}

void log_filter_problems(const std::vector<runtime::LogFilterProblem>& problems) {
    for (const auto& problem : problems)
        runtime::log_warn(kLogTarget, "RUST_LOG: a directive is ignored",
                          {kv("problem", problem.text), kv("column", problem.column + 1),
                           kv("hint", problem.hint)});
}

void warn_of_config(const LoadedConfig& loaded) {
    for (const auto& problem : loaded.problems.list())
        if (problem.warning)
            runtime::log_warn(
                kLogTarget, "configuration: " + problem.text,
                {kv("file", problem.file), kv("line", problem.line), kv("hint", problem.hint)});
    const KmsConfig& config = loaded.config;
    if (!config.onboard.quote_enabled)
        runtime::log_warn(kLogTarget,
                          "quotes are switched off (core.onboard.quote_enabled = false): no "
                          "certificate of this KMS proves where its key lives, and GetKmsKey gives "
                          "the root keys to everybody");
    else if (!config.onboard.verify_source)
        runtime::log_warn(kLogTarget,
                          "the KMS that keys are fetched from need not prove itself "
                          "(core.onboard.verify_source = false)");
    if (config.auth_api == AuthApiType::dev)
        runtime::log_warn(kLogTarget,
                          "development mode (core.auth_api.type = \"dev\"): no authorisation "
                          "service is asked, and every attested machine gets keys");
    if (config.auth_api == AuthApiType::none)
        runtime::log_warn(
            kLogTarget,
            config.none_allow_all
                ? "no authorisation service is asked (core.auth_api.type = \"none\"), and keys are "
                  "released to all (core.auth_api.none.allow = \"all\")"
                : "no authorisation service is asked (core.auth_api.type = \"none\"), so no key is "
                  "released");
}

std::string agent_address(const char* configured) {
    if (configured != nullptr && *configured != '\0') return configured;
    return default_guest_agent_address(
        [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; });
}

int inspect(const std::string& file) {
    const auto text = runtime::read_file(file, kLargestPemFile);
    const auto described =
        text ? describe_certificate(*text) : runtime::Result<std::string>(text.error());
    if (described) {
        print(stdout, *described);
        return 0;
    }
    print(stderr, "dstack-kms: '" + file + "': " + described.error().context + "\n");
    return 1;
}

int serve(const LoadedConfig& loaded, const ProgramEnvironment& environment,
          const Verifiers& verifiers) {
    runtime::forbid_core_dumps();
    std::vector<runtime::LogFilterProblem> filter_problems;
    const auto filter = runtime::log_filter_from_environment(environment.rust_log, filter_problems);
    const runtime::Logging logging({.filter = filter});
    log_filter_problems(filter_problems);
    warn_of_config(loaded);
    const auto served =
        serve_until_signal(loaded.config,
                           {.agent_address = agent_address(environment.agent_address),
                            .workers = worker_count(environment.rocket_workers)},
                           verifiers);
    if (served) return 0;
    runtime::log_error(kLogTarget, "cannot go on", {kv("error", served.error().context)});
    print(stderr, "Error: " + served.error().context + "\n");
    return 1;
}

}  // namespace

int run_program(std::span<char*> words, const ProgramEnvironment& environment,
                const Verifiers& verifiers) {
    const auto line = parse_command_line(words);
    if (!line) {
        print(stderr, "dstack-kms: " + line.error().context + "\n");
        return 2;
    }
    switch (line->action) {
        case Action::help:
            print(stdout, help_text());
            return 0;
        case Action::version:
            print(stdout, "dstack-kms " KMS_LAUNCHER_VERSION "\n");
            return 0;
        case Action::inspect_certificate:
            return inspect(line->certificate_file);
        case Action::serve:
        case Action::check:
        case Action::print_config:
            break;
    }
    ConfigSources sources;
    sources.file = line->config_file;
    const LoadedConfig loaded = load_config(sources);
    if (loaded.problems.has_errors() ||
        (line->action == Action::check && !loaded.problems.list().empty()))
        print(stderr, loaded.problems.to_string());
    if (loaded.problems.has_errors()) {
        print(stderr, "Error: the configuration is not valid\n");
        return 1;
    }
    if (line->action == Action::check) {
        print(stdout, "the configuration is valid\n");
        return 0;
    }
    if (line->action == Action::print_config) {
        for (const auto& file : loaded.files) print(stdout, "# read: " + file + "\n");
        print(stdout, to_toml(loaded.config));
        return 0;
    }
    return serve(loaded, environment, verifiers);
}

}  // namespace kms
