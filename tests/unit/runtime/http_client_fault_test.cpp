// What goes wrong, what it is called, and that it costs nobody else anything.
#include "launcher/runtime/with_deadline.hpp"
#include "tests/unit/runtime/http_client_fixture.hpp"

#include <sys/resource.h>
#include <unistd.h>

using namespace std::chrono_literals;
using runtime::HttpClientRequest;
using runtime::HttpExchange;
using runtime::HttpFault;
using test::HttpClientFixture;
using test::Script;
using test::ScriptedServer;

namespace {

HttpClientRequest request_to(const std::string& url) {
    HttpClientRequest request;
    request.url = url;
    return request;
}

Script raw(std::string answer, Script::End end = Script::End::keep) {
    Script script;
    script.answer = std::move(answer);
    script.end = end;
    return script;
}

std::string secret_url(const ScriptedServer& server) {
    return "http://who:secret-user@127.0.0.1:" + std::to_string(server.port()) +
           "/secret-path?key=secret-query";
}

/// No descriptor can be opened while this lives.
class NoDescriptors {
  public:
    NoDescriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int next = ::dup(0);
        ::close(next);
        rlimit now = before_;
        now.rlim_cur = static_cast<rlim_t>(next);
        ::setrlimit(RLIMIT_NOFILE, &now);
    }
    ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    NoDescriptors(const NoDescriptors&) = delete;
    NoDescriptors& operator=(const NoDescriptors&) = delete;

  private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("every way to give no answer has its fault, at once and without secrets") {
    const std::string head = "HTTP/1.1 200 OK\r\n";
    struct Row {
        const char* name;
        Script script;
        HttpFault fault;
        const char* words;  // after "http://127.0.0.1:PORT"
    };
    const auto row = GENERATE_REF(values<Row>({
        {"closed before an answer", Script::close(), HttpFault::closed,
         " closed the connection without an answer"},
        {"reset before an answer", Script::reset(), HttpFault::closed,
         " reset the connection without an answer"},
        {"closed within the head", raw("HTTP/1.1 200 OK\r\nContent-", Script::End::close),
         HttpFault::closed, " closed the connection within the head of its answer"},
        {"closed within the body", Script::truncated(), HttpFault::closed,
         " closed the connection before its answer was complete"},
        {"reset within the body", raw(head + "Content-Length: 9\r\n\r\n123", Script::End::reset),
         HttpFault::closed, " reset the connection before its answer was complete"},
        {"closed within a chunk",
         raw(head + "Transfer-Encoding: chunked\r\n\r\n9\r\n123", Script::End::close),
         HttpFault::closed, " closed the connection before its answer was complete"},
        {"another protocol", Script::garbage(), HttpFault::malformed,
         " answered with something that is not HTTP"},
        {"zeros", raw(std::string(100, '\0'), Script::End::close), HttpFault::malformed,
         " answered with something that is not HTTP"},
        {"a broken status line", raw("HTTP/1.1 abc\r\n\r\n", Script::End::close),
         HttpFault::malformed, " answered with something that is not HTTP"},
        {"broken chunks", raw(head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n"),
         HttpFault::malformed, " sent a body with broken chunks"},
        {"a length that is no number", raw(head + "Content-Length: many\r\n\r\nok"),
         HttpFault::malformed, " answered with something that is not HTTP"},
        {"a body beyond the bound, announced", Script::huge(2000), HttpFault::too_large,
         " sent an answer that is too large"},
        {"a body beyond the bound, not announced", raw(head + "\r\n" + std::string(2000, 'x')),
         HttpFault::too_large, " sent an answer that is too large"},
        {"a head of many lines",
         raw(head +
             [] {
                 std::string lines;
                 for (int i = 0; i < 700; ++i)
                     lines += "X-Line-" + std::to_string(i) + ": " + std::string(100, 'x') + "\r\n";
                 return lines;
             }()),
         HttpFault::too_large, " sent a head that is too large"},
        {"a head of one endless line", raw(head + "X: " + std::string(200'000, 'x')),
         HttpFault::too_large, " sent a head that is too large"},
    }));
    INFO(row.name);
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, row.script);
    auto request = request_to(secret_url(server));
    request.max_response_bytes = 1000;
    const auto exchange = fixture.get(request);
    CHECK(to_string(exchange.fault) == to_string(row.fault));
    CHECK(exchange.fault_detail == "http://127.0.0.1:" + std::to_string(server.port()) + row.words);
    CHECK(exchange.request_sent);
    // Half an answer is none.
    CHECK(exchange.status == 0);
    CHECK(exchange.headers.empty());
    CHECK(exchange.body.empty());

    // The connection is not used again, and the next request is none the worse.
    server.behave(Script::ok("better"));
    const auto next = fixture.get(server.url());
    CHECK(next.body == "better");
    CHECK_FALSE(next.reused_connection);
}

TEST_CASE("an answer of exactly the bound is fine") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::huge(1000));
    auto request = request_to(server.url());
    request.max_response_bytes = 1000;
    CHECK(fixture.get(request).body.size() == 1000);
    request.max_response_bytes = 0;
    CHECK(fixture.get(request).fault == HttpFault::too_large);
    server.behave(Script::huge(0));
    CHECK(fixture.get(request).ok());
}

TEST_CASE("a refused connection is told, and the first request after it works") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    server.refuse();
    const auto refused = fixture.get(secret_url(server));
    CHECK(refused.fault == HttpFault::cannot_connect);
    CHECK(refused.fault_detail ==
          "cannot connect to http://127.0.0.1:" + std::to_string(server.port()) +
              ": Connection refused; check that the service runs and listens there");
    CHECK_FALSE(refused.request_sent);
    server.listen();
    CHECK(fixture.get(server.url()).ok());
}

