#include "auth/webhook/handlers.hpp"

#include "launcher/runtime/log.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace auth {
namespace {

using runtime::Deadline;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;
using runtime::kv;
using runtime::Task;

constexpr std::string_view kTarget = "auth::webhook";
constexpr std::size_t kMaxLoggedText = 1024;  // bytes; contracts may answer reasons of 64 KiB
constexpr std::size_t kMaxLoggedUrl = 256;

HttpServerReply json_reply(unsigned status, std::string body) {
    HttpServerReply reply;
    reply.status = status;
    reply.content_type = "application/json; charset=utf-8";
    reply.body = std::move(body);
    return reply;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return lower(x) == lower(y); });
}

/// "Application/JSON; charset=utf-8" → "Application/JSON".
std::string_view media_type(std::string_view content_type) {
    constexpr std::string_view kBlanks = " \t";
    auto type = content_type.substr(0, content_type.find(';'));
    type.remove_prefix(std::min(type.find_first_not_of(kBlanks), type.size()));
    return type.substr(0, type.find_last_not_of(kBlanks) + 1);
}

struct Rejection {
    unsigned status;
    std::string detail;
};

/// What is wrong with a request before its JSON is looked at.
std::optional<Rejection> envelope_fault(const HttpServerRequest& request) {
    if (request.body_fault == runtime::BodyFault::too_large)
        return Rejection{413, "the body is longer than 1 MiB"};
    if (request.body_fault == runtime::BodyFault::broken)
        return Rejection{400, "the body ended too early"};
    const auto type = media_type(request.header("content-type"));
    if (equal_ignoring_case(type, "application/json")) return std::nullopt;
    if (type.empty() && request.body.empty()) return Rejection{400, "the body is empty"};
    // Plain text is the one other type that upstream reads, and then finds no object in it.
    if (equal_ignoring_case(type, "text/plain"))
        return Rejection{400, "the content type must be application/json, not text/plain"};
    return Rejection{415, "the content type must be application/json"};
}

Route route_of(const HttpServerRequest& request) {
    const bool get = request.method == "GET" || request.method == "HEAD";
    if (get && request.path == "/") return Route::info;
    if (get && request.path == "/metrics") return Route::metrics;
    if (request.method == "POST" && request.path == "/bootAuth/app") return Route::app;
    if (request.method == "POST" && request.path == "/bootAuth/kms") return Route::kms;
    return Route::other;
}

std::string shortened(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) return std::string(text);
    return std::string(text.substr(0, limit)) + "…";
}

}  // namespace

std::string_view to_string(Outcome outcome) {
    switch (outcome) {
        case Outcome::answered:
            return "answered";
        case Outcome::allowed:
            return "allowed";
        case Outcome::denied:
            return "denied";
        case Outcome::unavailable:
            return "unavailable";
        case Outcome::invalid:
            return "invalid";
        case Outcome::unknown_route:
            return "unknown_route";
    }
    return "unknown";
}

std::string_view to_string(Route route) {
    switch (route) {
        case Route::info:
            return "info";
        case Route::app:
            return "app";
        case Route::kms:
            return "kms";
        case Route::metrics:
            return "metrics";
        case Route::other:
            return "other";
    }
    return "unknown";
}

struct Handlers::Exchange {
    Route route = Route::other;
    Outcome outcome = Outcome::answered;
    runtime::TimePoint started;
    std::optional<BootRequest> asked;  // kept only when it will be logged
    std::string reason;                // of a refusal or failure
};

Handlers::Handlers(const runtime::Clock& clock, Backend& backend, Options options)
    : clock_(clock), backend_(backend), options_(options) {}

void Handlers::add_metrics_source(std::function<void(runtime::MetricsText&)> source) {
    sources_.push_back(std::move(source));
}

Task<HttpServerReply> Handlers::handle(const HttpServerRequest& request, Deadline deadline) {
    Exchange exchange;
    exchange.started = clock_.now();
    auto reply = co_await answer(request, deadline, exchange);
    finish(request, reply, exchange);
    co_return reply;
}

Task<HttpServerReply> Handlers::answer(const HttpServerRequest& request, Deadline deadline,
                                       Exchange& exchange) {
    exchange.route = route_of(request);
    switch (exchange.route) {
        case Route::info:
            co_return co_await answer_info(deadline, exchange);
        case Route::app:
        case Route::kms:
            co_return co_await answer_boot(request, deadline, exchange);
        case Route::metrics:
            co_return answer_metrics(request);
        case Route::other:
            break;
    }
    exchange.outcome = Outcome::unknown_route;
    co_return json_reply(404, not_found_json(request.method, request.target));
}

Task<HttpServerReply> Handlers::answer_info(Deadline deadline, Exchange& exchange) {
    const auto info = co_await backend_.info(deadline);
    if (info) co_return json_reply(200, to_json(*info));
    count_failure(info.error(), exchange);
    co_return json_reply(info.error().kind == FailureKind::busy ? 503 : 500,
                         unavailable_info_json(info.error()));
}

