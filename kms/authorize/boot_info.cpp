#include "kms/authorize/boot_info.hpp"

#include <boost/json.hpp>

namespace kms {
namespace {

namespace json = boost::json;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

Result<std::string> text_member(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr || !value->is_string())
        return Error{ErrorCode::invalid_argument,
                     "the member '" + std::string(name) + "' is missing or not a text"};
    return std::string(value->get_string());
}

}  // namespace

std::string boot_request_body(const BootInfo& info) {
    json::object body;  // keeps the order in which members were added
    body["attestationMode"] = info.attestation_mode;
    body["mrAggregated"] = runtime::to_hex(info.mr_aggregated);
    body["osImageHash"] = runtime::to_hex(info.os_image_hash);
    body["mrSystem"] = runtime::to_hex(info.mr_system);
    body["appId"] = runtime::to_hex(info.app_id);
    body["composeHash"] = runtime::to_hex(info.compose_hash);
    body["instanceId"] = runtime::to_hex(info.instance_id);
    body["deviceId"] = runtime::to_hex(info.device_id);
    body["keyProviderInfo"] = runtime::to_hex(info.key_provider_info);
    body["tcbStatus"] = info.tcb_status;
    json::array& advisories = body["advisoryIds"].emplace_array();
    for (const auto& id : info.advisory_ids) advisories.emplace_back(id);
    return json::serialize(body);
}

Result<BootDecision> parse_boot_decision(std::string_view text) {
    boost::system::error_code error;
    const json::value document = json::parse(json::string_view(text.data(), text.size()), error);
    if (error)
        return Error{ErrorCode::invalid_argument, "the body is not JSON: " + error.message()};
    const json::object* object = document.if_object();
    if (object == nullptr)
        return Error{ErrorCode::invalid_argument, "the body is not a JSON object"};
    const json::value* allowed = object->if_contains("isAllowed");
    if (allowed == nullptr || !allowed->is_bool())
        return Error{ErrorCode::invalid_argument,
                     "the member 'isAllowed' is missing or neither true nor false"};
    BootDecision decision;
    decision.allowed = allowed->get_bool();
    TRY(decision.gateway_app_id, text_member(*object, "gatewayAppId"));
    TRY(decision.reason, text_member(*object, "reason"));
    if (decision.allowed) decision.reason.clear();
    return decision;
}

}  // namespace kms