TEST_CASE("bad URLs are told without showing them") {
    const auto url =
        GENERATE("", "127.0.0.1:1", "ftp://127.0.0.1/secret", "file:///etc/passwd", "http://",
                 "http:///secret", "http://who:secret@/", "http://127.0.0.1:99999/secret",
                 "http://a b/secret", "http://who:secret@[::1/", "https:secret");
    INFO(url);
    HttpClientFixture fixture;
    const auto exchange = fixture.get(url);
    CHECK(exchange.fault == HttpFault::bad_url);
    CHECK(exchange.fault_detail.find("secret") == std::string::npos);
    CHECK_FALSE(exchange.fault_detail.empty());
    CHECK_FALSE(exchange.request_sent);
}

TEST_CASE("lack of descriptors is our own fault, not the peer's") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    test::run_ready(fixture.io);  // the server waits for connections from here on
    HttpExchange exchange;
    {
        const NoDescriptors none;
        exchange = fixture.get(server.url());
    }
    CHECK(exchange.fault == HttpFault::internal);
    CHECK(exchange.fault_detail == "cannot make a socket for http://127.0.0.1:" +
                                       std::to_string(server.port()) + ": Too many open files");
    CHECK(fixture.get(server.url()).ok());
}

TEST_CASE("the deadline ends whatever hangs, and says what hung") {
    static const test::TestIdentity identity = test::make_identity("localhost");
    struct Row {
        const char* name;
        Script script;
        bool https;
        bool sent;
        const char* words;
        int steps = 0;
    };
    const auto row = GENERATE(values<Row>({
        {"silent", Script::silent(), false, true, "the request was sent, but nothing came back"},
        {"does not even read", Script::deaf(), false, true,
         "the request was sent, but nothing came back"},
        {"head, then silence", Script::head_then_silence(), false, true,
         "the body of the answer did not end"},
        {"a byte at a time", Script::byte_by_byte(), false, true,
         "the head of the answer did not end", 20},
        {"TLS handshake never ends", Script::silent(), true, false,
         "the TLS handshake did not end"},
        {"silent over TLS", Script::silent().over_tls(identity), true, true,
         "the request was sent, but nothing came back"},
    }));
    INFO(row.name);
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, row.script);
    std::string url = secret_url(server);
    if (row.https) url.replace(0, 4, "https");
    auto request = request_to(url);
    request.tls.verify_peer = false;
    request.connect_timeout = 1h;
    const auto watched = fixture.start(request, 3s);
    // Wait until it is as far as it will get.
    REQUIRE(test::run_until(fixture.io, [&] {
        return row.sent && row.script.read ? !server.requests().empty() : server.accepted() == 1;
    }));
    for (int i = 0; i < row.steps; ++i) {
        server.step();
        test::run_ready(fixture.io);
    }
    fixture.clock.advance(3s - 1ms);
    test::run_ready(fixture.io);
    CHECK_FALSE(watched->over());
    fixture.clock.advance(1ms);
    test::run_ready(fixture.io);
    REQUIRE(watched->over());

    CHECK(watched->result->fault == HttpFault::timed_out);
    const std::string start =
        (row.https ? "no answer from https://127.0.0.1:" : "no answer from http://127.0.0.1:");
    CHECK(watched->result->fault_detail ==
          start + std::to_string(server.port()) + " within 3s: " + row.words);
    CHECK(watched->result->request_sent == row.sent);
    CHECK(watched->result->times.total == 3s);
    CHECK(watched->result->status == 0);
    if (row.script.read) CHECK(test::run_until(fixture.io, [&] { return server.open() == 0; }));
    CHECK(fixture.clock.sleepers() == 0);
}

