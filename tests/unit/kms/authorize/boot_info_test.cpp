#include "kms/authorize/boot_info.hpp"

#include "tests/support/kms_vectors.hpp"

#include <catch2/catch.hpp>

using namespace kms;

namespace {

runtime::Bytes hex_member(const boost::json::object& body, std::string_view name) {
    return test_support::hex_at(body, name);
}

/// The value behind a recorded body.
BootInfo info_of(const boost::json::object& body) {
    BootInfo info;
    info.attestation_mode = test_support::text_at(body, "attestationMode");
    info.mr_aggregated = hex_member(body, "mrAggregated");
    info.os_image_hash = hex_member(body, "osImageHash");
    info.mr_system = hex_member(body, "mrSystem");
    info.app_id = hex_member(body, "appId");
    info.compose_hash = hex_member(body, "composeHash");
    info.instance_id = hex_member(body, "instanceId");
    info.device_id = hex_member(body, "deviceId");
    info.key_provider_info = hex_member(body, "keyProviderInfo");
    info.tcb_status = test_support::text_at(body, "tcbStatus");
    for (const auto& id : body.at("advisoryIds").as_array())
        info.advisory_ids.emplace_back(id.as_string());
    return info;
}

}  // namespace

TEST_CASE("the question's members, in order") {
    BootInfo info;
    info.attestation_mode = "dstack-tdx";
    info.app_id = {0xAB, 0x01};
    info.tcb_status = "UpToDate";
    info.advisory_ids = {"INTEL-SA-1", "x\"y"};
    CHECK(
        boot_request_body(info) ==
        R"({"attestationMode":"dstack-tdx","mrAggregated":"","osImageHash":"","mrSystem":"","appId":"ab01","composeHash":"",)"
        R"("instanceId":"","deviceId":"","keyProviderInfo":"","tcbStatus":"UpToDate","advisoryIds":["INTEL-SA-1","x\"y"]})");
}

TEST_CASE("recorded questions of the original are written the same") {
    const auto text = test_support::shared_kms_text("peer/attested_E.json");
    if (!text) return;
    std::size_t compared = 0;
    const auto document = boost::json::parse(*text);
    for (const auto& entry : document.at("cases").as_array()) {
        const auto* requests = entry.as_object().if_contains("webhook_requests");
        if (requests == nullptr) continue;
        for (const auto& request : requests->as_array()) {
            if (request.at("method") != "POST") continue;
            const std::string body = test_support::text_at(request, "body");
            CHECK(boot_request_body(info_of(boost::json::parse(body).as_object())) == body);
            ++compared;
        }
    }
    CHECK(compared > 10);
}

TEST_CASE("the answer: allowed only when it clearly says so") {
    const auto allowed =
        parse_boot_decision(R"({"isAllowed":true,"gatewayAppId":"0xgw","reason":"ignored","x":1})");
    REQUIRE(allowed.has_value());
    CHECK(allowed->allowed);
    CHECK(allowed->gateway_app_id == "0xgw");
    CHECK(allowed->reason.empty());
    const auto denied =
        parse_boot_decision(R"({"isAllowed":false,"gatewayAppId":"","reason":"no"})");
    REQUIRE(denied.has_value());
    CHECK_FALSE(denied->allowed);
    CHECK(denied->reason == "no");

    const auto body = GENERATE(values<std::string>({
        "",
        "true",
        "[]",
        R"({"isAllowed":true})",
        R"({"isAllowed":"true","gatewayAppId":"","reason":""})",
        R"({"isAllowed":1,"gatewayAppId":"","reason":""})",
        R"({"isAllowed":true,"gatewayAppId":null,"reason":""})",
        R"({"isAllowed":true,"gatewayAppId":""})",
        R"({"isAllowed":true,"gatewayAppId":"","reason":"")",
    }));
    INFO(body);
    CHECK_FALSE(parse_boot_decision(body).has_value());
}
