#include "kms/rpc/service.hpp"

#include "kms/rpc/arguments.hpp"
#include "kms/rpc/attested_peer.hpp"
#include "kms/rpc/framework_page.hpp"
#include "launcher/runtime/log.hpp"
#include "launcher/runtime/secret.hpp"

#include <algorithm>

namespace kms {
namespace {

using runtime::BodyFault;
using runtime::Deadline;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;
using runtime::kv;
using runtime::Task;

constexpr std::string_view kLogTarget = "kms::rpc";
constexpr std::array<std::string_view, 3> kPages = {"/health", "/readyz", "/metrics"};
}  // namespace

KmsService::KmsService(KmsParts parts, runtime::Clock& clock, runtime::Workers& workers,
                       ServiceOptions options)
    : parts_(std::move(parts)),
      clock_(clock),
      workers_(workers),
      options_(std::move(options)),
      routes_{"KMS.",
              std::span<const std::string_view>(kPages.data(), options_.metrics_enabled ? 3U : 2U)},
      headers_(common_headers(options_.ident, options_.app_version)) {}

std::size_t KmsService::body_limit(const HttpServerRequest& head) const {
    return kms::body_limit(head, routes_, options_.body_limits, options_.body_limit);
}

Task<HttpServerReply> KmsService::handle(const HttpServerRequest& request, Deadline deadline) {
    const Route route = find_route(request, routes_);
    HttpServerReply reply;
    switch (route.kind) {
        case Route::Kind::rpc:
            reply = co_await call(route, request, deadline);
            break;
        case Route::Kind::page:
            reply = page(route, request);
            break;
        case Route::Kind::failure:
            reply = error_page(route.status, prefers_json(request.header("accept")));
            break;
        case Route::Kind::refused:
            reply.status = route.status;
            reply.close = true;
            co_return reply;
    }
    // An unknown verb is turned away before the framework's headers are added.
    if (route.kind != Route::Kind::failure || route.status != 400) reply.common_headers = headers_;
    if (!options_.keep_alive) reply.close = true;
    co_return reply;
}

Task<HttpServerReply> KmsService::call(const Route& route, const HttpServerRequest& request,
                                       Deadline deadline) {
    const auto started = clock_.now();
    const RpcMethod* method = find_method(route.method);
    Format format = route.format;
    RpcResult result;
    CallerResult caller;
    if (!request.client_certificate.empty()) caller = co_await caller_of(method, request, deadline);
    if (!caller) {
        format = route.early_error_format;
        result = tl::make_unexpected(std::move(caller.error()));
    } else if (request.body_fault != BodyFault::none) {
        format = route.early_error_format;
        result = tl::make_unexpected(body_error(request.body_fault));
    } else if (method == nullptr) {
        result = tl::make_unexpected(RpcError("Service not found: " + route.method));
    } else {
        RpcCall rpc;
        rpc.format = format;
        rpc.arguments_in_query = route.arguments_in_query;
        rpc.arguments = route.arguments_in_query ? request.query : request.body;
        rpc.caller = caller->has_value() ? &**caller : nullptr;
        rpc.peer = request.peer_address;
        rpc.now = clock_.wall_now();
        result = co_await run(*method, rpc, deadline);
    }
    const auto took = clock_.now() - started;
    count(method, !result.has_value(), took);
    if (!result && method != nullptr && method->releases_keys)
        runtime::log_info(kLogTarget, "key release refused",
                          {kv("method", route.method), kv("peer", request.peer_address),
                           kv("reason", result.error().chain.back())});
    else if (runtime::log_enabled(runtime::LogLevel::debug, kLogTarget))
        runtime::log_debug(
            kLogTarget, result ? "answered" : "answered with an error",
            {kv("method", route.method), kv("peer", request.peer_address), kv("took", took),
             kv("error", result ? "" : result.error().chain.front())});
    const bool secret = result.has_value() && method != nullptr && method->releases_keys;
    HttpServerReply reply = rpc_reply(format, std::move(result));
    reply.secret = secret;
    co_return reply;
}

/// Evidence is looked at before anything else of a request, as the protocol has it; but whether it
/// is genuine, which may take long to find out, only when the method needs to know who calls.
Task<CallerResult> KmsService::caller_of(const RpcMethod* method, const HttpServerRequest& request,
                                         Deadline deadline) {
    if (method == nullptr || !method->needs_caller) {
        auto presented = check_presented(request.client_certificate);
        if (!presented) co_return tl::make_unexpected(std::move(presented.error()));
        co_return std::nullopt;
    }
    if (verifications_at_work_ >= options_.verifications)
        co_return tl::make_unexpected(
            RpcError("invalid quote", {"too many quotes are being verified; try again later"}));
    ++verifications_at_work_;
    auto caller = co_await attested_peer(
        request.client_certificate, parts_.release.verifier, request.peer_address,
        deadline.narrowed(clock_.now(), parts_.release.verification_limit));
    --verifications_at_work_;
    co_return caller;
}

Task<RpcResult> KmsService::run(const RpcMethod& method, const RpcCall& call, Deadline deadline) {
    if (method.asks_about_itself && parts_.release.self != nullptr) {
        auto allowed = co_await parts_.release.self->check(deadline);
        if (!allowed)
            co_return tl::make_unexpected(
                rpc_error(allowed.error()).within("KMS self authorization failed"));
    }
    if (method.wait != nullptr) {
        const Worker worker{clock_, workers_};
        co_return co_await method.wait(parts_, worker, call, deadline);
    }
    if (call.arguments.size() <= kInlineArguments) co_return method.compute(parts_, call);
    auto result = co_await workers_.run(clock_, deadline,
                                        [&method, &call, this]() -> runtime::Result<RpcResult> {
                                            return method.compute(parts_, call);
                                        });
    if (!result) co_return tl::make_unexpected(RpcError(std::move(result.error().context)));
    co_return std::move(*result);
}

void KmsService::count(const RpcMethod* method, bool failed, runtime::Duration took) {
    const auto place = method == nullptr ? static_cast<std::size_t>(kms_methods().size())
                                         : static_cast<std::size_t>(method - kms_methods().data());
    MethodCounters& counters = methods_[place];
    counters.requests.add();
    counters.duration.observe(std::chrono::duration<double>(took).count());
    if (failed) counters.failures.add();
    if (method == nullptr || !method->releases_keys) return;
    attestation_requests_.add();
    if (failed) attestation_failures_.add();
}

HttpServerReply KmsService::page(const Route& route, const HttpServerRequest& request) const {
    HttpServerReply reply;
    reply.content_type = "text/plain; charset=utf-8";
    if (route.page == "/health") {
        reply.body = "OK";
        return reply;
    }
    if (route.page == "/readyz") {
        const std::string awaited = awaits_ ? awaits_() : "";
        reply.body = awaited.empty() ? "ready\n" : "ready; awaited: " + awaited + "\n";
        return reply;
    }
    const auto format = runtime::MetricsText::preferred(request.header("accept"));
    if (format == runtime::MetricsText::Format::openmetrics)
        reply.content_type = runtime::MetricsText::content_type(format);
    reply.body = metrics(format);
    return reply;
}

}  // namespace kms
