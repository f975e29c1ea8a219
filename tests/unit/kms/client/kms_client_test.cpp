#include "kms/client/kms_client.hpp"

#include "launcher/runtime/stream_exchange.hpp"
#include "tests/support/fake_http_client.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/scripted_server.hpp"
#include "tests/support/temporary_directory.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <catch2/catch.hpp>

using namespace kms;
using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::HttpFault;
using test::Script;
using test::ScriptedServer;

namespace {

const test::TestIdentity& localhost() {
    static const test::TestIdentity identity = test::make_identity("localhost");
    return identity;
}

struct Fixture {
    tl::expected<std::string, RpcError> call(KmsClientOptions options,
                                             KmsClient::Validator validator = {}) {
        KmsClient client(http, clock, std::move(options), std::move(validator));
        return test::run(io, client.call("GetMeta", "null", Deadline::after(clock.now(), 60s)));
    }
    KmsClientOptions to(const ScriptedServer& server, const std::string& host = "localhost") const {
        KmsClientOptions options;
        options.base_url = prpc_url("https://" + host + ":" + std::to_string(server.port()));
        return options;
    }
    boost::asio::io_context io;
    test::ManualClock clock;
    runtime::CurlHttpClient http{io.get_executor(), clock, {.user_agent = {}}};
};

runtime::Task<tl::expected<void, RpcError>> note(std::optional<std::string>* seen, bool refuse,
                                                 std::optional<crypto::LeafCertificate> leaf) {
    *seen = leaf ? runtime::to_hex(leaf->spki()) : "none";
    if (refuse) co_return tl::make_unexpected(RpcError("not this one"));
    co_return tl::expected<void, RpcError>();
}

KmsClient::Validator noting(std::optional<std::string>& seen, bool refuse) {
    return [&seen, refuse](std::optional<crypto::LeafCertificate> leaf, Deadline) {
        return note(&seen, refuse, std::move(leaf));
    };
}

runtime::HttpExchange exchange(boost::asio::io_context& io, test::ManualClock& clock,
                               const std::string& path, runtime::HttpClientRequest request) {
    return test::run(io, stream_exchange(clock, boost::asio::local::stream_protocol::endpoint(path),
                                         std::move(request), Deadline::after(clock.now(), 5s)));
}

}  // namespace

TEST_CASE("where the methods of a source are") {
    CHECK(prpc_url("https://h:1") == "https://h:1/prpc");
    CHECK(prpc_url("https://h:1//") == "https://h:1/prpc");
    CHECK(prpc_url("https://h:1/prpc") == "https://h:1/prpc");
    CHECK(prpc_url("https://h:1/prpc/") == "https://h:1/prpc");
    CHECK(prpc_url("https://h/kms") == "https://h/kms/prpc");
}

TEST_CASE("a call has the protocol's form, and its answer is the body") {
    Fixture f;
    ScriptedServer server(f.io, Script::ok("{\"a\":1}").over_tls(localhost()));
    auto options = f.to(server);
    options.trust.root_pem = localhost().certificate_pem;
    const auto answer = f.call(options);
    if (!answer) FAIL(answer.error().text());
    CHECK(*answer == "{\"a\":1}");
    REQUIRE(server.requests().size() == 1);
    const std::string& request = server.requests()[0];
    CHECK_THAT(request, Catch::StartsWith("POST /prpc/GetMeta?json HTTP/1.1\r\n"));
    CHECK_THAT(request, Catch::EndsWith("\r\n\r\nnull"));
    CHECK_THAT(request, !Catch::Contains("ontent-Type"));
    CHECK_THAT(request, !Catch::Contains("User-Agent"));
}

TEST_CASE("the server is known by its chain, by its name, or not at all, as asked") {
    struct Row {
        const char* name;
        bool chain, check_name, own_root;
        std::string host;
        bool taken;
    };
    const std::vector<Row> rows = {
        {"chain and name", true, true, true, "localhost", true},
        {"another root", true, true, false, "localhost", false},
        {"another name", true, true, true, "127.0.0.1", false},
        {"the chain only", true, false, true, "127.0.0.1", true},
        {"the chain only, another root", true, false, false, "127.0.0.1", false},
        {"nothing", false, false, false, "127.0.0.1", true},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        Fixture f;
        ScriptedServer server(f.io, Script::ok("x").over_tls(localhost()));
        auto options = f.to(server, row.host);
        options.trust = {row.chain, row.check_name, ""};
        static const test::TestIdentity other = test::make_identity("other");
        options.trust.root_pem = row.own_root ? localhost().certificate_pem : other.certificate_pem;
        CHECK(f.call(options).has_value() == row.taken);
    }
}

