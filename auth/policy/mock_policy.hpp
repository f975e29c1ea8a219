/// The `mock` policy: answers for tests of others, without looking at what is asked (or at one list
/// only). Pure. Source: spec "auth-api" section 3.3; names and texts are those of dstack's
/// auth-mock.
#pragma once

#include "auth/policy/boot_request.hpp"
#include "auth/policy/decision.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace auth {

enum class MockRule { allow_all, deny_all, deny_kms, deny_app, allowlist_device, allowlist_mr };

/// "allow-all", "deny-all", "deny-kms", "deny-app", "allowlist-device", "allowlist-mr".
std::optional<MockRule> mock_rule_from(std::string_view text);
std::string_view to_string(MockRule rule);
/// Whether the rule gives keys to somebody it knows nothing about.
bool allows_strangers(MockRule rule);

struct MockPolicy {
    MockRule rule = MockRule::deny_all;
    std::vector<std::string> allowed;  ///< for the allow-list rules: lower case, without 0x
    Info info;                         ///< with the note that this is a mock
};

/// "ab, CD,," → {"ab", "cd"}: separated by commas, trimmed, in lower case, empty ones dropped.
std::vector<std::string> mock_list_from(std::string_view text);

inline constexpr std::string_view kMockNote =
    "this is a mock backend - all authentications will succeed";

/// Denials carry no gateway id.
Decision evaluate(const MockPolicy& policy, BootKind kind, const BootRequest& request);

}  // namespace auth
