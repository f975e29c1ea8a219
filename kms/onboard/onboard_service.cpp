#include "kms/onboard/onboard_service.hpp"

#include "kms/rpc/arguments.hpp"
#include "kms/rpc/encode.hpp"
#include "kms/rpc/framework_page.hpp"
#include "kms/rpc/kms.pb.h"
#include "launcher/runtime/log.hpp"

#include <array>

namespace kms {
namespace {

using runtime::Deadline;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;
using runtime::kv;
using runtime::Task;
using tl::make_unexpected;

constexpr std::string_view kLogTarget = "kms::onboard";
constexpr std::array<std::string_view, 3> kPages = {"/", "/finish", "/health"};

std::string as_string(ByteView bytes) {
    return std::string(runtime::as_text(bytes));
}

Task<RpcResult> bootstrap(Onboarding& onboarding, const RpcCall& call, Deadline deadline) {
    auto request = arguments_of<wire::BootstrapRequest>(call, kBootstrapRequestSchema);
    if (!request) co_return make_unexpected(std::move(request.error()));
    auto info = co_await onboarding.bootstrap(request->domain(), deadline);
    if (!info) co_return make_unexpected(std::move(info.error()));
    wire::BootstrapResponse response;
    response.set_ca_pubkey(info->ca_pubkey);
    response.set_k256_pubkey(info->k256_pubkey);
    response.set_attestation(info->attestation);
    co_return encode(call.format, response);
}

Task<RpcResult> onboard(Onboarding& onboarding, const RpcCall& call, Deadline deadline) {
    auto request = arguments_of<wire::OnboardRequest>(call, kOnboardRequestSchema);
    if (!request) co_return make_unexpected(std::move(request.error()));
    auto key = co_await onboarding.onboard(request->source_url(), request->domain(), deadline);
    if (!key) co_return make_unexpected(std::move(key.error()));
    wire::OnboardResponse response;
    response.set_k256_pubkey(as_string(*key));
    co_return encode(call.format, response);
}

Task<RpcResult> attestation_info(Onboarding& onboarding, const RpcCall& call, Deadline deadline) {
    auto info = co_await onboarding.machine_info(deadline);
    if (!info) co_return make_unexpected(std::move(info.error()));
    wire::AttestationInfoResponse response;
    response.set_device_id(as_string(info->device_id));
    response.set_mr_aggregated(as_string(info->mr_aggregated));
    response.set_os_image_hash(as_string(info->os_image_hash));
    response.set_attestation_mode(info->attestation_mode);
    response.set_site_name(info->site_name);
    response.set_eth_rpc_url(info->eth_rpc_url);
    response.set_kms_contract_address(info->kms_contract_address);
    response.set_ppid(as_string(info->ppid));
    co_return encode(call.format, response);
}

}  // namespace

OnboardService::OnboardService(Onboarding& onboarding, OnboardServiceOptions options,
                               std::function<void()> finish)
    : onboarding_(onboarding),
      options_(std::move(options)),
      finish_(std::move(finish)),
      routes_{"Onboard.", kPages},
      headers_(common_headers(options_.ident, std::nullopt)) {}

Task<HttpServerReply> OnboardService::handle(const HttpServerRequest& request, Deadline deadline) {
    const Route route = find_route(request, routes_);
    HttpServerReply reply;
    switch (route.kind) {
        case Route::Kind::rpc:
            if (request.body_fault != runtime::BodyFault::none) {
                RpcResult fault = make_unexpected(body_error(request.body_fault));
                reply = rpc_reply(route.early_error_format, std::move(fault));
            } else {
                RpcResult result = co_await call(route, request, deadline);
                if (!result)
                    runtime::log_warn(kLogTarget, "onboarding call failed",
                                      {kv("method", route.method), kv("peer", request.peer_address),
                                       kv("error", result.error().text())});
                reply = rpc_reply(route.format, std::move(result));
            }
            break;
        case Route::Kind::page:
            reply = page(route);
            break;
        case Route::Kind::failure:
            reply = error_page(route.status, prefers_json(request.header("accept")));
            break;
        case Route::Kind::refused:
            reply.status = route.status;
            reply.close = true;
            co_return reply;
    }
    if (route.kind != Route::Kind::failure || route.status != 400) reply.common_headers = headers_;
    if (!options_.keep_alive) reply.close = true;
    co_return reply;
}

HttpServerReply OnboardService::page(const Route& route) {
    HttpServerReply reply;
    if (route.page == "/") {
        reply.content_type = "text/html; charset=utf-8";
        reply.body = onboard_page(onboarding_.has_keys());
        return reply;
    }
    reply.content_type = "text/plain; charset=utf-8";
    reply.body = "OK";
    if (route.page == "/finish") finish_();
    return reply;
}

Task<RpcResult> OnboardService::call(const Route& route, const HttpServerRequest& request,
                                     Deadline deadline) {
    RpcCall rpc;
    rpc.format = route.format;
    rpc.arguments_in_query = route.arguments_in_query;
    rpc.arguments = route.arguments_in_query ? request.query : request.body;
    if (route.method == "Bootstrap") co_return co_await bootstrap(onboarding_, rpc, deadline);
    if (route.method == "Onboard") co_return co_await onboard(onboarding_, rpc, deadline);
    if (route.method == "GetAttestationInfo")
        co_return co_await attestation_info(onboarding_, rpc, deadline);
    if (route.method == "Finish") {
        finish_();
        co_return encode_empty(route.format);
    }
    co_return make_unexpected(RpcError("Service not found: " + route.method));
}

}  // namespace kms
