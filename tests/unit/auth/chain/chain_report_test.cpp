#include "auth/chain/chain_report.hpp"

#include "auth/policy/public_url.hpp"
#include "tests/unit/auth/chain/fake_chain.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using auth::ChainCall;
using auth::ExchangeSeen;
using auth::FailureKind;
using auth::RpcAnswer;
using Method = ChainCall::Method;

namespace {

ExchangeSeen seen_of(std::vector<ChainCall> calls, std::vector<auth::CallAnswer> answers) {
    ExchangeSeen seen;
    seen.endpoint = "http://one.example";
    seen.calls = std::move(calls);
    seen.status = 200;
    seen.times.total = 412us;
    seen.answer.kind = RpcAnswer::Kind::answers;
    seen.answer.answers = std::move(answers);
    return seen;
}

ChainCall call_of(std::string data) {
    return {
        .method = Method::contract_call, .block = "latest", .to = "0xaa", .data = std::move(data)};
}

}  // namespace

TEST_CASE("an exchange is shown with what its answers mean") {
    const auto text = to_text(
        seen_of({{.method = Method::chain_id}, call_of("0x1e079198"), call_of("0x95f51931")},
                {std::string("0x7a69"), test::verdict(false, "say \"no\""),
                 auth::RpcError{3, "execution reverted"}}),
        {});
    CHECK_THAT(
        text, Catch::StartsWith("http://one.example: HTTP 200 after 0.412 ms, on a new connection\n"
                                "  eth_chainId: \"0x7a69\" = 31337\n"
                                "  eth_call isAppAllowed at latest: \"0x0000"));
    CHECK_THAT(text, Catch::Contains("\n      = not allowed, reason \"say \\\"no\\\"\"\n"));
    CHECK_THAT(text, Catch::EndsWith("  eth_call gatewayAppId at latest: reverted: error 3 "
                                     "\"execution reverted\"\n"));
}

TEST_CASE("answers that mean nothing are shown as that") {
    struct Row {
        std::string data;
        std::string result;
        std::string words;
    };
    const auto row = GENERATE(values<Row>({
        {"0xe067ec9d", "0x", "nothing: there is no contract"},
        {"0xe067ec9d", "zz", "not hexadecimal data"},
        {"0xe067ec9d", "0x01", "undecodable: the flag"},
        {"0x95f51931", "0x01", "undecodable: the offset"},
        {"0x25a992da", "0x01", "undecodable: an address"},
        {"0x95f51931", test::text_answer("gw"), "= \"gw\""},
    }));
    CHECK_THAT(to_text(seen_of({call_of(row.data)}, {row.result}), {}), Catch::Contains(row.words));
}

TEST_CASE("an exchange without answers") {
    ExchangeSeen seen;
    seen.endpoint = "http://one.example";
    seen.calls = {{.method = Method::block_header, .block = "safe"}};
    seen.fault = "cannot connect to http://one.example";
    CHECK(to_text(seen, {}) ==
          "http://one.example: cannot connect to http://one.example after 0.000 ms, on a new "
          "connection\n  eth_getBlockByNumber at safe\n");
    seen.fault.clear();
    seen.status = 200;
    seen.reused_connection = true;
    CHECK_THAT(to_text(seen, {}),
               Catch::Contains("on a kept connection\n  the body is not the answer"));
    seen.answer.kind = RpcAnswer::Kind::refused;
    seen.answer.error = {-32600, "no batches for KEY"};
    CHECK_THAT(to_text(seen, {"KEY"}),
               Catch::Contains("refused: error -32600 \"no batches for [redacted]\""));
}

TEST_CASE("long texts are shortened between characters, and control characters are escaped") {
    std::string reason;
    for (int i = 0; i < 400; ++i) reason += "é";
    const auto text = to_text(seen_of({{.method = Method::chain_id}}, {reason}), {});
    CHECK(runtime::is_utf8(text));
    CHECK_THAT(text, Catch::Contains("… (800 bytes)"));
    CHECK_THAT(to_text(seen_of({{.method = Method::chain_id}}, {std::string("\x1b[31m\n")}), {}),
               Catch::Contains("\"\\u001b[31m\\n\""));
}

TEST_CASE("a check as a table") {
    auth::EndpointCheck check;
    check.label = "http://one.example";
    CHECK_FALSE(check.good());
    check.steps.push_back({"chain id", "31337", 1500us, true, ""});
    CHECK(check.good());
    check.steps.push_back({"block latest", "timed out", 3s, false, "wait"});
    CHECK_FALSE(check.good());
    CHECK(auth::to_table({check}) ==
          "endpoint 1  http://one.example\n"
          "  ok    chain id      1.500 ms  31337\n"
          "  FAIL  block latest   3.000 s  timed out\n"
          "  block latest: wait\n");
}

TEST_CASE("there is advice for every failure, a different one for each") {
    std::vector<std::string> all;
    for (std::size_t kind = 0; kind < auth::kFailureKinds; ++kind)
        all.push_back(auth::advice_for({static_cast<FailureKind>(kind), 500}));
    for (const int status : {301, 401, 404})
        all.push_back(auth::advice_for({FailureKind::http_status, status}));
    std::sort(all.begin(), all.end());
    CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
    CHECK_FALSE(all.front().empty());
}
