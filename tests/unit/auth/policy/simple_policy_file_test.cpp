#include "auth/policy/simple_policy.hpp"
#include "tests/unit/auth/boot_bodies.hpp"

#include <catch2/catch.hpp>

using auth::parse_simple_policy;
using Sentences = std::vector<std::string>;
using test::repeat;

TEST_CASE("a policy file with every member") {
    const auto reading = parse_simple_policy(R"({
        "gatewayAppId": "0xGw", "kmsContractAddr": "0xKms", "chainId": 11155111, "appImplementation": "0xApp",
        "osImages": ["AB", "0xcd"],
        "allowedTcbStatuses": ["UpToDate", "OutOfDate"],
        "allowedAdvisoryIds": ["INTEL-SA-00837"],
        "kms": {"mrAggregated": ["EF"], "devices": ["0xD1"], "allowAnyDevice": true},
        "apps": {
            "75AB": {"composeHashes": ["C1", "0xC2"], "devices": ["d2"], "allowAnyDevice": false},
            "0x76": {}
        }
    })");
    CHECK(reading.mistakes == Sentences{});
    CHECK(reading.warnings == Sentences{});
    REQUIRE(reading.policy.has_value());
    const auto& policy = *reading.policy;
    CHECK(to_json(policy.info) ==
          R"({"status":"ok","kmsContractAddr":"0xKms","gatewayAppId":"0xGw","chainId":11155111,)"
          R"("appAuthImplementation":"0xApp","appImplementation":"0xApp"})");
    CHECK(policy.os_images == auth::TextSet{"0xab", "0xcd"});
    CHECK(policy.allowed_tcb_statuses == auth::TextSet{"UpToDate", "OutOfDate"});
    CHECK(policy.allowed_advisory_ids == auth::TextSet{"INTEL-SA-00837"});
    CHECK(policy.kms_mr_aggregated == auth::TextSet{"0xef"});
    CHECK(policy.kms_device.allow_any);
    CHECK(policy.kms_device.devices == auth::TextSet{"0xd1"});
    REQUIRE(policy.apps.size() == 2);
    CHECK(policy.apps.at("0x75ab").compose_hashes == auth::TextSet{"0xc1", "0xc2"});
    CHECK(policy.apps.at("0x75ab").device.devices == auth::TextSet{"0xd2"});
    CHECK_FALSE(policy.apps.at("0x75ab").device.allow_any);
    CHECK(policy.apps.at("0x76").compose_hashes.empty());
}

TEST_CASE("an empty object is a policy that allows nothing, with the defaults") {
    const auto reading = parse_simple_policy("\xEF\xBB\xBF {} \n");
    REQUIRE(reading.policy.has_value());
    CHECK(
        to_json(reading.policy->info) ==
        R"({"status":"ok","kmsContractAddr":"0x0000000000000000000000000000000000000000","gatewayAppId":"",)"
        R"("chainId":0,"appAuthImplementation":"0x0000000000000000000000000000000000000000",)"
        R"("appImplementation":"0x0000000000000000000000000000000000000000"})");
    CHECK(reading.policy->allowed_tcb_statuses == auth::TextSet{"UpToDate"});
}

TEST_CASE("a list replaces the default, also an empty one") {
    const auto reading = parse_simple_policy(R"({"allowedTcbStatuses":[]})");
    REQUIRE(reading.policy.has_value());
    CHECK(reading.policy->allowed_tcb_statuses.empty());
}

TEST_CASE("of two entries for one application the first counts") {
    const auto reading = parse_simple_policy(
        R"({"apps":{"0xAB":{"composeHashes":["01"]},"ab":{"composeHashes":["02"]}}})");
    REQUIRE(reading.policy.has_value());
    CHECK(reading.policy->apps.at("0xab").compose_hashes == auth::TextSet{"0x01"});
    CHECK(
        reading.warnings ==
        Sentences{"'apps.ab' names an application that is listed before; the first entry counts"});
}

TEST_CASE("names that mean nothing are ignored, but not in silence") {
    const auto reading = parse_simple_policy(
        R"({"osImage":[],"comment":"x","kms":{"device":[]},"apps":{"ab":{"allowAnyDevices":true}}})");
    CHECK(reading.policy.has_value());
    CHECK(reading.mistakes == Sentences{});
    CHECK(reading.warnings ==
          Sentences{"'kms.device' is not a known member and is ignored; did you mean 'devices'?",
                    "'apps.ab.allowAnyDevices' is not a known member and is ignored; did you mean "
                    "'allowAnyDevice'?",
                    "'osImage' is not a known member and is ignored; did you mean 'osImages'?",
                    "'comment' is not a known member and is ignored"});
}

