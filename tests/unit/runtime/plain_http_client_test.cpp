// What is asked without libcurl: the same answers and the same faults.
#include "launcher/runtime/plain_http_client.hpp"

#include "tests/support/temporary_directory.hpp"
#include "tests/unit/runtime/http_client_fixture.hpp"

#include <cstdlib>

using namespace std::chrono_literals;
using runtime::HttpClientRequest;
using runtime::HttpFault;
using test::Script;
using test::ScriptedServer;

namespace {

HttpClientRequest request_to(const std::string& url, const std::string& socket = {}) {
    HttpClientRequest request;
    request.url = url;
    request.unix_socket = socket;
    return request;
}

using Fixture = test::PlainHttpClientFixture;

}  // namespace

TEST_CASE("what needs no libcurl") {
    struct Row {
        const char* url;
        const char* address;
        std::uint16_t port;
    };
    const Row plain[] = {
        {"http://127.0.0.1:8000/", "127.0.0.1", 8000}, {"http://10.0.0.1", "10.0.0.1", 80},
        {"http://10.0.0.1?x", "10.0.0.1", 80},         {"http://[::1]:9/a", "::1", 9},
        {"http://[fe80::1]/a", "fe80::1", 80},
    };
    for (const Row& row : plain) {
        INFO(row.url);
        const auto target = runtime::plain_target(request_to(row.url));
        REQUIRE(target.has_value());
        CHECK(target->address == row.address);
        CHECK(target->port == row.port);
    }
    for (const char* other :
         {"https://127.0.0.1/", "http://localhost/", "http://auth-api:8000",
          "http://u:p@127.0.0.1/", "http://127.1/", "http://127.0.0.1:0/",
          "http://127.0.0.1:70000/", "http://127.0.0.1:x/", "http://[::1", "http://[fe80::1%lo]/",
          "http://", "nonsense", "HTTP://127.0.0.1/", "http://127.0.0.1/a b", "http://127.0.0.1/\n",
          "http://127.0.0.1:8000\\@x/"}) {
        INFO(other);
        CHECK_FALSE(runtime::plain_target(request_to(other)).has_value());
    }
    CHECK(runtime::plain_target(request_to("http://any-name/x", "/run/agent.sock")).has_value());
    CHECK_FALSE(runtime::plain_target(request_to("http://x/", std::string(108, 's'))).has_value());
    HttpClientRequest broken = request_to("http://127.0.0.1/");
    broken.headers = {{"x", "a\r\nb: c"}};
    CHECK_FALSE(runtime::plain_target(broken).has_value());
    broken.headers = {{"x y", "a"}};
    CHECK_FALSE(runtime::plain_target(broken).has_value());
}

TEST_CASE("plain requests carry what was asked for and nothing else") {
    Fixture f;
    ScriptedServer server(f.io);
    HttpClientRequest request = request_to(server.url("/a/b?c=d#e"));
    request.headers = {{"accept", "*/*"}};
    CHECK(f.get(request).body == "ok");
    request.method = "POST";
    request.body = "null";
    request.url = server.url("");
    CHECK(f.get(request).ok());
    const std::string host = "Host: 127.0.0.1:" + std::to_string(server.port()) + "\r\n";
    CHECK(server.requests() ==
          std::vector<std::string>{
              "GET /a/b?c=d HTTP/1.1\r\n" + host + "accept: */*\r\n\r\n",
              "POST / HTTP/1.1\r\n" + host + "accept: */*\r\nContent-Length: 4\r\n\r\nnull"});
    CHECK(server.accepted() == 2);  // each on a connection of its own
}

TEST_CASE("plain exchanges that fail say how and where") {
    struct Row {
        const char* name;
        Script script;
        HttpFault fault;
        bool began;
    };
    const auto row = GENERATE(values<Row>({
        {"reset", Script::reset(), HttpFault::closed, false},
        {"closed without a word", Script::close(), HttpFault::closed, false},
        {"cut short", Script::truncated(), HttpFault::closed, true},
        {"no HTTP", Script::garbage(), HttpFault::malformed, true},
        {"too large", Script::huge(2 * 1024 * 1024), HttpFault::too_large, true},
    }));
    INFO(row.name);
    Fixture f;
    ScriptedServer server(f.io, row.script);
    const auto exchange = f.get(request_to(server.url()));
    CHECK(exchange.fault == row.fault);
    CHECK(exchange.request_sent);
    CHECK(exchange.answer_began == row.began);
    CHECK(exchange.status == 0);
    CHECK(exchange.body.empty());
    CHECK_THAT(exchange.fault_detail, Catch::Contains("http://127.0.0.1:"));
}