Task<HttpServerReply> Handlers::answer_boot(const HttpServerRequest& request, Deadline deadline,
                                            Exchange& exchange) {
    const auto reject = [&exchange](unsigned status, std::string detail) {
        exchange.outcome = Outcome::invalid;
        exchange.reason = std::move(detail);
        return json_reply(status, invalid_request_json(exchange.reason));
    };
    if (auto fault = envelope_fault(request))
        co_return reject(fault->status, std::move(fault->detail));

    auto rules = backend_.request_rules();
    if (options_.full_lengths == FullLengths::always ||
        (options_.full_lengths == FullLengths::from_kms &&
         request.header("user-agent").starts_with("dstack-kms")))
        rules.full_lengths = true;
    auto asked = parse_boot_request(request.body, rules);
    if (!asked) co_return reject(400, std::move(asked.error().context));

    if (runtime::log_enabled(runtime::LogLevel::info, kTarget)) exchange.asked = *asked;
    const auto kind = exchange.route == Route::kms ? BootKind::kms : BootKind::app;
    auto decision = co_await backend_.decide(kind, std::move(*asked), deadline);
    if (!decision) {
        count_failure(decision.error(), exchange);
        co_return json_reply(200, unavailable_decision_json(decision.error()));
    }
    exchange.outcome = decision->is_allowed ? Outcome::allowed : Outcome::denied;
    auto reply = json_reply(200, to_json(*decision));
    exchange.reason = std::move(decision->reason);
    co_return reply;
}

HttpServerReply Handlers::answer_metrics(const HttpServerRequest& request) const {
    using runtime::MetricKind;
    const auto format = runtime::MetricsText::preferred(request.header("accept"));
    runtime::MetricsText metrics(format);
    metrics.family("auth_build_info", MetricKind::gauge,
                   "1, with the version and the backend in use");
    metrics.sample(std::uint64_t{1},
                   {{"version", KMS_LAUNCHER_VERSION}, {"backend", backend_.name()}});

    metrics.family("auth_requests_total", MetricKind::counter, "Requests by route and outcome");
    for (std::size_t route = 0; route < kRoutes; ++route)
        for (std::size_t outcome = 0; outcome < kOutcomes; ++outcome)
            if (const auto count = requests_[route][outcome].value(); count != 0)
                metrics.sample(count, {{"route", to_string(static_cast<Route>(route))},
                                       {"outcome", to_string(static_cast<Outcome>(outcome))}});
    metrics.family("auth_failures_total", MetricKind::counter,
                   "Requests for which the authority could not be asked");
    for (std::size_t kind = 0; kind < kFailureKinds; ++kind)
        metrics.sample(failures_[kind].value(),
                       {{"category", metric_label(static_cast<FailureKind>(kind))}});
    metrics.family("auth_request_duration_seconds", MetricKind::histogram,
                   "Time from request to answer", "seconds");
    for (const auto route : {Route::info, Route::app, Route::kms})
        metrics.sample(durations_[static_cast<std::size_t>(route)].snapshot(),
                       {{"route", to_string(route)}});

    backend_.add_metrics(metrics);
    for (const auto& source : sources_) source(metrics);
    HttpServerReply reply;
    reply.content_type = runtime::MetricsText::content_type(format);
    reply.body = std::move(metrics).finish();
    return reply;
}

void Handlers::count_failure(const Failure& failure, Exchange& exchange) {
    failures_[static_cast<std::size_t>(failure.kind)].add();
    exchange.outcome = Outcome::unavailable;
    exchange.reason = to_string(failure);
}

void Handlers::finish(const HttpServerRequest& request, const HttpServerReply& reply,
                      const Exchange& exchange) {
    const auto taken = clock_.now() - exchange.started;
    const auto route = static_cast<std::size_t>(exchange.route);
    requests_[route][static_cast<std::size_t>(exchange.outcome)].add();
    durations_[route].observe(std::chrono::duration<double>(taken).count());
    // Probes and scrapes come every few seconds; they would bury what an operator looks for.
    const bool routine = exchange.route == Route::metrics ||
                         request.header("user-agent").starts_with("kms-launcher-probe");
    const auto level = routine ? runtime::LogLevel::debug : runtime::LogLevel::info;
    if (!runtime::log_enabled(level, kTarget)) return;

    const auto method = kv("method", request.method);
    const auto url = kv("url", shortened(request.target, kMaxLoggedUrl));
    const auto status = kv("status", reply.status);
    const auto time = kv("time", std::chrono::nanoseconds(taken));
    const auto outcome = kv("outcome", to_string(exchange.outcome));
    const auto reason = kv("reason", shortened(exchange.reason, kMaxLoggedText));
    if (!exchange.asked) {
        if (exchange.reason.empty())
            return runtime::log(level, kTarget, "request completed", {method, url, status, time});
        return runtime::log(level, kTarget, "request completed",
                            {method, url, status, time, outcome, reason});
    }
    // The ids are here so that an operator can copy new ones from the log into a policy.
    const auto& asked = *exchange.asked;
    if (exchange.route == Route::kms)
        return runtime::log(
            level, kTarget, "request completed",
            {method, url, status, time, outcome, reason, kv("os_image", asked.os_image_hash),
             kv("mr_aggregated", asked.mr_aggregated), kv("instance", asked.instance_id),
             kv("device", asked.device_id), kv("tcb_status", asked.tcb_status)});
    runtime::log(level, kTarget, "request completed",
                 {method, url, status, time, outcome, reason, kv("app", asked.app_id),
                  kv("compose", asked.compose_hash), kv("instance", asked.instance_id),
                  kv("os_image", asked.os_image_hash), kv("device", asked.device_id),
                  kv("tcb_status", asked.tcb_status)});
}

}  // namespace auth
