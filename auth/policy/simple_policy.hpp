/// The `simple` policy: who may have keys, listed in a JSON file. Pure: text in, policy out;
/// request in, decision out. Source: spec "auth-api" section 3.1; the file is the one of dstack's
/// auth-simple.
#pragma once

#include "auth/policy/boot_request.hpp"
#include "auth/policy/decision.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace auth {

using TextSet = std::unordered_set<std::string>;

/// Which machines an application (or the KMS) may run on. An empty list means any.
struct DeviceRule {
    bool allow_any = false;
    TextSet devices;  ///< comparison form

    bool allows(const std::string& device) const {
        return allow_any || devices.empty() || devices.contains(device);
    }
};

struct AppRule {
    TextSet compose_hashes;  ///< comparison form
    DeviceRule device;
};

/// A default-constructed policy allows nothing: it knows no OS image. Ids and hashes are in
/// comparison form.
struct SimplePolicy {
    Info info;  ///< answers GET /; its gateway_app_id goes into every decision
    TextSet allowed_tcb_statuses{"UpToDate"};  ///< exact text
    TextSet allowed_advisory_ids;              ///< exact text
    TextSet os_images;
    TextSet kms_mr_aggregated;
    DeviceRule kms_device;
    std::unordered_map<std::string, AppRule> apps;

    SimplePolicy();
};

/// What was read from a policy file. There is a policy only when there is no mistake.
struct PolicyReading {
    std::optional<SimplePolicy> policy;
    std::vector<std::string> mistakes;  ///< a sentence each
    std::vector<std::string>
        warnings;  ///< members nobody knows, the second of two equal application ids
};

/// Reads a whole file, at most kMaxPolicyBytes. Finds every mistake, not only the first.
PolicyReading parse_simple_policy(std::string_view text);

inline constexpr std::size_t kMaxPolicyBytes = 16 * 1024 * 1024;

/// Lower case, with 0x in front: how ids and hashes are compared. Nothing is padded or trimmed.
std::string comparison_form(std::string_view hex);

/// The first rule that fails decides; its text is the reason.
Decision evaluate(const SimplePolicy& policy, BootKind kind, const BootRequest& request);

}  // namespace auth
