#include "auth/policy/decision.hpp"

#include "auth/policy/json_text.hpp"

#include <utility>

namespace auth {
namespace {

constexpr std::string_view kUnavailable = "authorization backend unavailable";
constexpr std::string_view kInvalid = "invalid authorization request";

void append_member(std::string& out, std::string_view name, std::string_view text) {
    out += out.empty() ? '{' : ',';
    append_json_text(out, name);
    out += ':';
    append_json_text(out, text);
}

void append_raw_member(std::string& out, std::string_view name, std::string_view value) {
    out += out.empty() ? '{' : ',';
    append_json_text(out, name);
    out += ':';
    out += value;
}

std::string sentence(std::string_view start, std::string_view detail) {
    std::string out(start);
    if (!detail.empty()) out.append(": ").append(detail);
    return out;
}

std::string refusal(std::string reason) {
    return to_json(
        Decision{.is_allowed = false, .reason = std::move(reason), .gateway_app_id = ""});
}

std::string latin1_to_utf8(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x80) {
            out += c;
        } else {
            out += static_cast<char>(0xC0U | (byte >> 6U));
            out += static_cast<char>(0x80U | (byte & 0x3FU));
        }
    }
    return out;
}

}  // namespace

std::string to_string(const Failure& failure) {
    switch (failure.kind) {
        case FailureKind::cannot_resolve:
            return "cannot resolve";
        case FailureKind::cannot_connect:
            return "cannot connect";
        case FailureKind::timed_out:
            return "timed out";
        case FailureKind::rate_limited:
            return "rate limited";
        case FailureKind::http_status:
            return "HTTP " + std::to_string(failure.code);
        case FailureKind::not_json_rpc:
            return "not JSON-RPC";
        case FailureKind::rpc_error:
            return "RPC error " + std::to_string(failure.code);
        case FailureKind::reverted:
            return "reverted";
        case FailureKind::no_contract:
            return "no contract at address";
        case FailureKind::undecodable:
            return "undecodable answer";
        case FailureKind::wrong_chain:
            return "wrong chain";
        case FailureKind::state_not_available:
            return "state not available";
        case FailureKind::busy:
            return "busy";
    }
    return "unknown";
}

std::string_view metric_label(FailureKind kind) {
    switch (kind) {
        case FailureKind::cannot_resolve:
            return "cannot_resolve";
        case FailureKind::cannot_connect:
            return "cannot_connect";
        case FailureKind::timed_out:
            return "timed_out";
        case FailureKind::rate_limited:
            return "rate_limited";
        case FailureKind::http_status:
            return "http_status";
        case FailureKind::not_json_rpc:
            return "not_json_rpc";
        case FailureKind::rpc_error:
            return "rpc_error";
        case FailureKind::reverted:
            return "reverted";
        case FailureKind::no_contract:
            return "no_contract";
        case FailureKind::undecodable:
            return "undecodable";
        case FailureKind::wrong_chain:
            return "wrong_chain";
        case FailureKind::state_not_available:
            return "state_not_available";
        case FailureKind::busy:
            return "busy";
    }
    return "unknown";
}

std::string to_json(const Decision& decision) {
    std::string out;
    append_raw_member(out, "isAllowed", decision.is_allowed ? "true" : "false");
    append_member(out, "reason", decision.reason);
    append_member(out, "gatewayAppId", decision.gateway_app_id);
    return out + '}';
}

std::string to_json(const Info& info) {
    std::string out;
    append_member(out, "status", "ok");
    append_member(out, "kmsContractAddr", info.kms_contract_addr);
    if (info.eth_rpc_url) append_member(out, "ethRpcUrl", *info.eth_rpc_url);
    append_member(out, "gatewayAppId", info.gateway_app_id);
    append_raw_member(out, "chainId", std::to_string(info.chain_id));
    append_member(out, "appAuthImplementation", info.app_implementation);
    append_member(out, "appImplementation", info.app_implementation);
    if (info.note) append_member(out, "note", *info.note);
    return out + '}';
}

std::string unavailable_decision_json(const Failure& failure) {
    return refusal(sentence(kUnavailable, to_string(failure)));
}

std::string unavailable_info_json(const Failure& failure) {
    std::string out;
    append_member(out, "status", "error");
    append_member(out, "message", sentence(kUnavailable, to_string(failure)));
    return out + '}';
}

std::string invalid_request_json(std::string_view detail) {
    return refusal(sentence(kInvalid, detail));
}

std::string not_found_json(std::string_view method, std::string_view target) {
    std::string route(method);
    route.append(":").append(target);
    std::string out;
    append_member(out, "message", "Route " + latin1_to_utf8(route) + " not found");
    append_member(out, "error", "Not Found");
    append_raw_member(out, "statusCode", "404");
    return out + '}';
}

}  // namespace auth
