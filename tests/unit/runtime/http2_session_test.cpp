// HTTP/2 through the whole server, over a plain connection with prior knowledge.
#include "launcher/runtime/http_server.hpp"
#include "tests/support/http2_client.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/raw_client.hpp"

#include <csignal>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nghttp2/nghttp2.h>

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;
using runtime::Task;

namespace {

/// Requests for "/wait" wait here until the test lets them go or their session is abandoned.
struct Gate {
    explicit Gate(boost::asio::io_context& io)
        : timer(io, boost::asio::steady_timer::time_point::max()) {}
    boost::asio::steady_timer timer;
    int inside = 0;
    int ended = 0;
};

Task<HttpServerReply> serve_path(const HttpServerRequest& request, Gate* gate) {
    if (request.path == "/wait") {
        ++gate->inside;
        co_await gate->timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        ++gate->ended;
    }
    HttpServerReply reply;
    reply.body = request.method + " " + request.path + " " + request.body;
    co_return reply;
}

struct Server {
    boost::asio::io_context io;
    test::ManualClock clock;
    Gate gate{io};
    std::optional<runtime::HttpServer> server;

    explicit Server(runtime::HttpBounds bounds = {}) {
        std::signal(SIGPIPE, SIG_IGN);
        runtime::HttpServerOptions options;
        options.bounds = bounds;
        options.handler = [this](const HttpServerRequest& request, Deadline) {
            return serve_path(request, &gate);
        };
        options.http2 = true;
        server.emplace(io.get_executor(), clock, std::move(options));
        REQUIRE(server->listen("127.0.0.1:0").has_value());
        server->start();
    }
    ~Server() {
        server.reset();
        test::run_ready(io);
    }
    void pass(runtime::Duration span) {
        clock.advance(span);
        test::run_ready(io);
        clock.advance(100ms);
        test::run_ready(io);
    }
    const runtime::HttpServerCounters& counters() const { return server->counters(); }
};

/// A client on a socket; pump() moves bytes both ways.
struct Client {
    explicit Client(Server& to) : server(to), raw(to.io, to.server->port()) { raw.collect(); }
    void pump() {
        raw.send(http2.output());
        test::run_ready(server.io);
        const std::string_view all = raw.received();
        REQUIRE(http2.input(all.substr(taken)));
        taken = all.size();
    }
    bool until(const std::function<bool()>& condition) {
        return test::run_until(server.io, [&] {
            pump();
            return condition();
        });
    }
    Server& server;
    test::RawClient raw;
    test::Http2Client http2;
    std::size_t taken = 0;
};

}  // namespace

TEST_CASE("http2 session: requests side by side, one that waits holds up no other") {
    Server server;
    Client client(server);
    const auto slow = client.http2.request("GET", "/wait");
    const auto quick = client.http2.request("POST", "/quick", {}, "b");
    REQUIRE(client.until([&] { return client.http2.answer(quick).complete; }));
    CHECK(client.http2.answer(quick).body == "POST /quick b");
    CHECK_FALSE(client.http2.answer(slow).complete);
    server.gate.timer.cancel();
    REQUIRE(client.until([&] { return client.http2.answer(slow).complete; }));
    CHECK(client.http2.answer(slow).body == "GET /wait ");
    CHECK(server.counters().http2_connections.value() == 1);
    CHECK(server.counters().requests.value() == 2);
}

TEST_CASE("http2 session: the preface may come in pieces, and HTTP/1.1 is still served") {
    Server server;
    Client client(server);
    const auto id = client.http2.request("GET", "/pieces");
    for (const char byte : client.http2.output()) {
        client.raw.send(std::string_view(&byte, 1));
        test::run_ready(server.io);
    }
    REQUIRE(client.until([&] { return client.http2.answer(id).complete; }));
    test::RawClient old(server.io, server.server->port());
    old.collect();
    old.send("PUT /old HTTP/1.1\r\nConnection: close\r\n\r\n");
    REQUIRE(test::run_until(server.io, [&] { return old.ended(); }));
    CHECK(old.received().ends_with("PUT /old "));
}

TEST_CASE("http2 session: an idle connection ends with GOAWAY; pings do not keep it") {
    runtime::HttpBounds bounds;
    bounds.idle = 3s;
    Server server(bounds);
    Client client(server);
    const auto id = client.http2.request("GET", "/");
    REQUIRE(client.until([&] { return client.http2.answer(id).complete; }));
    client.pump();
    server.pass(2s);
    client.http2.ping();
    client.pump();
    server.pass(1s);
    REQUIRE(client.until([&] { return client.raw.ended(); }));
    CHECK(client.http2.goaway());
    CHECK(server.counters().timeouts_idle.value() == 1);
    CHECK(server.counters().connections_open.load() == 0);
}