TEST_CASE("connecting has a limit of its own, which ends with the connection") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::silent());

    SECTION("it ends a handshake") {
        auto request = request_to(secret_url(server).replace(0, 4, "https"));
        request.connect_timeout = 1h;
        const auto watched = fixture.start(request, 2h);
        REQUIRE(test::run_until(fixture.io, [&] { return server.bytes_read() > 0; }));
        fixture.clock.advance(1h);
        test::run_ready(fixture.io);
        REQUIRE(watched->over());
        CHECK(watched->result->fault == HttpFault::timed_out);
        CHECK(
            watched->result->fault_detail.ends_with("within 3600s: the TLS handshake did not end"));
        CHECK_FALSE(watched->result->request_sent);
    }
    SECTION("it does not end a slow answer") {
        auto request = request_to(server.url());
        request.connect_timeout = 1h;
        const auto watched = fixture.start(request, 2h);
        REQUIRE(test::run_until(fixture.io, [&] { return server.requests().size() == 1; }));
        fixture.clock.advance(1h + 59min);
        test::run_ready(fixture.io);
        CHECK_FALSE(watched->over());
        server.release();
        REQUIRE(test::run_until(fixture.io, [&] { return watched->over(); }));
        CHECK(watched->result->body == "too late");
    }
}

TEST_CASE("an exchange without any time left is not begun") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    const auto watched = fixture.start(request_to(server.url()), 0s);
    test::run_ready(fixture.io);
    REQUIRE(watched->over());
    CHECK(watched->result->fault == HttpFault::timed_out);
    CHECK_FALSE(watched->result->request_sent);
    CHECK(server.accepted() == 0);
}

TEST_CASE("a late answer reaches nobody") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::silent());
    const auto late = fixture.start(request_to(server.url("/first")), 3s);
    REQUIRE(test::run_until(fixture.io, [&] { return server.requests().size() == 1; }));
    fixture.clock.advance(3s);
    test::run_ready(fixture.io);
    REQUIRE(late->over());

    server.behave(Script::ok("second"));
    server.release();
    const auto second = fixture.get(server.url("/second"));
    CHECK(second.body == "second");
    CHECK_FALSE(second.reused_connection);
    CHECK(server.accepted() == 2);
}

TEST_CASE("fifty exchanges that hang do not hold up the next one") {
    HttpClientFixture fixture;
    ScriptedServer silent(fixture.io, Script::silent());
    ScriptedServer healthy(fixture.io);
    std::vector<std::shared_ptr<test::Watched>> hung;
    for (int i = 0; i < 50; ++i) hung.push_back(fixture.start(request_to(silent.url()), 3s));
    REQUIRE(test::run_until(fixture.io, [&] { return silent.requests().size() == 50; }));

    for (int i = 0; i < 20; ++i) CHECK(fixture.get(healthy.url()).ok());
    // The same peer, once it answers again, answers new requests before the old ones have ended.
    silent.behave(Script::ok("awake"));
    CHECK(fixture.get(silent.url()).body == "awake");
    for (const auto& watched : hung) CHECK_FALSE(watched->over());

    fixture.clock.advance(3s);
    test::run_ready(fixture.io);
    for (const auto& watched : hung) {
        REQUIRE(watched->over());
        CHECK(watched->result->fault == HttpFault::timed_out);
    }
    CHECK(test::run_until(fixture.io,
                          [&] { return silent.open() == 1; }));  // the one of the answered request
}

