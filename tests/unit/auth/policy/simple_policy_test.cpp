#include "auth/policy/simple_policy.hpp"

#include "tests/unit/auth/boot_bodies.hpp"

#include <catch2/catch.hpp>

using auth::BootKind;
using auth::BootRequest;
using auth::comparison_form;
using auth::Decision;
using auth::evaluate;
using auth::SimplePolicy;
using test::boot_request;
using test::repeat;

namespace {

/// Allows boot_request() for both kinds.
SimplePolicy policy() {
    SimplePolicy out;
    out.info.gateway_app_id = "0xGateway";
    out.os_images = {"0x" + repeat("a1", 32)};
    out.kms_mr_aggregated = {"0x" + repeat("b1", 32)};
    out.apps["0x" + repeat("75", 20)].compose_hashes = {"0x" + repeat("d1", 32)};
    return out;
}

auth::AppRule& app(SimplePolicy& policy) {
    return policy.apps.at("0x" + repeat("75", 20));
}

Decision refused(std::string reason) {
    return {false, std::move(reason), "0xGateway"};
}
const Decision kAllowed{true, "", "0xGateway"};

}  // namespace

TEST_CASE("comparison form is lower case with 0x, and nothing else") {
    CHECK(comparison_form("") == "0x");
    CHECK(comparison_form("0x") == "0x");
    CHECK(comparison_form("AB") == "0xab");
    CHECK(comparison_form("0XaB") == "0xab");
    CHECK(comparison_form("0x0AB ") == "0x0ab ");
}

TEST_CASE("a policy that says nothing allows nobody") {
    const SimplePolicy empty;
    CHECK(evaluate(empty, BootKind::app, boot_request()) ==
          Decision{false, "OS image is not allowed", ""});
    CHECK(evaluate(empty, BootKind::kms, boot_request()) ==
          Decision{false, "OS image is not allowed", ""});
    CHECK(evaluate(empty, BootKind::kms, BootRequest{}) ==
          Decision{false, "TCB status is not allowed", ""});
    CHECK(empty.info.kms_contract_addr == "0x" + repeat("00", 20));
    CHECK(empty.info.app_implementation == "0x" + repeat("00", 20));
}

TEST_CASE("a listed machine is allowed, without a reason") {
    CHECK(evaluate(policy(), BootKind::app, boot_request()) == kAllowed);
    CHECK(evaluate(policy(), BootKind::kms, boot_request()) == kAllowed);
}

