#include "launcher/control/cli_health.hpp"

#include "launcher/control/cli_help.hpp"
#include "launcher/control/health_guard.hpp"
#include "launcher/probe/probe.hpp"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace launcher {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

constexpr std::size_t kMaxLine = 400;

ProbePlan over_socket(const std::string& socket, std::string_view path) {
    ProbePlan plan;
    plan.kind = ProbeKind::unix_socket;
    plan.path = socket;
    plan.url = "http://localhost" + std::string(path);
    return plan;
}

ProbePlan over_tcp(std::string base, std::string_view path) {
    while (base.ends_with('/')) base.pop_back();
    ProbePlan plan;
    plan.kind = base.starts_with("https://") ? ProbeKind::https : ProbeKind::http;
    plan.url = base + std::string(path);
    return plan;
}

/// "0.0.0.0:9180" → "http://127.0.0.1:9180": an address to listen on is not always one to ask.
std::string url_of_listener(const std::string& listen) {
    if (listen.starts_with("0.0.0.0:")) return "http://127.0.0.1:" + listen.substr(8);
    if (listen.starts_with("[::]:")) return "http://[::1]:" + listen.substr(5);
    return "http://" + listen;
}

ProbePlan from_environment(const std::string& value, std::string_view path) {
    if (value.starts_with('/')) return over_socket(value, path);
    if (value.starts_with("unix:")) return over_socket(value.substr(5), path);
    return over_tcp(value.find("://") == std::string::npos ? url_of_listener(value) : value, path);
}

/// What the endpoint said, as one line.
std::string one_line(std::string body) {
    while (body.ends_with('\n')) body.pop_back();
    std::string line;
    for (const char c : body) {
        if (c == '\n')
            line += "; ";
        else
            line += c >= 0 && c < ' ' ? ' ' : c;
        if (line.size() >= kMaxLine) return line + " ...";
    }
    return line;
}

}  // namespace

Result<ProbePlan> health_question(const HealthAddress& address, const HealthPlanLoader& load,
                                  std::string_view environment, std::string_view path) {
    if (!address.socket.empty()) return over_socket(address.socket, path);
    std::optional<ProbePlan> question;
    if (!address.url.empty())
        question = over_tcp(address.url, path);
    else if (!environment.empty())
        question = from_environment(std::string(environment), path);
    if (question && address.config.empty()) return std::move(*question);

    TRY(const HealthPlan plan, load(address.config));
    if (!question && !plan.listen.empty())
        question = over_tcp(url_of_listener(plan.listen.front()), path);
    if (!question && !plan.unix_path.empty()) question = over_socket(plan.unix_path, path);
    if (!question) return Error{ErrorCode::not_found, "the configuration has no health listener"};
    if (!plan.token_file.empty() && question->kind != ProbeKind::unix_socket) {
        TRY(const auto token, read_token(plan.token_file));
        question->headers.emplace_back("Authorization", "Bearer " + std::string(token.text()));
    }
    return std::move(*question);
}

int run_health(std::span<const std::string_view> args, const HealthPlanLoader& load,
               std::string_view environment, const CliIo& io) {
    const auto options = CliOptions::parse(
        args, {.flags = {"--ready"}, .valued = {"--socket", "--url", "--config", "--timeout"}});
    const auto misused = [&](const std::string& text) {
        io.err << "kms-launcher health: " << text << "\n" << usage_of("health");
        return kCliUsage;
    };
    if (!options) return misused(options.error().context);
    if (!options->positional().empty())
        return misused("unexpected '" + options->positional().front() + "'");
    const HealthAddress address{options->value("--socket").value_or(""),
                                options->value("--url").value_or(""),
                                options->value("--config").value_or("")};
    if (!address.socket.empty() && !address.url.empty())
        return misused("--socket and --url exclude each other");
    const auto timeout = options->duration("--timeout", milliseconds(3000));
    if (!timeout) return misused(timeout.error().context);

    auto question = health_question(address, load, environment,
                                    options->has("--ready") ? "/readyz" : "/healthz");
    if (!question) {
        io.out << "unhealthy: " << one_line(question.error().context) << std::endl;
        return kCliFailed;
    }
    question->expect_status = {200};
    boost::asio::io_context context{1};
    runtime::SystemClock clock;
    ProbeExchange exchange;
    boost::asio::co_spawn(
        context, run_exchange(clock, *question, runtime::Deadline::after(clock.now(), *timeout)),
        [&](std::exception_ptr, ProbeExchange ended) { exchange = std::move(ended); });
    context.run();
    const bool healthy = exchange.result.ok();
    if (healthy)
        io.out << (options->has("--ready") ? "ready" : "healthy") << std::endl;
    else if (exchange.result.status != 0 && !exchange.body.empty())
        io.out << (options->has("--ready") ? "not ready: " : "unhealthy: ")
               << one_line(exchange.body) << std::endl;
    else
        io.out << "unhealthy: no answer from the launcher: " << one_line(exchange.result.detail)
               << std::endl;
    return healthy ? kCliOk : kCliFailed;
}

}  // namespace launcher
