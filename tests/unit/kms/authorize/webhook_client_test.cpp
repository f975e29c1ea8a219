#include "kms/authorize/webhook_client.hpp"

#include "tests/support/fake_http_client.hpp"
#include "tests/support/manual_clock.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <catch2/catch.hpp>

using namespace kms;
using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::ErrorCode;
using runtime::HttpFault;
using Reply = test::FakeHttpClient::Reply;

namespace {

constexpr const char* kFacts =
    R"({"status":"ok","kmsContractAddr":"0xc","gatewayAppId":"0xg","appImplementation":"0xi","chainId":31337})";

struct Fixture {
    explicit Fixture(std::string url = "http://user:secret@auth:9200/base")
        : webhook(http, clock, {.url = std::move(url), .decisions_in_flight = 2}) {}

    runtime::Result<ChainFacts> info(std::chrono::seconds limit = 60s) {
        return test::run(io, webhook.info(Deadline::after(clock.now(), limit)));
    }
    runtime::Result<BootDecision> decide(BootKind kind) {
        return test::run(io, webhook.decide(kind, BootInfo{}, Deadline::after(clock.now(), 60s)));
    }

    boost::asio::io_context io;
    test::ManualClock clock;
    test::FakeHttpClient http{clock};
    WebhookClient webhook;
};

runtime::Task<void> decide_into(WebhookClient& webhook, test::ManualClock& clock,
                                std::shared_ptr<runtime::Result<BootDecision>> into) {
    const BootInfo
        info;  // a named one: GCC 12 destroys a braced temporary inside of co_await twice
    *into = co_await webhook.decide(BootKind::app, info, Deadline::after(clock.now(), 60s));
}

}  // namespace

TEST_CASE("the facts are asked for at the URL as it is configured") {
    Fixture f;
    f.http.add(Reply::ok(kFacts));
    const auto facts = f.info();
    REQUIRE(facts.has_value());
    CHECK(facts->chain_id == 31337);
    const auto& asked = f.http.asked().at(0);
    CHECK(asked.request.method == "GET");
    CHECK(asked.request.url == "http://user:secret@auth:9200/base");
    CHECK(asked.deadline ==
          Deadline::after(f.clock.now(), 4s));  // its own limit, below the caller's
}

TEST_CASE("a caller's deadline only shortens the exchange") {
    Fixture f;
    f.http.add(Reply::ok(kFacts));
    const auto facts = f.info(1s);
    REQUIRE(facts.has_value());
    CHECK(f.http.asked().at(0).deadline == Deadline::after(f.clock.now(), 1s));
}

TEST_CASE("complete facts count whatever the status, as with the original") {
    Fixture f;
    f.http.add(Reply::ok(kFacts, 500));
    const auto facts = f.info();
    CHECK(facts.has_value());
}

TEST_CASE("answers without facts") {
    struct Row {
        Reply reply;
        ErrorCode code;
        std::string text;
    };
    const auto row = GENERATE(values<Row>({
        {Reply::ok("<html>"), ErrorCode::invalid_argument,
         "answered 200 without the expected facts"},
        {Reply::ok(R"({"status":"error"})", 500), ErrorCode::invalid_argument, "answered 500"},
        {Reply::fault(HttpFault::cannot_connect), ErrorCode::unavailable, "no answer"},
        {Reply::fault(HttpFault::timed_out), ErrorCode::deadline_exceeded, "no answer"},
        {Reply::fault(HttpFault::too_large), ErrorCode::unavailable, "no answer"},
        {Reply::fault(HttpFault::busy), ErrorCode::resource_exhausted, "no answer"},
    }));
    Fixture f;
    f.http.add(row.reply);
    const auto facts = f.info();
    REQUIRE_FALSE(facts.has_value());
    CHECK(facts.error().code == row.code);
    CHECK_THAT(facts.error().context,
               Catch::Contains(row.text) && Catch::Contains("http://auth:9200"));
    CHECK(facts.error().context.find("secret") == std::string::npos);
    CHECK(facts.error().context.find("/base") == std::string::npos);
}

TEST_CASE("a decision is asked for on a connection of its own") {
    Fixture f;
    f.http.handle([](const auto&) {
        return Reply::ok(R"({"isAllowed":true,"gatewayAppId":"g","reason":""})");
    });
    const auto app = f.decide(BootKind::app);
    REQUIRE(app.has_value());
    CHECK(app->allowed);
    const auto kms = f.decide(BootKind::kms);
    REQUIRE(kms.has_value());
    REQUIRE(f.http.asked().size() == 2);  // never cached
    const auto& request = f.http.asked()[0].request;
    CHECK(request.method == "POST");
    CHECK(request.url == "http://user:secret@auth:9200/base/bootAuth/app");
    CHECK(request.new_connection);
    CHECK(request.body.starts_with(R"({"attestationMode":)"));
    CHECK(f.http.asked()[1].request.url.ends_with("/base/bootAuth/kms"));
    CHECK(f.http.asked()[0].deadline == Deadline::after(f.clock.now(), 10s));
}

TEST_CASE("a slash at the end of the URL is not doubled") {
    Fixture f("http://auth:9200/");
    f.http.add(Reply::ok(R"({"isAllowed":false,"gatewayAppId":"","reason":"no"})"));
    const auto decision = f.decide(BootKind::app);
    REQUIRE(decision.has_value());
    CHECK_FALSE(decision->allowed);
    CHECK(f.http.asked().at(0).request.url == "http://auth:9200/bootAuth/app");
}

TEST_CASE("whatever is no decision allows nothing") {
    struct Row {
        Reply reply;
        std::string text;
    };
    // 171 characters of three bytes: a cut at byte 512 would split one.
    std::string wide;
    for (int i = 0; i < 300; ++i) wide += "\xE2\x82\xAC";
    const auto row = GENERATE_COPY(values<Row>({
        {Reply::ok("{}"), "gave no decision"},
        {Reply::ok(R"({"isAllowed":true,"gatewayAppId":"g","reason":""})", 500),
         "Failed to check boot auth: {\"isAllowed\""},
        {Reply::ok(wide, 502), "Failed to check boot auth: " + wide.substr(0, 510)},
        {Reply::fault(HttpFault::timed_out), "no answer"},
    }));
    Fixture f;
    f.http.add(row.reply);
    const auto decision = f.decide(BootKind::app);
    REQUIRE_FALSE(decision.has_value());
    CHECK_THAT(decision.error().context, Catch::Contains(row.text));
    CHECK(decision.error().context.size() < 700);
}

TEST_CASE("decisions beyond the bound are refused at once, and the bound is given back") {
    Fixture f;
    f.http.add(Reply::hang());
    f.http.add(Reply::hang());
    std::vector<std::shared_ptr<runtime::Result<BootDecision>>> results;
    for (int i = 0; i < 3; ++i) {
        results.push_back(std::make_shared<runtime::Result<BootDecision>>());
        boost::asio::co_spawn(f.io, decide_into(f.webhook, f.clock, results.back()),
                              boost::asio::detached);
    }
    test::run_ready(f.io);
    CHECK(results[2]->error().code == ErrorCode::resource_exhausted);
    f.clock.advance(10s);
    test::run_ready(f.io);
    CHECK(results[0]->error().code == ErrorCode::deadline_exceeded);
    CHECK(results[1]->error().code == ErrorCode::deadline_exceeded);
    f.http.add(Reply::ok(R"({"isAllowed":true,"gatewayAppId":"g","reason":""})"));
    const auto decision = f.decide(BootKind::app);
    CHECK(decision.has_value());
}
