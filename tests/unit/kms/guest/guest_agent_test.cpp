#include "kms/guest/guest_agent.hpp"

#include "launcher/runtime/stream_exchange.hpp"
#include "tests/support/fake_http_client.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/mock_evidence.hpp"
#include "tests/support/scripted_server.hpp"
#include "tests/support/temporary_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/json/serialize.hpp>
#include <catch2/catch.hpp>

using namespace kms;
using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::ErrorCode;
using runtime::HttpFault;
using Reply = test::FakeHttpClient::Reply;

namespace {

struct Fixture {
    explicit Fixture(std::string address = "unix:/run/agent.sock")
        : agent(http, clock, {.address = std::move(address), .in_flight = 1}) {}

    runtime::Result<runtime::Bytes> attest(runtime::Duration limit = 60s) {
        return test::run(io, agent.attest(kReport, Deadline::after(clock.now(), limit)));
    }
    runtime::Result<std::string> vm_config() {
        return test::run(io, agent.vm_config(Deadline::after(clock.now(), 60s)));
    }

    static constexpr std::array<std::uint8_t, 64> kReport{0xAB};
    boost::asio::io_context io;
    test::ManualClock clock;
    test::FakeHttpClient http{clock};
    GuestAgent agent;
};

runtime::Task<void> ask(GuestAgent& agent, test::ManualClock& clock) {
    const auto answer = co_await agent.vm_config(Deadline::after(clock.now(), 60s));
    CHECK_FALSE(answer.has_value());
}

}  // namespace

TEST_CASE("addresses of the guest agent") {
    struct Row {
        std::string address, base_url, socket;
        std::uint32_t cid = 0, port = 0;
    };
    const std::vector<Row> good = {
        {"unix:/var/run/dstack.sock", "http://dstack", "/var/run/dstack.sock"},
        {"http://127.0.0.1:90/", "http://127.0.0.1:90", ""},
        {"https://h/a//", "https://h/a", ""},
        {"vsock://2:8080", "http://2:8080", "", 2, 8080},
        {"vsock://4294967295:1/guest/", "http://4294967295:1/guest", "", 4294967295U, 1},
    };
    for (const Row& row : good) {
        INFO(row.address);
        const auto target = guest_agent_target(row.address);
        REQUIRE(target.has_value());
        CHECK(target->base_url == row.base_url);
        CHECK(target->unix_socket == row.socket);
        CHECK(target->vsock_cid == row.cid);
        CHECK(target->vsock_port == row.port);
    }
    for (const char* bad : {"", "unix:", "/var/run/dstack.sock", "ftp://x", "vsock://2",
                            "vsock://2:", "vsock://a:1", "vsock://2:0", "vsock://2:99999999999"}) {
        INFO(bad);
        const auto target = guest_agent_target(bad);
        REQUIRE_FALSE(target.has_value());
        CHECK_THAT(target.error().context, Catch::Contains("DSTACK_AGENT_ADDRESS"));
    }
}

TEST_CASE("the first socket that exists is the default") {
    const auto only = [](std::string path) {
        return [path](const std::string& asked) { return asked == path; };
    };
    CHECK(default_guest_agent_address(only("/var/run/dstack.sock")) == "unix:/var/run/dstack.sock");
    CHECK(default_guest_agent_address(only("/var/run/dstack/dstack.sock")) ==
          "unix:/var/run/dstack/dstack.sock");
    CHECK(default_guest_agent_address(only("")) == "unix:/var/run/dstack/dstack.sock");
}

TEST_CASE("questions have the protocol's form") {
    Fixture f;
    f.http.add(Reply::ok(R"({"attestation":"00ff","other":1})"));
    const auto bytes = f.attest();
    REQUIRE(bytes.has_value());
    CHECK(*bytes == runtime::Bytes{0x00, 0xFF});
    f.http.add(Reply::ok(R"({"vm_config":"{\"a\":1}"})"));
    const auto config = f.vm_config();
    REQUIRE(config.has_value());
    CHECK(*config == "{\"a\":1}");
    f.http.add(Reply::ok("{}"));
    CHECK(f.vm_config().value() == "");

    REQUIRE(f.http.asked().size() == 3);
    const auto& attest = f.http.asked()[0];
    CHECK(attest.request.method == "POST");
    CHECK(attest.request.url == "http://dstack/Attest?json");
    CHECK(attest.request.unix_socket == "/run/agent.sock");
    CHECK(attest.request.headers.empty());
    CHECK(attest.request.body == R"({"report_data":"ab)" + std::string(126, '0') + "\"}");
    CHECK(attest.deadline == Deadline::after(f.clock.now(), 10s));
    CHECK(f.http.asked()[1].request.url == "http://dstack/Info?json");
    CHECK(f.http.asked()[1].request.body == "null");
}

