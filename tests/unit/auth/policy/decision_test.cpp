#include "auth/policy/decision.hpp"

#include "auth/policy/json_text.hpp"
#include "launcher/runtime/bytes.hpp"

#include <set>

#include <catch2/catch.hpp>

using auth::Failure;
using auth::FailureKind;

TEST_CASE("JSON texts are escaped as JSON.stringify does") {
    CHECK(auth::json_text("") == "\"\"");
    CHECK(auth::json_text("a\"b\\c/d") == R"("a\"b\\c/d")");
    CHECK(auth::json_text("\b\f\n\r\t") == R"("\b\f\n\r\t")");
    CHECK(auth::json_text(std::string_view("\0\x01\x1f\x7f", 4)) ==
          "\"\\u0000\\u0001\\u001f\x7f\"");
    CHECK(auth::json_text("é\u2028😀") == "\"é\u2028😀\"");
}

TEST_CASE("decisions and facts have their members in order") {
    CHECK(to_json(auth::Decision{true, "", "0xGw"}) ==
          R"({"isAllowed":true,"reason":"","gatewayAppId":"0xGw"})");
    CHECK(to_json(auth::Decision{}) == R"({"isAllowed":false,"reason":"","gatewayAppId":""})");
    auth::Info info;
    info.kms_contract_addr = "0x1";
    info.gateway_app_id = "gw";
    info.chain_id = 18446744073709551615U;
    info.app_implementation = "0x2";
    CHECK(
        to_json(info) ==
        R"({"status":"ok","kmsContractAddr":"0x1","gatewayAppId":"gw",)"
        R"("chainId":18446744073709551615,"appAuthImplementation":"0x2","appImplementation":"0x2"})");
    info.eth_rpc_url = "http://h";
    info.note = "n";
    CHECK(
        to_json(info) ==
        R"({"status":"ok","kmsContractAddr":"0x1","ethRpcUrl":"http://h","gatewayAppId":"gw",)"
        R"("chainId":18446744073709551615,"appAuthImplementation":"0x2","appImplementation":"0x2",)"
        R"("note":"n"})");
}

TEST_CASE("failures are shown by category") {
    CHECK(to_string(Failure{FailureKind::http_status, 503}) == "HTTP 503");
    CHECK(to_string(Failure{FailureKind::rpc_error, -32000}) == "RPC error -32000");
    CHECK(
        auth::unavailable_decision_json({FailureKind::timed_out, 0}) ==
        R"({"isAllowed":false,"reason":"authorization backend unavailable: timed out","gatewayAppId":""})");
    CHECK(auth::unavailable_info_json({FailureKind::busy, 0}) ==
          R"({"status":"error","message":"authorization backend unavailable: busy"})");
    CHECK(
        auth::invalid_request_json("'appId' is missing") ==
        R"({"isAllowed":false,"reason":"invalid authorization request: 'appId' is missing","gatewayAppId":""})");

    std::set<std::string> texts;
    std::set<std::string_view> labels;
    for (std::size_t i = 0; i < auth::kFailureKinds; ++i) {
        const auto kind = static_cast<FailureKind>(i);
        texts.insert(to_string(Failure{kind, 1}));
        labels.insert(metric_label(kind));
    }
    CHECK(texts.size() == auth::kFailureKinds);
    CHECK(labels.size() == auth::kFailureKinds);
    CHECK(texts.count("unknown") + labels.count("unknown") == 0);
}

TEST_CASE("an unknown route is named as it was asked for, always in UTF-8") {
    CHECK(auth::not_found_json("GET", "/health") ==
          R"({"message":"Route GET:/health not found","error":"Not Found","statusCode":404})");
    CHECK(auth::not_found_json("PUT", "/a?b=\"c") ==
          R"({"message":"Route PUT:/a?b=\"c not found","error":"Not Found","statusCode":404})");
    const auto odd = auth::not_found_json("GET", "/\xFF\xC3");
    CHECK(runtime::is_utf8(odd));
    CHECK(odd.find("/ÿÃ not found") != std::string::npos);
}
