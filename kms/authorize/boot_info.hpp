/// The question that the KMS asks before it releases a key, and the answer. Values and their wire
/// form; pure. Source: spec "kms-protocol" section 10.1.
#pragma once

#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kms {

/// Who asks for a key, as its verified attestation says.
struct BootInfo {
    std::string attestation_mode;  ///< "dstack-tdx" and so on
    runtime::Bytes mr_aggregated;
    runtime::Bytes os_image_hash;
    runtime::Bytes mr_system;
    runtime::Bytes app_id;
    runtime::Bytes compose_hash;
    runtime::Bytes instance_id;
    runtime::Bytes device_id;
    runtime::Bytes key_provider_info;
    std::string tcb_status;
    std::vector<std::string> advisory_ids;
};

/// What is to be started: an application, or another KMS.
enum class BootKind { app, kms };

/// A refusal is a decision, not an error: "could not ask" is the error of the function that asked.
struct BootDecision {
    bool allowed = false;
    std::string gateway_app_id;
    std::string reason;  ///< why not; empty when allowed
};

/// The body of the request: compact JSON with the members in the protocol's order.
std::string boot_request_body(const BootInfo& info);
/// Reads the body of the answer. Errors (invalid_argument) say which member is missing or wrong;
/// nothing is allowed then.
runtime::Result<BootDecision> parse_boot_decision(std::string_view body);

}  // namespace kms
