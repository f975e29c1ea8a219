#include "kms/authorize/chain_facts.hpp"

#include <catch2/catch.hpp>

using namespace kms;
using namespace std::chrono_literals;

TEST_CASE("the webhook's info answer") {
    const auto facts = parse_chain_facts(
        R"({"status":"bad","kmsContractAddr":"a","gatewayAppId":"b","appImplementation":"c","chainId":18446744073709551615,"x":[]})");
    REQUIRE(facts.has_value());
    CHECK(facts->kms_contract_address == "a");
    CHECK(facts->gateway_app_id == "b");
    CHECK(facts->app_implementation == "c");
    CHECK(facts->chain_id == 18446744073709551615U);

    struct Row {
        std::string body, problem;
    };
    const auto row = GENERATE(values<Row>({
        {"", "not JSON"},
        {"<html>", "not JSON"},
        {"[]", "not a JSON object"},
        {"null", "not a JSON object"},
        {R"({"status":"error","message":"x"})", "'kmsContractAddr' is missing"},
        {R"({"kmsContractAddr":"a","gatewayAppId":"b","appImplementation":"c","chainId":1})",
         "'status' is missing"},
        {R"({"status":"ok","kmsContractAddr":"a","gatewayAppId":null,"appImplementation":"c","chainId":1})",
         "'gatewayAppId' is not a text"},
        {R"({"status":"ok","kmsContractAddr":"a","gatewayAppId":"b","appImplementation":"c","chainId":"1"})",
         "'chainId'"},
        {R"({"status":"ok","kmsContractAddr":"a","gatewayAppId":"b","appImplementation":"c","chainId":-1})",
         "'chainId'"},
        {R"({"status":"ok","kmsContractAddr":"a","gatewayAppId":"b","appImplementation":"c","chainId":1.5})",
         "'chainId'"},
        {R"({"status":"ok","kmsContractAddr":"a","gatewayAppId":"b","appImplementation":"c"})",
         "'chainId' is missing"},
    }));
    INFO(row.body);
    const auto refused = parse_chain_facts(row.body);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == runtime::ErrorCode::invalid_argument);
    CHECK_THAT(refused.error().context, Catch::Contains(row.problem));
}

TEST_CASE("what a GetMeta does about the facts") {
    const runtime::TimePoint now{1h};
    const FactsBounds bounds;  // fresh 200 ms, settled 1 s, wait 40 ms, overdue 5 ms, retry 20 ms
    struct Row {
        std::string name;
        std::optional<std::chrono::milliseconds> known_for, exchange_for, failed_for;
        bool start;
        std::chrono::milliseconds wait;
    };
    const auto none = std::optional<std::chrono::milliseconds>();
    const auto row = GENERATE_COPY(values<Row>({
        {"first call", none, none, none, true, 40ms},
        {"fresh", 199ms, none, none, false, 0ms},
        {"settled: refresh behind the answer", 200ms, none, none, true, 0ms},
        {"settled, exchange at work", 500ms, 300ms, none, false, 0ms},
        {"old: wait for the exchange", 1000ms, none, none, true, 40ms},
        {"old, exchange at work", 5000ms, 15ms, none, false, 25ms},
        {"old, exchange overdue", 5000ms, 300ms, none, false, 5ms},
        {"never known, exchange overdue", none, 40ms, none, false, 5ms},
        {"after a failure the facts are not settled", 300ms, none, 21ms, true, 40ms},
        {"right after a failure nobody asks again", 300ms, none, 19ms, false, 0ms},
        {"right after a failure, never known", none, none, 1ms, false, 0ms},
    }));
    INFO(row.name);
    FactsState state;
    if (row.known_for) state.known_since = now - *row.known_for;
    if (row.exchange_for) state.exchange_since = now - *row.exchange_for;
    if (row.failed_for) state.failed_at = now - *row.failed_for;
    const FactsPlan plan = plan_facts(state, now, bounds);
    CHECK(plan.start_exchange == row.start);
    CHECK(plan.wait_until - now == row.wait);
}