TEST_CASE("every wrong type is a mistake with a sentence, and all are found") {
    struct Row {
        std::string text;
        Sentences mistakes;
    };
    const auto row = GENERATE(values<Row>({
        {R"({"gatewayAppId":1})", {"'gatewayAppId' must be a text, not a number"}},
        {R"({"gatewayAppId":null})", {"'gatewayAppId' must be a text, not null"}},
        {R"({"kmsContractAddr":[]})", {"'kmsContractAddr' must be a text, not a list"}},
        {R"({"appImplementation":{}})", {"'appImplementation' must be a text, not an object"}},
        {R"({"chainId":"1"})",
         {"'chainId' must be a whole number that is not negative, not a text"}},
        {R"({"chainId":-1})",
         {"'chainId' must be a whole number that is not negative, not a number"}},
        {R"({"chainId":1.5})",
         {"'chainId' must be a whole number that is not negative, not a number"}},
        {R"({"chainId":true})",
         {"'chainId' must be a whole number that is not negative, not true or false"}},
        {R"({"osImages":"ab"})", {"'osImages' must be a list of texts, not a text"}},
        {R"({"osImages":["ab",1,null]})",
         {"'osImages[1]' must be a text, not a number", "'osImages[2]' must be a text, not null"}},
        {R"({"allowedTcbStatuses":{}})",
         {"'allowedTcbStatuses' must be a list of texts, not an object"}},
        {R"({"allowedAdvisoryIds":[[]]})", {"'allowedAdvisoryIds[0]' must be a text, not a list"}},
        {R"({"kms":[]})", {"'kms' must be an object, not a list"}},
        {R"({"kms":{"mrAggregated":1,"devices":2,"allowAnyDevice":"true"}})",
         {"'kms.mrAggregated' must be a list of texts, not a number",
          "'kms.allowAnyDevice' must be true or false, not a text",
          "'kms.devices' must be a list of texts, not a number"}},
        {R"({"apps":[]})", {"'apps' must be an object, not a list"}},
        {R"({"apps":{"ab":true}})", {"'apps.ab' must be an object, not true or false"}},
        {R"({"apps":{"ab":{"composeHashes":"x"},"cd":{"devices":null,"allowAnyDevice":0}}})",
         {"'apps.ab.composeHashes' must be a list of texts, not a text",
          "'apps.cd.allowAnyDevice' must be true or false, not a number",
          "'apps.cd.devices' must be a list of texts, not null"}},
        {R"([])", {"the file must hold a JSON object, not a list"}},
        {R"(null)", {"the file must hold a JSON object, not null"}},
        {"", {"the file is empty"}},
        {" \n\t", {"the file is empty"}},
    }));
    INFO(row.text);
    const auto reading = parse_simple_policy(row.text);
    CHECK_FALSE(reading.policy.has_value());
    CHECK(reading.mistakes == row.mistakes);
}

TEST_CASE("broken JSON is reported with line and column") {
    struct Row {
        std::string text;
        std::string place;
    };
    const auto row = GENERATE(values<Row>({
        {"{\n  \"osImages\": [\n", "line 3, column 1: the text ends too early"},
        {"{\"a\": 1,}", "line 1, column 9: "},
        {"{}\n{}", "line 2, column 1: "},
        {"{\n\"a\" 1}", "line 2, column 5: "},
        {"{\"a\": 'b'}", "line 1, column 7: "},
        {"// note\n{}", "line 1, column 1: "},
        {"{\"a\": \"\xFF\"}", "line 1, column 8: "},
        {"{\"a\": " + std::string(40, '[') + std::string(40, ']') + "}", "line 1, column "},
    }));
    INFO(row.text);
    const auto reading = parse_simple_policy(row.text);
    CHECK_FALSE(reading.policy.has_value());
    REQUIRE(reading.mistakes.size() == 1);
    CHECK_THAT(reading.mistakes[0], Catch::StartsWith("not JSON at " + row.place));
}

TEST_CASE("a policy file that is cut anywhere is no policy") {
    const std::string whole =
        R"({"osImages":["ab"],"kms":{"mrAggregated":["cd"],"allowAnyDevice":true},"apps":{"ef":{"composeHashes":["01"]}}})";
    REQUIRE(parse_simple_policy(whole).policy.has_value());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const auto reading = parse_simple_policy(std::string_view(whole).substr(0, size));
        CHECK_FALSE(reading.policy.has_value());
        CHECK_FALSE(reading.mistakes.empty());
    }
}

TEST_CASE("a damaged policy file never allows what the whole one refuses") {
    const std::string whole = R"({"osImages":[")" + repeat("a1", 32) +
                              R"("],"kms":{"mrAggregated":[")" + repeat("b1", 32) +
                              R"("],"devices":[")" + repeat("c1", 32) + R"("]}})";
    auto stranger = test::boot_request();
    stranger.mr_aggregated = repeat("99", 32);
    for (std::size_t i = 0; i < whole.size(); ++i)
        for (const char c : {'"', '{', '}', '[', ']', ',', ':', ' ', '\\', '0', 'x', '\xFF'}) {
            std::string damaged = whole;
            damaged[i] = c;
            const auto reading = parse_simple_policy(damaged);
            if (!reading.policy) continue;
            CHECK_FALSE(evaluate(*reading.policy, auth::BootKind::kms, stranger).is_allowed);
            CHECK_FALSE(evaluate(*reading.policy, auth::BootKind::app, stranger).is_allowed);
        }
}
