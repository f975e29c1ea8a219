// auth-eth: answers a key management service's question "may this machine have keys?".
#include "auth/webhook/handlers.hpp"
#include "auth/webhook/mock_backend.hpp"
#include "auth/webhook/server_metrics.hpp"
#include "auth/webhook/settings.hpp"
#include "auth/webhook/simple_backend.hpp"
#include "launcher/runtime/lifecycle.hpp"
#include "launcher/runtime/log.hpp"

#include <csignal>
#include <exception>
#include <iostream>

#include <unistd.h>

namespace {

using auth::BackendKind;
using auth::CommandLine;
using runtime::kv;

constexpr int kOk = 0;
constexpr int kCannotListen = 1;
constexpr int kBadArguments = 64;
constexpr int kInternal = 70;
constexpr int kBadSettings = 78;

auth::Environment environment() {
    auth::Environment out;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        if (const auto equals = text.find('='); equals != std::string_view::npos)
            out.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return out;
}

/// Null when this kind needs settings that are refused before.
std::unique_ptr<auth::Backend> make_backend(const auth::Settings& settings,
                                            const runtime::Clock& clock) {
    if (settings.backend == BackendKind::mock)
        return std::make_unique<auth::MockBackend>(settings.mock);
    return std::make_unique<auth::SimpleBackend>(settings.policy_file, clock);
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

int run(const auth::Settings& settings) {
    boost::asio::io_context io(1);
    runtime::SystemClock clock;
    const auto backend = make_backend(settings, clock);
    auth::Handlers handlers(clock, *backend, {.full_lengths = settings.full_lengths});
    runtime::HttpServer server(io.get_executor(), clock, server_options(settings, handlers));
    handlers.add_metrics_source([&server](runtime::MetricsText& metrics) {
        auth::add_server_metrics(server.counters(), metrics);
    });
    if (const auto listening = server.listen(settings.listen_address()); !listening) {
        runtime::log_error("auth", listening.error().context);
        return kCannotListen;
    }
    server.start();
    auto at = settings;
    at.port = server.port();
    runtime::log_info("auth", "Server listening at http://" + at.listen_address(),
                      {kv("backend", backend->name()), kv("version", KMS_LAUNCHER_VERSION)});
    const int signal = runtime::run_until_signal(
        io, clock, settings.drain_limit,
        [&server](runtime::Deadline deadline) { return server.stop(deadline); });
    runtime::log_info("auth", "stopped", {kv("signal", signal)});
    return kOk;
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

int perform(const CommandLine& line) {
    runtime::ConfigProblems problems;
    const auto settings = auth::read_settings(line, environment(), problems);
    std::cerr << problems.to_string();
    if (problems.has_errors()) return kBadSettings;
    if (line.action == CommandLine::Action::print_config) {
        std::cout << auth::to_toml(settings);
        return kOk;
    }
    if (line.action == CommandLine::Action::check) {
        if (!policy_file_good(settings)) return kBadSettings;
        std::cout << "the settings are valid\n";
        return kOk;
    }
    std::vector<runtime::LogFilterProblem> filter_problems;
    runtime::LogOptions log;
    log.filter = runtime::log_filter_from_environment(settings.log_filter.c_str(), filter_problems);
    const runtime::Logging logging(log);
    for (const auto& problem : filter_problems)
        runtime::log_warn("auth", "a part of the log filter is ignored",
                          {kv("column", problem.column), kv("reason", problem.text)});
    return run(settings);
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const auto line = auth::parse_command_line({argv + std::min(argc, 1), argv + argc});
        if (!line) {
            std::cerr << "auth-eth: " << line.error().context << "\n";
            return kBadArguments;
        }
        if (line->action == CommandLine::Action::help) {
            std::cout << auth::usage();
            return kOk;
        }
        if (line->action == CommandLine::Action::version) {
            std::cout << "auth-eth " << KMS_LAUNCHER_VERSION << "\n";
            return kOk;
        }
        return perform(*line);
    } catch (const std::exception& error) {
        std::cerr << "auth-eth: internal error: " << error.what() << "\n";
        return kInternal;
    }
}