TEST_CASE("http2 session: half a preface and half a frame are ended at their limits") {
    runtime::HttpBounds bounds;
    bounds.head = 3s;
    bounds.idle = 3s;
    Server server(bounds);
    test::RawClient client(server.io, server.server->port());
    client.collect();
    const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const auto sent = GENERATE_COPY(as<std::string>{}, preface.substr(0, 5), preface,
                                    preface + std::string("\0\0", 2));
    client.send(sent);
    REQUIRE(
        test::run_until(server.io, [&] { return server.counters().connections_open.load() == 1; }));
    test::run_ready(server.io);
    server.pass(2s);
    CHECK(server.counters().connections_open.load() == 1);
    server.pass(1s);
    REQUIRE(test::run_until(server.io, [&] { return client.ended(); }));
    CHECK(server.counters().timeouts_head.value() + server.counters().timeouts_idle.value() == 1);
}

TEST_CASE("http2 session: a stalled body ends its stream, not the connection") {
    runtime::HttpBounds bounds;
    bounds.body = 3s;
    Server server(bounds);
    Client client(server);
    const auto stalled = client.http2.request("POST", "/", {}, "", true);
    REQUIRE(client.until([&] { return server.counters().http2_connections.value() == 1; }));
    client.pump();
    server.pass(3s);
    REQUIRE(client.until([&] { return client.http2.answer(stalled).closed; }));
    CHECK(server.counters().timeouts_body.value() == 1);
    const auto next = client.http2.request("GET", "/next");
    REQUIRE(client.until([&] { return client.http2.answer(next).complete; }));
}

TEST_CASE("http2 session: handlers left behind by resets count against their connection") {
    runtime::HttpBounds bounds;
    bounds.streams = 2;
    Server server(bounds);
    Client client(server);
    for (int i = 0; i < 2; ++i) {
        const auto id = client.http2.request("GET", "/wait");
        REQUIRE(client.until([&] { return server.gate.inside == i + 1; }));
        client.http2.reset(id);
        client.pump();
    }
    const auto refused = client.http2.request("GET", "/wait");
    REQUIRE(client.until([&] { return client.http2.answer(refused).complete; }));
    CHECK(client.http2.answer(refused).status() == "503");
    CHECK(server.gate.inside == 2);
    server.gate.timer.cancel();
    REQUIRE(client.until([&] { return server.gate.ended == 2; }));
    const auto served = client.http2.request("GET", "/");
    REQUIRE(client.until([&] { return client.http2.answer(served).complete; }));
    CHECK(client.http2.answer(served).status() == "200");
}

TEST_CASE("http2 session: a peer that leaves does not end its handler; the session waits for it") {
    Server server;
    {
        Client client(server);
        client.http2.request("GET", "/wait");
        REQUIRE(client.until([&] { return server.gate.inside == 1; }));
        client.raw.close();
        test::run_ready(server.io);
    }
    CHECK(server.counters().connections_open.load() == 1);
    server.gate.timer.cancel();
    REQUIRE(
        test::run_until(server.io, [&] { return server.counters().connections_open.load() == 0; }));
    CHECK(server.gate.ended == 1);
    CHECK(server.counters().requests_in_flight.load() == 0);
}

TEST_CASE(
    "http2 session: a drain says GOAWAY, lets handlers finish, and abandons them at its deadline") {
    Server server;
    Client client(server);
    const auto id = client.http2.request("GET", "/wait");
    REQUIRE(client.until([&] { return server.gate.inside == 1; }));
    bool stopped = false;
    boost::asio::co_spawn(server.io, server.server->stop(Deadline::after(server.clock.now(), 2s)),
                          [&stopped](std::exception_ptr) { stopped = true; });
    REQUIRE(client.until([&] { return client.http2.goaway(); }));
    CHECK_FALSE(stopped);
    SECTION("in time") {
        server.gate.timer.cancel();
        REQUIRE(client.until([&] { return stopped; }));
        client.pump();
        CHECK(client.http2.answer(id).complete);
    }
    SECTION("never") {
        server.clock.advance(2s);
        REQUIRE(client.until([&] { return stopped && client.raw.ended(); }));
        CHECK_FALSE(client.http2.answer(id).complete);
        CHECK(server.gate.ended == 1);
    }
    REQUIRE(
        test::run_until(server.io, [&] { return server.counters().connections_open.load() == 0; }));
}