TEST_CASE("a plain exchange ends at its deadline, whatever it waits for") {
    struct Row {
        const char* name;
        Script script;
        const char* words;
    };
    const auto row = GENERATE(values<Row>({
        {"silent", Script::silent(), "the request was sent, but nothing came back"},
        {"head only", Script::head_then_silence(), "the body of the answer did not end"},
        {"a byte at a time", Script::byte_by_byte(), "the request was sent, but nothing came back"},
    }));
    INFO(row.name);
    Fixture f;
    ScriptedServer server(f.io, row.script);
    const auto watched = f.start(request_to(server.url()), 3s);
    REQUIRE(test::run_until(f.io, [&] { return server.requests().size() == 1; }));
    test::run_ready(f.io);
    REQUIRE_FALSE(watched->over());
    f.clock.advance(3s);
    REQUIRE(test::run_until(f.io, [&] { return watched->over(); }));
    CHECK(watched->result->fault == HttpFault::timed_out);
    CHECK_THAT(watched->result->fault_detail,
               Catch::Contains("within 3s") && Catch::Contains(row.words));
    REQUIRE(test::run_until(f.io, [&] { return server.open() == 0; }));
}

TEST_CASE("connecting has a limit of its own") {
    Fixture f;
    const test::FullListener listener;
    HttpClientRequest request = request_to(listener.url());
    request.connect_timeout = 500ms;
    const auto watched = f.start(request, 1h);
    test::run_ready(f.io);
    f.clock.advance(500ms);
    REQUIRE(test::run_until(f.io, [&] { return watched->over(); }));
    CHECK(watched->result->fault == HttpFault::timed_out);
    CHECK_FALSE(watched->result->request_sent);
    CHECK_THAT(watched->result->fault_detail,
               Catch::Contains("the connection was not established"));
}

TEST_CASE("nobody listens; too many at once; a caller that gives up") {
    Fixture f({.max_in_flight = 1, .user_agent = {}});
    ScriptedServer server(f.io, Script::silent());
    const auto first = f.start(request_to(server.url()), 1h);
    REQUIRE(test::run_until(f.io, [&] { return server.requests().size() == 1; }));
    CHECK(f.get(request_to(server.url())).fault == HttpFault::busy);
    first->cancel.emit(boost::asio::cancellation_type::terminal);
    REQUIRE(test::run_until(f.io, [&] { return first->over() && server.open() == 0; }));
    server.refuse();
    const auto refused = f.get(request_to(server.url()));
    CHECK(refused.fault == HttpFault::cannot_connect);
    CHECK_FALSE(refused.request_sent);
    const auto nowhere = f.get(request_to("http://x/", "/nowhere/agent.sock"));
    CHECK(nowhere.fault == HttpFault::cannot_connect);
    CHECK_THAT(nowhere.fault_detail, Catch::Contains("unix socket /nowhere/agent.sock"));
}

TEST_CASE("unix sockets, and what only libcurl can do") {
    Fixture f;
    const test_support::TemporaryDirectory folder;
    ScriptedServer local(f.io, folder / "agent.sock");
    CHECK(f.get(request_to("http://dstack/Info?json", folder / "agent.sock")).body == "ok");
    ScriptedServer server(f.io);
    const std::string by_name = "http://localhost:" + std::to_string(server.port()) + "/";
    CHECK(f.get(request_to(by_name)).body == "ok");
    // A proxy of the environment is libcurl's business, too.
    ScriptedServer proxy(f.io);
    ::setenv("http_proxy", proxy.url().c_str(), 1);
    HttpClientRequest request = request_to(server.url("/through"));
    request.use_proxy_from_environment = true;
    const auto exchange = f.get(request);
    ::unsetenv("http_proxy");
    CHECK(exchange.body == "ok");
    REQUIRE(proxy.requests().size() == 1);
    CHECK_THAT(proxy.requests()[0], Catch::StartsWith("GET http://127.0.0.1:"));
    f.client.reset();
}