TEST_CASE("a client certificate is presented") {
    Fixture f;
    Script script = Script::ok("x").over_tls(localhost());
    script.ask_for_certificate = true;
    ScriptedServer server(f.io, script);
    auto options = f.to(server);
    options.trust.check_chain = false;
    static const test::TestIdentity client = test::make_identity("joiner");
    options.client_certificate_pem = client.certificate_pem;
    options.client_key_pem = client.key_pem;
    CHECK(f.call(options).has_value());
    CHECK(server.client_names() == std::vector<std::string>{"joiner"});
}

TEST_CASE("the validator sees the server's certificate before the answer is used") {
    Fixture f;
    ScriptedServer server(f.io, Script::status(500, "boom").over_tls(localhost()));
    auto options = f.to(server);
    options.trust.check_chain = false;
    std::optional<std::string> seen;
    const auto refused = f.call(options, noting(seen, true));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().text() ==
          "Failed to validate attestation\n\nCaused by:\n    not this one");
    REQUIRE(seen.has_value());
    CHECK_THAT(*seen, Catch::StartsWith("3059301306072a8648ce3d0201"));
    const auto failed = f.call(options, noting(seen, false));
    REQUIRE_FALSE(failed.has_value());
    CHECK(failed.error().text() ==
          "Request failed with status=500 Internal Server Error, error=boom");

    ScriptedServer plain(f.io, Script::ok("x"));
    auto without_tls = options;
    without_tls.base_url = "http://127.0.0.1:" + std::to_string(plain.port()) + "/prpc";
    CHECK(f.call(without_tls, noting(seen, false)).has_value());
    CHECK(seen == "none");
}

TEST_CASE("an exchange over another kind of socket") {
    boost::asio::io_context io;
    test::ManualClock clock;
    test_support::TemporaryDirectory folder;
    const std::string path = folder / "agent.sock";
    ScriptedServer server(io, path, Script::ok("{\"a\":1}"));
    runtime::HttpClientRequest request;
    request.method = "POST";
    request.url = "http://2:8080/guest/Info?json";
    request.body = "null";
    const auto good = exchange(io, clock, path, request);
    CHECK(good.ok());
    CHECK(good.status == 200);
    CHECK(good.body == "{\"a\":1}");
    REQUIRE(server.requests().size() == 1);
    CHECK_THAT(
        server.requests()[0],
        Catch::StartsWith("POST /guest/Info?json HTTP/1.1\r\nHost: 2:8080\r\nContent-Length: "
                          "4\r\n\r\n"));

    struct Row {
        Script script;
        HttpFault fault;
    };
    const Row rows[] = {
        {Script::close(), HttpFault::closed},          {Script::reset(), HttpFault::closed},
        {Script::truncated(), HttpFault::closed},      {Script::garbage(), HttpFault::malformed},
        {Script::huge(100'000), HttpFault::too_large},
    };
    request.max_response_bytes = 10'000;
    for (const Row& row : rows) {
        server.behave(row.script);
        CHECK(exchange(io, clock, path, request).fault == row.fault);
    }
    CHECK(exchange(io, clock, folder / "nobody.sock", request).fault == HttpFault::cannot_connect);

    server.behave(Script::silent());
    std::optional<runtime::HttpExchange> late;
    boost::asio::co_spawn(
        io,
        stream_exchange(clock, boost::asio::local::stream_protocol::endpoint(path), request,
                        Deadline::after(clock.now(), 5s)),
        [&](std::exception_ptr, runtime::HttpExchange got) { late = std::move(got); });
    const auto limit = std::chrono::steady_clock::now() + 10s;
    const std::size_t asked = server.requests().size();
    io.restart();
    while (server.requests().size() == asked && io.run_one_until(limit) != 0) {
    }
    CHECK_FALSE(late.has_value());
    clock.advance(5s);
    io.restart();
    while (!late && io.run_one_until(limit) != 0) {
    }
    REQUIRE(late.has_value());
    CHECK(late->fault == HttpFault::timed_out);
}