TEST_CASE("each exchange ends at its own deadline") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::silent());
    auto request = request_to(server.url());
    request.connect_timeout = 1h;  // otherwise its end is the first limit of all three
    const auto long_one = fixture.start(request, 9s);
    const auto short_one = fixture.start(request, 3s);
    const auto middle_one = fixture.start(request, 6s);
    REQUIRE(test::run_until(fixture.io, [&] { return server.requests().size() == 3; }));
    for (const auto& [next, left] :
         {std::pair{short_one, 2}, std::pair{middle_one, 1}, std::pair{long_one, 0}}) {
        CHECK_FALSE(next->over());
        fixture.clock.advance(3s);
        test::run_ready(fixture.io);
        CHECK(next->over());
        CHECK(test::run_until(fixture.io, [&, open = static_cast<std::size_t>(left)] {
            return server.open() == open;
        }));
    }
}

TEST_CASE("beyond the bound on exchanges the answer is busy, at once") {
    runtime::CurlHttpClient::Options options;
    options.max_in_flight = 2;
    HttpClientFixture fixture(options);
    ScriptedServer server(fixture.io, Script::silent());
    const auto first = fixture.start(request_to(server.url()), 3s);
    const auto second = fixture.start(request_to(server.url()), 3s);
    const auto third = fixture.start(request_to(server.url()), 3s);
    test::run_ready(fixture.io);
    REQUIRE(third->over());
    CHECK(third->result->fault == HttpFault::busy);
    CHECK_FALSE(third->result->request_sent);
    CHECK_FALSE(first->over());

    REQUIRE(test::run_until(fixture.io, [&] { return server.requests().size() == 2; }));
    fixture.clock.advance(3s);
    test::run_ready(fixture.io);
    REQUIRE(second->over());
    server.behave(Script::ok());
    CHECK(fixture.get(server.url()).ok());
}

TEST_CASE("cancelling the caller ends the transfer") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::silent());
    const auto watched = fixture.start(request_to(server.url()), 1h);
    REQUIRE(test::run_until(fixture.io, [&] { return server.requests().size() == 1; }));
    watched->cancel.emit(boost::asio::cancellation_type::terminal);
    test::run_ready(fixture.io);
    CHECK(watched->over());
    CHECK(test::run_until(fixture.io, [&] { return server.open() == 0; }));
    CHECK(fixture.clock.sleepers() == 0);

    // At its very beginning, too.
    const auto next = fixture.start(request_to(server.url()), 1h);
    next->cancel.emit(boost::asio::cancellation_type::terminal);
    test::run_ready(fixture.io);
    CHECK(next->over());
    CHECK(test::run_until(fixture.io, [&] { return server.open() == 0; }));
    server.behave(Script::ok());
    CHECK(fixture.get(server.url()).ok());
}

TEST_CASE("a client may be destroyed while exchanges are under way") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::silent());
    const auto first = fixture.start(request_to(server.url()), 1h);
    const auto second = fixture.start(request_to(server.url()), 1h);
    REQUIRE(test::run_until(fixture.io, [&] { return server.requests().size() == 2; }));

    SECTION("whoever waits is told") {
        fixture.client.reset();
        test::run_ready(fixture.io);
        for (const auto& watched : {first, second}) {
            REQUIRE(watched->over());
            CHECK(watched->result->fault == HttpFault::internal);
            CHECK(watched->result->fault_detail ==
                  "the HTTP client was closed during the exchange");
        }
        CHECK(test::run_until(fixture.io, [&] { return server.open() == 0; }));
        CHECK(fixture.clock.sleepers() == 0);
    }
    SECTION("with the loop, and nobody is resumed") {
        fixture.client.reset();
        CHECK_FALSE(first->over());
    }
}
