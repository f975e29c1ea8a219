// auth-eth: answers a key management service's question "may this machine have keys?".
#include "auth/policy/public_url.hpp"
#include "auth/webhook/commands.hpp"
#include "auth/webhook/env_file.hpp"
#include "auth/webhook/handlers.hpp"
#include "auth/webhook/policy_file.hpp"
#include "auth/webhook/server_metrics.hpp"
#include "auth/webhook/settings.hpp"
#include "launcher/runtime/lifecycle.hpp"
#include "launcher/runtime/log.hpp"

#include <csignal>
#include <exception>
#include <iostream>
#include <iterator>

#include <unistd.h>

namespace {

using auth::BackendKind;
using auth::CommandLine;
using auth::ExitStatus;
using runtime::kv;

/// The process's variables, and those of the environment file that it lacks.
auth::Environment environment(const std::string& named_file, runtime::ConfigProblems& problems) {
    auth::Environment out;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        if (const auto equals = text.find('='); equals != std::string_view::npos)
            out.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    const std::string file = named_file.empty() ? ".env" : named_file;
    if (named_file.empty() && ::access(file.c_str(), F_OK) != 0) return out;
    if (const auto text = runtime::read_file(file, auth::kMaxEnvFileBytes)) {
        auth::add_env_file(*text, file, out, problems);
    } else {
        runtime::ConfigProblem problem;
        problem.file = "--env-file";
        problem.text = text.error().context;
        problem.warning = named_file.empty();  // a .env may be of another program
        problems.add(std::move(problem));
    }
    return out;
}

runtime::HttpServerOptions server_options(const auth::Settings& settings,
                                          auth::Handlers& handlers) {
    runtime::HttpServerOptions options;
    options.bounds.head = std::chrono::seconds(5);
    options.bounds.body = std::chrono::seconds(10);
    options.bounds.write = std::chrono::seconds(10);
    options.bounds.handler = settings.request_limit;
    options.bounds.body_bytes = auth::kMaxRequestBytes;
    options.bounds.connections = settings.connections;
    // Every connection may have a request at work: a backend that is busy says so in the form
    // callers understand.
    options.bounds.requests_in_flight = settings.connections;
    options.handler = [&handlers](const runtime::HttpServerRequest& request,
                                  runtime::Deadline deadline) {
        return handlers.handle(request, deadline);
    };
    options.log_target = "auth::http";
    return options;
}

void log_chain(const auth::ChainSettings& chain) {
    const auto& options = chain.options;
    std::string urls;
    for (const auto& url : options.endpoints)
        urls.append(urls.empty() ? "" : " ").append(auth::public_url(url));
    const std::string block = options.block.confirmations != 0
                                  ? "head-" + std::to_string(options.block.confirmations)
                                  : options.block.tag;
    runtime::log_info(
        "auth", "a contract decides",
        {kv("contract", options.contract), kv("endpoints", urls), kv("block", block),
         kv("chain_id", options.chain_id ? std::to_string(*options.chain_id) : "any")});
}

ExitStatus run(const auth::Settings& settings) {
    auth::Authority authority(settings);
    auto& io = authority.io();
    auto& clock = authority.clock();
    auth::Handlers handlers(clock, authority.backend(), {.full_lengths = settings.full_lengths});
    runtime::HttpServer server(io.get_executor(), clock, server_options(settings, handlers));
    handlers.add_metrics_source([&server](runtime::MetricsText& metrics) {
        auth::add_server_metrics(server.counters(), metrics);
    });
    if (const auto listening = server.listen(settings.listen_address()); !listening) {
        runtime::log_error("auth", listening.error().context);
        return ExitStatus::refused;
    }
    server.start();
    auto at = settings;
    at.port = server.port();
    if (settings.backend == BackendKind::eth) log_chain(settings.chain);
    runtime::log_info(
        "auth", "Server listening at http://" + at.listen_address(),
        {kv("backend", authority.backend().name()), kv("version", KMS_LAUNCHER_VERSION)});
    const int signal = runtime::run_until_signal(
        io, clock, settings.drain_limit,
        [&server](runtime::Deadline deadline) { return server.stop(deadline); });
    runtime::log_info("auth", "stopped", {kv("signal", signal)});
    return ExitStatus::ok;
}

/// Mistakes of the policy file, for --check; the service itself starts without one and allows
/// nothing.
bool policy_file_good(const auth::Settings& settings) {
    if (settings.backend != BackendKind::simple) return true;
    const auto text = runtime::read_file(settings.policy_file, auth::kMaxPolicyBytes);
    const auto reading = text ? auth::parse_simple_policy(*text) : auth::PolicyReading{};
    if (!text) std::cerr << "error: " << text.error().context << "\n";
    for (const auto& warning : reading.warnings)
        std::cerr << settings.policy_file << ": warning: " << warning << "\n";
    for (const auto& mistake : reading.mistakes)
        std::cerr << settings.policy_file << ": error: " << mistake << "\n";
    return reading.policy.has_value();
}

ExitStatus check_settings(const auth::Settings& settings) {
    if (!policy_file_good(settings)) return ExitStatus::bad_settings;
    std::cout << "the settings are valid\n";
    return ExitStatus::ok;
}

/// At most one byte more than a request may have, from a file or standard input.
runtime::Result<std::string> read_request(const std::string& file) {
    if (file != "-") return runtime::read_file(file, auth::kMaxRequestBytes);
    std::string text(auth::kMaxRequestBytes + 1, '\0');
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::cin.gcount()));
    if (text.size() > auth::kMaxRequestBytes)
        return runtime::Error{runtime::ErrorCode::invalid_argument,
                              "the request on standard input is longer than 1 MiB"};
    return text;
}

