#include "auth/policy/mock_policy.hpp"

#include "tests/unit/auth/boot_bodies.hpp"

#include <catch2/catch.hpp>

using auth::BootKind;
using auth::Decision;
using auth::MockRule;
using test::repeat;

namespace {

auth::MockPolicy policy(MockRule rule, std::vector<std::string> allowed = {}) {
    auth::MockPolicy out;
    out.rule = rule;
    out.allowed = std::move(allowed);
    out.info.gateway_app_id = "0xgw";
    return out;
}

}  // namespace

TEST_CASE("mock decisions") {
    const std::string device = repeat("e1", 32);
    const std::string measurement = repeat("b1", 32);
    struct Row {
        auth::MockPolicy policy;
        Decision app;
        Decision kms;
    };
    const auto row = GENERATE_COPY(values<Row>({
        {policy(MockRule::allow_all),
         {true, "mock app always allowed", "0xgw"},
         {true, "mock KMS always allowed", "0xgw"}},
        {policy(MockRule::deny_all),
         {false, "mock policy: deny-all", ""},
         {false, "mock policy: deny-all", ""}},
        {policy(MockRule::deny_kms),
         {true, "mock app allowed (deny-kms policy)", "0xgw"},
         {false, "mock policy: deny-kms", ""}},
        {policy(MockRule::deny_app),
         {false, "mock policy: deny-app", ""},
         {true, "mock KMS allowed (deny-app policy)", "0xgw"}},
        {policy(MockRule::allowlist_device),
         {false, "mock policy: allowlist-device with empty list", ""},
         {false, "mock policy: allowlist-device with empty list", ""}},
        {policy(MockRule::allowlist_mr),
         {false, "mock policy: allowlist-mr with empty list", ""},
         {false, "mock policy: allowlist-mr with empty list", ""}},
        {policy(MockRule::allowlist_device, {"00", device}),
         {true, "mock policy: device " + device + " allowed", "0xgw"},
         {true, "mock policy: device " + device + " allowed", "0xgw"}},
        {policy(MockRule::allowlist_device, {"0x" + device}),
         {false, "mock policy: device " + device + " not in allowlist", ""},
         {false, "mock policy: device " + device + " not in allowlist", ""}},
        {policy(MockRule::allowlist_mr, {measurement}),
         {true, "mock policy: mrAggregated " + measurement + " allowed", "0xgw"},
         {true, "mock policy: mrAggregated " + measurement + " allowed", "0xgw"}},
        {policy(MockRule::allowlist_mr, {device}),
         {false, "mock policy: mrAggregated " + measurement + " not in allowlist", ""},
         {false, "mock policy: mrAggregated " + measurement + " not in allowlist", ""}},
    }));
    INFO(to_string(row.policy.rule));
    auto request = test::boot_request();
    CHECK(evaluate(row.policy, BootKind::app, request) == row.app);
    CHECK(evaluate(row.policy, BootKind::kms, request) == row.kms);
    request.device_id = "0x" + repeat("E1", 32);
    request.mr_aggregated = "0x" + repeat("B1", 32);
    CHECK(evaluate(row.policy, BootKind::app, request) == row.app);
}

TEST_CASE("mock rules have names, and those that give keys blindly are known") {
    for (const auto rule : {MockRule::allow_all, MockRule::deny_all, MockRule::deny_kms,
                            MockRule::deny_app, MockRule::allowlist_device, MockRule::allowlist_mr})
        CHECK(auth::mock_rule_from(to_string(rule)) == rule);
    CHECK_FALSE(auth::mock_rule_from("allow").has_value());
    CHECK(auth::allows_strangers(MockRule::allow_all));
    CHECK(auth::allows_strangers(MockRule::deny_kms));
    CHECK(auth::allows_strangers(MockRule::deny_app));
    CHECK_FALSE(auth::allows_strangers(MockRule::deny_all));
    CHECK_FALSE(auth::allows_strangers(MockRule::allowlist_device));
    CHECK_FALSE(auth::allows_strangers(MockRule::allowlist_mr));
}

TEST_CASE("mock lists are separated by commas, trimmed and in lower case") {
    using List = std::vector<std::string>;
    CHECK(auth::mock_list_from("") == List{});
    CHECK(auth::mock_list_from(" , ,") == List{});
    CHECK(auth::mock_list_from(" AB ,cd,, 0xEF") == List{"ab", "cd", "0xef"});
}