TEST_CASE("the first rule that fails gives the reason") {
    struct Row {
        std::string name;
        BootKind kind;
        void (*change)(SimplePolicy&, BootRequest&);
        std::string reason;
    };
    const auto row = GENERATE(values<Row>({
        {"other TCB status", BootKind::app,
         [](SimplePolicy&, BootRequest& r) { r.tcb_status = "OutOfDate"; },
         "TCB status is not allowed"},
        {"TCB status in other case", BootKind::kms,
         [](SimplePolicy&, BootRequest& r) { r.tcb_status = "uptodate"; },
         "TCB status is not allowed"},
        {"no TCB status", BootKind::app,
         [](SimplePolicy&, BootRequest& r) { r.tcb_status.clear(); }, "TCB status is not allowed"},
        {"advisory not listed", BootKind::app,
         [](SimplePolicy& p, BootRequest& r) {
             p.allowed_advisory_ids = {"A"};
             r.advisory_ids = {"A", "B"};
         },
         "advisory ID is not allowed"},
        {"advisory in other case", BootKind::kms,
         [](SimplePolicy& p, BootRequest& r) {
             p.allowed_advisory_ids = {"A"};
             r.advisory_ids = {"a"};
         },
         "advisory ID is not allowed"},
        {"other image", BootKind::app,
         [](SimplePolicy&, BootRequest& r) { r.os_image_hash = repeat("a2", 32); },
         "OS image is not allowed"},
        {"image without a leading zero byte", BootKind::kms,
         [](SimplePolicy& p, BootRequest& r) {
             p.os_images = {"0x00" + repeat("a1", 31)};
             r.os_image_hash = repeat("a1", 31);
         },
         "OS image is not allowed"},
        {"other measurement", BootKind::kms,
         [](SimplePolicy&, BootRequest& r) { r.mr_aggregated = repeat("b2", 32); },
         "aggregated MR not allowed"},
        {"no measurement listed", BootKind::kms,
         [](SimplePolicy& p, BootRequest&) { p.kms_mr_aggregated.clear(); },
         "aggregated MR not allowed"},
        {"measurement before device", BootKind::kms,
         [](SimplePolicy& p, BootRequest&) {
             p.kms_mr_aggregated.clear();
             p.kms_device.devices = {"0x00"};
         },
         "aggregated MR not allowed"},
        {"KMS on another device", BootKind::kms,
         [](SimplePolicy& p, BootRequest&) { p.kms_device.devices = {"0x00"}; },
         "KMS is not allowed to boot on this device"},
        {"unknown app", BootKind::app,
         [](SimplePolicy&, BootRequest& r) { r.app_id = repeat("76", 20); }, "app not registered"},
        {"other compose hash", BootKind::app,
         [](SimplePolicy&, BootRequest& r) { r.compose_hash = repeat("d2", 32); },
         "compose hash not allowed"},
        {"no compose hash listed", BootKind::app,
         [](SimplePolicy& p, BootRequest&) { app(p).compose_hashes.clear(); },
         "compose hash not allowed"},
        {"app on another device", BootKind::app,
         [](SimplePolicy& p, BootRequest&) { app(p).device.devices = {"0x00"}; },
         "app is not allowed to boot on this device"},
        {"image before app", BootKind::app,
         [](SimplePolicy& p, BootRequest&) {
             p.os_images.clear();
             p.apps.clear();
         },
         "OS image is not allowed"},
        {"advisory before image", BootKind::app,
         [](SimplePolicy& p, BootRequest& r) {
             p.os_images.clear();
             r.advisory_ids = {"A"};
         },
         "advisory ID is not allowed"},
        {"TCB status before advisory", BootKind::app,
         [](SimplePolicy&, BootRequest& r) {
             r.tcb_status = "Revoked";
             r.advisory_ids = {"A"};
         },
         "TCB status is not allowed"},
    }));
    INFO(row.name);
    auto rules = policy();
    auto request = boot_request();
    row.change(rules, request);
    CHECK(evaluate(rules, row.kind, request) == refused(row.reason));
}

TEST_CASE("what is listed is allowed") {
    const auto kind = GENERATE(BootKind::app, BootKind::kms);
    auto rules = policy();
    auto request = boot_request();
    SECTION("another TCB status") {
        rules.allowed_tcb_statuses = {"UpToDate", "OutOfDate"};
        request.tcb_status = "OutOfDate";
        CHECK(evaluate(rules, kind, request) == kAllowed);
    }
    SECTION("advisories") {
        rules.allowed_advisory_ids = {"A", "B"};
        request.advisory_ids = {"B", "A", "B"};
        CHECK(evaluate(rules, kind, request) == kAllowed);
    }
    SECTION("ids with 0x and in upper case") {
        request.app_id = "0x" + request.app_id;
        request.os_image_hash = "0x" + repeat("A1", 32);
        request.mr_aggregated = repeat("B1", 32);
        request.compose_hash = repeat("D1", 32);
        CHECK(evaluate(rules, kind, request) == kAllowed);
    }
    SECTION("the device") {
        rules.kms_device.devices = app(rules).device.devices = {"0x" + repeat("e1", 32)};
        request.device_id = repeat("E1", 32);
        CHECK(evaluate(rules, kind, request) == kAllowed);
    }
    SECTION("any device, whatever the list says") {
        rules.kms_device = app(rules).device = {.allow_any = true, .devices = {"0x00"}};
        CHECK(evaluate(rules, kind, request) == kAllowed);
    }
}

TEST_CASE("instance id and system measurement do not matter") {
    auto request = boot_request();
    request.instance_id.clear();
    request.mr_system = repeat("00", 32);
    CHECK(evaluate(policy(), BootKind::app, request) == kAllowed);
    CHECK(evaluate(policy(), BootKind::kms, request) == kAllowed);
}
