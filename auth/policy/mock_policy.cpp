#include "auth/policy/mock_policy.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace auth {
namespace {

constexpr std::array<std::pair<std::string_view, MockRule>, 6> kRules = {{
    {"allow-all", MockRule::allow_all},
    {"deny-all", MockRule::deny_all},
    {"deny-kms", MockRule::deny_kms},
    {"deny-app", MockRule::deny_app},
    {"allowlist-device", MockRule::allowlist_device},
    {"allowlist-mr", MockRule::allowlist_mr},
}};

std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

Decision allowed(const MockPolicy& policy, std::string reason) {
    return {.is_allowed = true,
            .reason = std::move(reason),
            .gateway_app_id = policy.info.gateway_app_id};
}

Decision denied(std::string reason) {
    return {
        .is_allowed = false, .reason = "mock policy: " + std::move(reason), .gateway_app_id = ""};
}

Decision by_list(const MockPolicy& policy, std::string_view what, std::string_view sent) {
    if (policy.allowed.empty())
        return denied(std::string(to_string(policy.rule)) + " with empty list");
    std::string id = lower_case(sent);
    if (id.starts_with("0x")) id.erase(0, 2);
    const bool listed =
        std::find(policy.allowed.begin(), policy.allowed.end(), id) != policy.allowed.end();
    const std::string subject = std::string(what) + " " + id;
    return listed ? allowed(policy, "mock policy: " + subject + " allowed")
                  : denied(subject + " not in allowlist");
}

}  // namespace

std::optional<MockRule> mock_rule_from(std::string_view text) {
    for (const auto& [name, rule] : kRules)
        if (name == text) return rule;
    return std::nullopt;
}

std::string_view to_string(MockRule rule) {
    for (const auto& [name, known] : kRules)
        if (known == rule) return name;
    return "unknown";
}

bool allows_strangers(MockRule rule) {
    return rule == MockRule::allow_all || rule == MockRule::deny_kms || rule == MockRule::deny_app;
}

std::vector<std::string> mock_list_from(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    std::vector<std::string> out;
    while (!text.empty()) {
        const auto comma = std::min(text.find(','), text.size());
        auto item = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        item.remove_prefix(std::min(item.find_first_not_of(kBlanks), item.size()));
        if (const auto last = item.find_last_not_of(kBlanks); last != std::string_view::npos)
            out.push_back(lower_case(item.substr(0, last + 1)));
    }
    return out;
}

Decision evaluate(const MockPolicy& policy, BootKind kind, const BootRequest& request) {
    const bool kms = kind == BootKind::kms;
    switch (policy.rule) {
        case MockRule::allow_all:
            return allowed(policy, kms ? "mock KMS always allowed" : "mock app always allowed");
        case MockRule::deny_all:
            return denied("deny-all");
        case MockRule::deny_kms:
            return kms ? denied("deny-kms") : allowed(policy, "mock app allowed (deny-kms policy)");
        case MockRule::deny_app:
            return kms ? allowed(policy, "mock KMS allowed (deny-app policy)") : denied("deny-app");
        case MockRule::allowlist_device:
            return by_list(policy, "device", request.device_id);
        case MockRule::allowlist_mr:
            return by_list(policy, "mrAggregated", request.mr_aggregated);
    }
    return denied("deny-all");
}

}  // namespace auth
