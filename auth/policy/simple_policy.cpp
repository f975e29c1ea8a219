#include "auth/policy/simple_policy.hpp"

#include <algorithm>

namespace auth {
namespace {

constexpr std::string_view kZeroAddress = "0x0000000000000000000000000000000000000000";

/// Why not, by TCB, advisories and image: the rules that applications and the KMS share. Null when
/// they hold.
const char* platform_fault(const SimplePolicy& policy, const BootRequest& request) {
    if (!policy.allowed_tcb_statuses.contains(request.tcb_status))
        return "TCB status is not allowed";
    const auto known = [&policy](const std::string& id) {
        return policy.allowed_advisory_ids.contains(id);
    };
    if (!std::all_of(request.advisory_ids.begin(), request.advisory_ids.end(), known))
        return "advisory ID is not allowed";
    if (!policy.os_images.contains(comparison_form(request.os_image_hash)))
        return "OS image is not allowed";
    return nullptr;
}

const char* kms_fault(const SimplePolicy& policy, const BootRequest& request) {
    if (!policy.kms_mr_aggregated.contains(comparison_form(request.mr_aggregated)))
        return "aggregated MR not allowed";
    if (!policy.kms_device.allows(comparison_form(request.device_id)))
        return "KMS is not allowed to boot on this device";
    return nullptr;
}

const char* app_fault(const SimplePolicy& policy, const BootRequest& request) {
    const auto app = policy.apps.find(comparison_form(request.app_id));
    if (app == policy.apps.end()) return "app not registered";
    if (!app->second.compose_hashes.contains(comparison_form(request.compose_hash)))
        return "compose hash not allowed";
    if (!app->second.device.allows(comparison_form(request.device_id)))
        return "app is not allowed to boot on this device";
    return nullptr;
}

}  // namespace

SimplePolicy::SimplePolicy() {
    info.kms_contract_addr = kZeroAddress;
    info.app_implementation = kZeroAddress;
}

std::string comparison_form(std::string_view hex) {
    std::string out;
    out.reserve(hex.size() + 2);
    for (const char c : hex) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (!out.starts_with("0x")) out.insert(0, "0x");
    return out;
}

Decision evaluate(const SimplePolicy& policy, BootKind kind, const BootRequest& request) {
    const char* fault = platform_fault(policy, request);
    if (fault == nullptr)
        fault = kind == BootKind::kms ? kms_fault(policy, request) : app_fault(policy, request);
    return Decision{.is_allowed = fault == nullptr,
                    .reason = fault == nullptr ? "" : fault,
                    .gateway_app_id = policy.info.gateway_app_id};
}

}  // namespace auth
