#include "auth/chain/exchange_outcome.hpp"

#include <catch2/catch.hpp>

using auth::judge;
using runtime::HttpExchange;
using runtime::HttpFault;
using std::chrono::seconds;

namespace {

HttpExchange answered(unsigned status, std::string retry_after = "") {
    HttpExchange exchange;
    exchange.status = status;
    exchange.request_sent = true;
    if (!retry_after.empty()) exchange.headers.emplace_back("retry-after", std::move(retry_after));
    return exchange;
}

}  // namespace

TEST_CASE("only a 2xx has a body to read") {
    CHECK_FALSE(judge(answered(200)).has_value());
    CHECK_FALSE(judge(answered(204)).has_value());
    CHECK(judge(answered(199)).has_value());
    CHECK(judge(answered(304)).has_value());
}

TEST_CASE("statuses") {
    struct Row {
        HttpExchange exchange;
        std::string category;
        std::optional<seconds> retry_after;
        bool refused_request;
    };
    const std::vector<Row> table = {
        {answered(301), "HTTP 301", {}, false},
        {answered(400), "HTTP 400", {}, true},
        {answered(401), "HTTP 401", {}, false},
        {answered(403), "HTTP 403", {}, true},
        {answered(404), "HTTP 404", {}, false},
        {answered(413), "HTTP 413", {}, true},
        {answered(429), "rate limited", {}, false},
        {answered(429, "2"), "rate limited", seconds(2), false},
        {answered(429, "0"), "rate limited", seconds(0), false},
        {answered(429, "86400"), "rate limited", seconds(86400), false},
        {answered(429, "-1"), "rate limited", {}, false},
        {answered(429, "2.5"), "rate limited", {}, false},
        {answered(429, "99999999999"), "rate limited", {}, false},
        {answered(429, "Wed, 21 Oct 2026 07:28:00 GMT"), "rate limited", {}, false},
        {answered(500), "HTTP 500", {}, false},
        {answered(501), "HTTP 501", {}, true},
        {answered(502), "HTTP 502", seconds(0), false},
        {answered(503), "HTTP 503", seconds(0), false},
        {answered(504), "HTTP 504", seconds(0), false},
        {answered(505), "HTTP 505", {}, false},
    };
    for (const auto& row : table) {
        INFO(row.exchange.status << " " << row.exchange.header("retry-after"));
        const auto fault = judge(row.exchange);
        REQUIRE(fault.has_value());
        CHECK(to_string(fault->failure) == row.category);
        CHECK(fault->retry_after == row.retry_after);
        CHECK(fault->refused_request == row.refused_request);
    }
}

TEST_CASE("faults, and which of them may be tried once more") {
    struct Row {
        HttpFault fault;
        bool sent;
        bool reused;
        bool answer_began;
        std::string category;
        bool again;
    };
    const auto row = GENERATE(values<Row>({
        {HttpFault::bad_url, false, false, false, "cannot resolve", false},
        {HttpFault::cannot_resolve, false, false, false, "cannot resolve", false},
        {HttpFault::cannot_connect, false, false, false, "cannot connect", true},
        {HttpFault::cannot_connect, true, false, false, "cannot connect", false},
        {HttpFault::timed_out, false, false, false, "timed out", false},
        {HttpFault::timed_out, true, true, true, "timed out", false},
        {HttpFault::closed, true, false, false, "cannot connect", false},
        {HttpFault::closed, true, true, false, "cannot connect", true},
        {HttpFault::closed, true, false, true, "not JSON-RPC", false},
        {HttpFault::malformed, true, false, true, "not JSON-RPC", false},
        {HttpFault::too_large, true, false, true, "not JSON-RPC", false},
        {HttpFault::busy, false, false, false, "busy", false},
        {HttpFault::internal, false, false, false, "cannot connect", false},
    }));
    HttpExchange exchange;
    exchange.fault = row.fault;
    exchange.request_sent = row.sent;
    exchange.reused_connection = row.reused;
    exchange.answer_began = row.answer_began;
    INFO(to_string(row.fault) << " " << row.category);
    const auto fault = judge(exchange);
    REQUIRE(fault.has_value());
    CHECK(to_string(fault->failure) == row.category);
    CHECK(fault->retry_after.has_value() == row.again);
    CHECK_FALSE(fault->refused_request);
}