TEST_CASE("whatever the agent does, the answer is in time and says what happened") {
    struct Row {
        Reply reply;
        ErrorCode code;
        const char* words;
    };
    const Row rows[] = {
        {Reply::hang(), ErrorCode::deadline_exceeded, "timed out"},
        {Reply::fault(HttpFault::cannot_connect), ErrorCode::unavailable, "cannot connect"},
        {Reply::fault(HttpFault::too_large), ErrorCode::unavailable, "too large"},
        {Reply::fault(HttpFault::busy), ErrorCode::resource_exhausted, "busy"},
        {Reply::ok("{}", 500), ErrorCode::unavailable, "answered Attest with 500"},
        {Reply::ok("{}", 204), ErrorCode::unavailable, "answered Attest with 204"},
        {Reply::ok(""), ErrorCode::invalid_argument, "not a JSON object"},
        {Reply::ok("[]"), ErrorCode::invalid_argument, "not a JSON object"},
        {Reply::ok("{}"), ErrorCode::invalid_argument, "it is empty"},
        {Reply::ok(R"({"attestation":1})"), ErrorCode::invalid_argument, "not a text"},
        {Reply::ok(R"({"attestation":"0"})"), ErrorCode::invalid_argument, "Odd number"},
        {Reply::ok(R"({"attestation":"zz"})"), ErrorCode::invalid_argument, "Invalid character"},
    };
    for (const Row& row : rows) {
        INFO(row.words);
        Fixture f;
        f.http.add(row.reply);
        runtime::Result<runtime::Bytes> answer;
        boost::asio::co_spawn(f.io,
                              f.agent.attest(Fixture::kReport, Deadline::after(f.clock.now(), 60s)),
                              [&](std::exception_ptr, runtime::Result<runtime::Bytes> got) {
                                  answer = std::move(got);
                              });
        test::run_ready(f.io);
        f.clock.advance(10s);
        test::run_ready(f.io);
        REQUIRE_FALSE(answer.has_value());
        CHECK(answer.error().code == row.code);
        CHECK_THAT(answer.error().context,
                   Catch::Contains(row.words) && Catch::Contains("unix:/run/agent.sock"));
    }
}

TEST_CASE("a silent agent costs its own caller only, and few callers at a time") {
    Fixture f;
    f.http.add(Reply::hang());
    boost::asio::co_spawn(f.io, ask(f.agent, f.clock), boost::asio::detached);
    test::run_ready(f.io);
    CHECK(f.http.in_flight() == 1);
    const auto second = f.vm_config();
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().code == ErrorCode::resource_exhausted);
    f.clock.advance(10s);
    test::run_ready(f.io);
    CHECK(f.http.in_flight() == 0);
    f.http.add(Reply::ok(R"({"vm_config":"x"})"));
    CHECK(f.vm_config().value() == "x");
}

TEST_CASE("an agent that knows no Attest is asked for a quote, of which an attestation is made") {
    const Attestation recorded = test_support::mock_evidence(Fixture::kReport);
    const auto& tdx = std::get<TdxEvidence>(recorded.platform);
    const std::string log = to_json(tdx.event_log);
    for (const unsigned status : {400U, 404U}) {
        INFO(status);
        Fixture f;
        f.http.add(Reply::ok("{}", status));
        f.http.add(Reply::ok(boost::json::serialize(boost::json::object{
            {"quote", runtime::to_hex(tdx.quote)}, {"event_log", log}, {"vm_config", "{}"}})));
        const auto bytes = f.attest();
        if (!bytes) FAIL(bytes.error().context);
        const auto made = decode_attestation(*bytes);
        REQUIRE(made.has_value());
        CHECK(made->platform == recorded.platform);
        CHECK(made->runtime_events == recorded.runtime_events);
        CHECK(made->report_data ==
              runtime::Bytes(Fixture::kReport.begin(), Fixture::kReport.end()));
        CHECK(made->config == "{}");
        REQUIRE(f.http.asked().size() == 2);
        CHECK(f.http.asked()[1].request.url == "http://dstack/GetQuote?json");
        CHECK(f.http.asked()[1].request.body == f.http.asked()[0].request.body);
    }
}

TEST_CASE("an agent that gives neither is told with both answers") {
    const std::string quote = R"({"quote":"0400","event_log":"[]"})";
    for (const auto& [second, words] :
         {std::pair{Reply::ok("{}", 404), "answered GetQuote with 404"},
          std::pair{Reply::ok("{}"), "Failed to parse tdx_event_log"},
          std::pair{Reply::ok(quote), "Invalid TDX quote"},
          std::pair{Reply::ok(R"({"quote":"0400","event_log":1})"), "not a text"},
          std::pair{Reply::fault(HttpFault::cannot_connect), "cannot connect"}}) {
        INFO(words);
        Fixture f;
        f.http.add(Reply::ok("{}", 404));
        f.http.add(second);
        const auto answer = f.attest();
        REQUIRE_FALSE(answer.has_value());
        CHECK_THAT(answer.error().context,
                   Catch::Contains("answered Attest with 404") && Catch::Contains(words));
    }
}

TEST_CASE("an address of no known form is an error of each call") {
    Fixture f("nonsense");
    const auto answer = f.attest();
    REQUIRE_FALSE(answer.has_value());
    CHECK_THAT(answer.error().context, Catch::Contains("'nonsense'"));
    CHECK(f.http.asked().empty());
}