ExitStatus decide(const auth::Settings& settings, const CommandLine& line) {
    const auto text = read_request(line.request_file);
    if (!text) {
        std::cerr << "error: " << text.error().context << "\n";
        return ExitStatus::bad_request;
    }
    return auth::decide_once(settings, line.kind, *text, std::cout);
}

ExitStatus perform(const CommandLine& line) {
    using Action = CommandLine::Action;
    runtime::ConfigProblems problems;
    const auto variables = environment(line.env_file, problems);
    const auto settings = auth::read_settings(line, variables, problems);
    std::cerr << problems.to_string();
    if (problems.has_errors()) return ExitStatus::bad_settings;
    if (line.action == Action::print_config) {
        std::cout << auth::to_toml(settings);
        return ExitStatus::ok;
    }
    if (line.action == Action::check) return check_settings(settings);

    const bool service = line.action == Action::run;
    std::vector<runtime::LogFilterProblem> filter_problems;
    runtime::LogOptions log;
    log.filter = runtime::log_filter_from_environment(settings.log_filter.c_str(), filter_problems);
    // What the other commands print is their result; their log stands beside it.
    log.descriptor = service ? STDOUT_FILENO : STDERR_FILENO;
    const runtime::Logging logging(log);
    for (const auto& url : settings.chain.options.endpoints)
        for (const auto& secret : auth::url_secrets(url)) runtime::Logging::add_secret(secret);
    for (const auto& problem : filter_problems)
        runtime::log_warn("auth", "a part of the log filter is ignored",
                          {kv("column", problem.column), kv("reason", problem.text)});
    if (line.action == Action::check_chain) return auth::check_chain(settings, std::cout);
    if (line.action == Action::decide) return decide(settings, line);
    return run(settings);
}

ExitStatus start(const std::vector<std::string>& arguments) {
    const auto line = auth::parse_command_line(arguments);
    if (!line) {
        std::cerr << "auth-eth: " << line.error().context << "\n";
        return ExitStatus::bad_arguments;
    }
    if (line->action == CommandLine::Action::help) {
        std::cout << auth::usage();
        return ExitStatus::ok;
    }
    if (line->action == CommandLine::Action::version) {
        std::cout << "auth-eth " << KMS_LAUNCHER_VERSION << "\n";
        return ExitStatus::ok;
    }
    return perform(*line);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return static_cast<int>(start({argv + std::min(argc, 1), argv + argc}));
    } catch (const std::exception& error) {
        std::cerr << "auth-eth: internal error: " << error.what() << "\n";
        return static_cast<int>(ExitStatus::internal);
    }
}
