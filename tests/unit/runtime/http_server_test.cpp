#include "launcher/runtime/http_server.hpp"

#include "tests/support/manual_clock.hpp"
#include "tests/support/raw_client.hpp"

#include <atomic>
#include <csignal>
#include <thread>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <sys/stat.h>
#include <unistd.h>

using namespace std::chrono_literals;
using runtime::BodyFault;
using runtime::Deadline;
using runtime::HttpBounds;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;
using runtime::Task;
using test::RawClient;

namespace {

/// Tells what it saw: method, path, query, body, fault.
Task<HttpServerReply> echo(const HttpServerRequest& request, Deadline) {
    const std::string fault = request.body_fault == BodyFault::too_large ? " too-large"
                              : request.body_fault == BodyFault::broken  ? " broken"
                                                                         : "";
    co_return HttpServerReply{
        200,
        "text/plain",
        request.method + " " + request.path + " [" + request.query + "] " + request.body + fault,
        {},
        false};
}

struct Server {
    boost::asio::io_context io;
    test::ManualClock clock;
    std::optional<runtime::HttpServer> server;

    explicit Server(HttpBounds bounds = {}, runtime::HttpHandler handler = echo,
                    std::shared_ptr<const runtime::TlsServerContext> tls = nullptr) {
        std::signal(SIGPIPE, SIG_IGN);
        server.emplace(
            io.get_executor(), clock,
            runtime::HttpServerOptions{bounds, std::move(handler), {}, std::move(tls), "test"});
        REQUIRE(server->listen("127.0.0.1:0").has_value());
        server->start();
    }
    ~Server() {
        server.reset();
        test::run_ready(io);
    }
    bool until(const std::function<bool()>& condition) { return test::run_until(io, condition); }
    RawClient client() { return {io, server->port()}; }
    /// Moves time until a sweep has seen it, and lets the server act.
    void pass(runtime::Duration span) {
        clock.advance(span);
        test::run_ready(io);
        clock.advance(100ms);
        test::run_ready(io);
    }
    std::int64_t open() const { return server->counters().connections_open.load(); }
};

std::string ask(Server& server, std::string_view request, std::string_view end_of_answer) {
    auto client = server.client();
    client.collect();
    client.send(request);
    REQUIRE(
        server.until([&] { return client.ended() || client.received().ends_with(end_of_answer); }));
    return client.received();
}

}  // namespace

TEST_CASE("http_server answers a request with framing headers") {
    Server server;
    const std::string answer =
        ask(server, "GET /a/b?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a/b [x=1] ");
    CHECK(answer.starts_with(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 15\r\ndate: "));
    CHECK(answer.find("Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n") != std::string::npos);
}

TEST_CASE("http_server: forms of requests") {
    struct Row {
        const char* name;
        std::string request;
        std::string expected;  // what the answer ends with
    };
    const auto row = GENERATE(values<Row>({
        {"absolute form", "GET http://host:1/p?q HTTP/1.1\r\nHost: h\r\n\r\n", "GET /p [q] "},
        {"fragment", "GET /p?q#f HTTP/1.1\r\nHost: h\r\n\r\n", "GET /p [q] "},
        {"content length", "POST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "POST /p [] abc"},
        {"chunked",
         "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
         "POST /p [] abcde"},
        {"broken chunk", "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
         "POST /p []  broken"},
        {"two in one packet", "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", "GET /2 [] "},
        {"expect continue",
         "POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nz", "POST /p [] z"},
    }));
    INFO(row.name);
    Server server;
    const std::string answer = ask(server, row.request, row.expected);
    CHECK(answer.ends_with(row.expected));
    CHECK((answer.find("100 Continue") != std::string::npos) ==
          (std::string(row.name) == "expect continue"));
}

TEST_CASE("http_server: HEAD counts the body and does not send it") {
    Server server;
    const std::string answer =
        ask(server, "HEAD /p HTTP/1.1\r\nConnection: close\r\n\r\n", "never");
    CHECK(answer.find("content-length: 11\r\n") != std::string::npos);
    CHECK(answer.ends_with("\r\n\r\n"));
}

TEST_CASE("http_server: HTTP/1.0 closes unless keep-alive is asked for") {
    Server server;
    CHECK(ask(server, "GET / HTTP/1.0\r\n\r\n", "never").find("connection: close") !=
          std::string::npos);
    CHECK(ask(server, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "] ")
              .find("connection: keep-alive") != std::string::npos);
}

TEST_CASE("http_server: a client that shut down its sending side still gets its answer") {
    Server server;
    auto client = server.client();
    client.collect();
    client.send("GET /half HTTP/1.1\r\n\r\n");
    client.close_sending();
    REQUIRE(server.until([&] { return client.ended(); }));
    CHECK(client.received().ends_with("GET /half [] "));
}

TEST_CASE("http_server refuses bad heads with a status and closes") {
    struct Row {
        const char* name;
        std::string request;
        const char* status;
    };
    std::string many_fields = "GET / HTTP/1.1\r\n";
    for (int i = 0; i < 101; ++i) many_fields += "x" + std::to_string(i) + ": 1\r\n";
    const auto row = GENERATE_COPY(values<Row>({
        {"not HTTP", "\x16\x03\x01 garbage\r\n\r\n", "400"},
        {"raw space in target", "GET /a b HTTP/1.1\r\n\r\n", "400"},
        {"bad version", "GET / HTTP/9.9\r\n\r\n", "400"},
        {"two lengths", "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
        {"head too large", "GET / HTTP/1.1\r\nx: " + std::string(70'000, 'a') + "\r\n\r\n", "431"},
        {"too many fields", many_fields + "\r\n", "431"},
    }));
    INFO(row.name);
    Server server;
    const std::string answer = ask(server, row.request, "never");
    CHECK(answer.starts_with(std::string("HTTP/1.1 ") + row.status));
    CHECK(answer.find("connection: close") != std::string::npos);
    CHECK(server.server->counters().heads_refused.value() == 1);
}

TEST_CASE("http_server: a body beyond the limit reaches the handler as a fault, announced or not") {
    HttpBounds bounds;
    bounds.body_bytes = 4;
    const auto request =
        GENERATE(as<std::string>{}, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345",
                 "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n");
    Server server(bounds);
    CHECK(ask(server, request, "never").ends_with("too-large"));
    CHECK(
        ask(server, "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\n1234", "1234").ends_with("1234"));
}

TEST_CASE("http_server ends each phase at its limit and counts it") {
    struct Row {
        const char* name;
        std::string sent;
        runtime::Duration limit;
        const runtime::Counter runtime::HttpServerCounters::* counter;
        const char* last_words;
    };
    HttpBounds bounds;
    bounds.first_byte = 3s;
    bounds.head = 5s;
    bounds.body = 7s;
    bounds.idle = 9s;
    using C = runtime::HttpServerCounters;
    const auto row = GENERATE(values<Row>({
        {"first byte", "", 3s, &C::timeouts_first_byte, ""},
        {"head", "GET / HT", 5s, &C::timeouts_head, "HTTP/1.1 408 "},
        {"body", "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12", 7s, &C::timeouts_body, ""},
        {"idle", "GET / HTTP/1.1\r\n\r\n", 9s, &C::timeouts_idle, "HTTP/1.1 200 "},
    }));
    INFO(row.name);
    Server server(bounds);
    auto client = server.client();
    client.collect();
    client.send(row.sent);
    REQUIRE(server.until([&] { return server.open() == 1; }));
    if (std::string(row.name) == "idle")
        REQUIRE(server.until([&] { return !client.received().empty(); }));
    test::run_ready(server.io);
    server.pass(row.limit - 500ms);
    CHECK(server.open() == 1);
    server.pass(500ms);
    REQUIRE(server.until([&] { return client.ended(); }));
    CHECK(client.received().starts_with(row.last_words));
    CHECK((server.server->counters().*row.counter).value() == 1);
    CHECK(server.open() == 0);
}

TEST_CASE("http_server: a connection that has rested is served as before") {
    HttpBounds bounds;
    bounds.first_byte = 5s;
    bounds.idle = 5s;
    Server server(bounds);
    auto client = server.client();
    client.collect();
    REQUIRE(server.until([&] { return server.open() == 1; }));
    std::size_t answers = 0;
    const auto ask_again = [&] {
        client.send("GET /again HTTP/1.1\r\n\r\n");
        ++answers;
        return server.until([&] {
            std::size_t seen = 0;
            for (std::size_t at = 0;
                 (at = client.received().find("GET /again", at)) != std::string::npos; ++at)
                ++seen;
            return seen == answers;
        });
    };
    SECTION("before its first request and between requests") {
        for (int round = 0; round < 3; ++round) {
            server.pass(1s);
            server.pass(1s);
            CHECK(ask_again());
        }
        CHECK(server.server->counters().connections_accepted.value() == 1);
    }
    SECTION("the limit of its wait began before the rest") {
        REQUIRE(ask_again());
        for (int step = 0; step < 4; ++step) server.pass(1s);
        CHECK(server.open() == 1);
        server.pass(1s);
        REQUIRE(server.until([&] { return client.ended(); }));
        CHECK(server.server->counters().timeouts_idle.value() == 1);
    }
    SECTION("a client that leaves is forgotten") {
        server.pass(1s);
        client.close();
        CHECK(server.until([&] { return server.open() == 0; }));
    }
    SECTION("a drain does not wait for it") {
        server.pass(1s);
        bool stopped = false;
        boost::asio::co_spawn(server.io,
                              server.server->stop(Deadline::after(server.clock.now(), 2s)),
                              [&stopped](std::exception_ptr) { stopped = true; });
        CHECK(server.until([&] { return stopped && client.ended(); }));
    }
}

TEST_CASE("http_server: a head that dribbles in gets no more time") {
    HttpBounds bounds;
    bounds.head = 5s;
    Server server(bounds);
    auto client = server.client();
    client.collect();
    for (const char* piece : {"G", "E", "T", " "}) {
        client.send(piece);
        test::run_until(server.io, [&] { return server.open() == 1; });
        test::run_ready(server.io);
        server.pass(1s);
    }
    server.pass(1500ms);
    REQUIRE(server.until([&] { return client.ended(); }));
}

namespace {
Task<HttpServerReply> large(const HttpServerRequest&, Deadline) {
    co_return HttpServerReply{200, "text/plain", std::string(64 * 1024 * 1024, 'x'), {}, false};
}
}  // namespace

TEST_CASE("http_server: a client that does not read its answer is closed at the write limit") {
    HttpBounds bounds;
    bounds.write = 4s;
    Server server(bounds, large);
    auto client = server.client();  // never collects
    client.send("GET / HTTP/1.1\r\n\r\n");
    REQUIRE(server.until(
        [&] { return server.open() == 1 && server.server->counters().requests.value() == 1; }));
    test::run_ready(server.io);
    server.pass(4s);
    CHECK(server.until([&] { return server.open() == 0; }));
    CHECK(server.server->counters().timeouts_write.value() == 1);
}

TEST_CASE("http_server: connections beyond the bound get 503 and are closed") {
    HttpBounds bounds;
    bounds.connections = 2;
    Server server(bounds);
    auto first = server.client();
    auto second = server.client();
    REQUIRE(server.until([&] { return server.open() == 2; }));
    CHECK(ask(server, "GET / HTTP/1.1\r\n\r\n", "never").starts_with("HTTP/1.1 503 "));
    CHECK(server.server->counters().connections_refused.value() == 1);
    first.close();
    REQUIRE(server.until([&] { return server.open() == 1; }));
    CHECK(ask(server, "GET /room HTTP/1.1\r\n\r\n", "] ").ends_with("GET /room [] "));
}

TEST_CASE("http_server: beyond the bound, whoever asks a whole question is answered") {
    HttpBounds bounds;
    bounds.connections = 1;
    bounds.guests = 2;
    bounds.guest_stay = 500ms;
    Server server(bounds);
    auto resident = server.client();
    REQUIRE(server.until([&] { return server.open() == 1; }));

    // Two guests that begin to ask and never end, as slow clients do.
    auto slow = server.client();
    slow.collect();
    slow.send("GET / HT");
    auto slower = server.client();
    slower.collect();
    REQUIRE(server.until([&] { return server.open() == 3; }));
    const auto answer = ask(server, "GET /livez HTTP/1.1\r\n\r\n", "GET /livez [] ");
    CHECK(answer.starts_with("HTTP/1.1 200 "));
    CHECK(answer.find("connection: close") != std::string::npos);
    // The oldest of them had to go, with a word.
    REQUIRE(server.until([&] { return slow.ended(); }));
    CHECK(slow.received().starts_with("HTTP/1.1 503 "));
    CHECK_FALSE(slower.ended());

    server.pass(500ms);
    REQUIRE(server.until([&] { return slower.ended(); }));
    CHECK(slower.received().starts_with("HTTP/1.1 503 "));
    CHECK_FALSE(resident.ended());
    CHECK(server.open() == 1);
    CHECK(server.server->counters().connections_refused.value() == 2);
}

TEST_CASE("http_server: a guest's question may come in pieces") {
    HttpBounds bounds;
    bounds.connections = 1;
    bounds.guests = 1;
    Server server(bounds);
    auto resident = server.client();
    REQUIRE(server.until([&] { return server.open() == 1; }));
    auto guest = server.client();
    guest.collect();
    guest.send("GET /a HTTP/1.1\r\n");
    REQUIRE(server.until([&] { return server.open() == 2; }));
    test::run_ready(server.io);
    guest.send("\r\n");
    REQUIRE(server.until([&] { return guest.ended(); }));
    CHECK(guest.received().ends_with("GET /a [] "));
}

TEST_CASE("http_server: one address cannot take all connections") {
    HttpBounds bounds;
    bounds.connections_per_address = 1;
    Server server(bounds);
    auto first = server.client();
    REQUIRE(server.until([&] { return server.open() == 1; }));
    CHECK(ask(server, "GET / HTTP/1.1\r\n\r\n", "never").starts_with("HTTP/1.1 503 "));
}

namespace {
/// A handler that waits until the test lets it go, or its session is abandoned.
struct Gate {
    explicit Gate(boost::asio::io_context& io)
        : timer(io, boost::asio::steady_timer::time_point::max()) {}
    boost::asio::steady_timer timer;
    int inside = 0;
};
Task<HttpServerReply> wait_at(Gate* gate) {
    ++gate->inside;
    co_await gate->timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    co_return HttpServerReply{200, "text/plain", "through", {}, false};
}
}  // namespace

TEST_CASE(
    "http_server: requests beyond the bound of handlers get 503 at once, and a drain lets handlers "
    "finish") {
    HttpBounds bounds;
    bounds.requests_in_flight = 1;
    Gate* door = nullptr;
    Server server(bounds, [&door](const HttpServerRequest&, Deadline) { return wait_at(door); });
    const auto gate = std::make_unique<Gate>(server.io);
    door = gate.get();
    auto first = server.client();
    first.collect();
    first.send("GET / HTTP/1.1\r\n\r\n");
    REQUIRE(server.until([&] { return gate->inside == 1; }));
    CHECK(ask(server, "GET / HTTP/1.1\r\n\r\n", "work\n").starts_with("HTTP/1.1 503 "));
    CHECK(server.server->counters().requests_refused.value() == 1);

    auto idle = server.client();
    idle.collect();
    REQUIRE(server.until([&] { return server.open() >= 2; }));
    bool stopped = false;
    boost::asio::co_spawn(server.io, server.server->stop(Deadline::after(server.clock.now(), 2s)),
                          [&stopped](std::exception_ptr) { stopped = true; });
    SECTION("the handler ends in time") {
        REQUIRE(server.until([&] { return idle.ended(); }));
        CHECK_FALSE(stopped);
        gate->timer.cancel();
        REQUIRE(server.until([&] { return stopped; }));
        CHECK(first.received().ends_with("through"));
        CHECK(first.received().find("connection: close") != std::string::npos);
    }
    SECTION("the handler does not end: it is abandoned at the deadline") {
        test::run_ready(server.io);
        server.clock.advance(2s);
        REQUIRE(server.until([&] { return stopped && first.ended(); }));
        CHECK(first.received().empty());
    }
}

namespace {
Task<HttpServerReply> failing(const HttpServerRequest&, Deadline) {
    throw std::runtime_error("boom");
    co_return HttpServerReply{};
}
}  // namespace

TEST_CASE("http_server: a handler that throws answers 500 and harms nobody else") {
    Server server({}, failing);
    CHECK(ask(server, "GET / HTTP/1.1\r\n\r\n", "error\n").starts_with("HTTP/1.1 500 "));
    CHECK(ask(server, "GET / HTTP/1.1\r\n\r\n", "error\n").starts_with("HTTP/1.1 500 "));
}

TEST_CASE("http_server listens on unix sockets with mode 0600 and replaces a stale file") {
    const std::string path = "/tmp/http_server_test." + std::to_string(getpid()) + ".sock";
    for (int round = 0; round < 2; ++round) {
        boost::asio::io_context io;
        test::ManualClock clock;
        if (round == 1) {  // the file of a process that died
            boost::asio::local::stream_protocol::acceptor dead(io, path);
        }
        runtime::HttpServer server(io.get_executor(), clock, {{}, echo, {}, nullptr, "test"});
        REQUIRE(server.listen("unix:" + path).has_value());
        server.start();
        struct stat info{};
        REQUIRE(stat(path.c_str(), &info) == 0);
        CHECK((info.st_mode & 0777) == 0600);
        boost::asio::local::stream_protocol::socket client(io);
        client.connect(path);
        boost::asio::write(
            client,
            boost::asio::buffer(std::string_view("GET /u HTTP/1.1\r\nConnection: close\r\n\r\n")));
        std::string answer;
        bool ended = false;
        boost::asio::async_read(client, boost::asio::dynamic_buffer(answer),
                                [&ended](boost::system::error_code, std::size_t) { ended = true; });
        REQUIRE(test::run_until(io, [&] { return ended; }));
        CHECK(answer.ends_with("GET /u [] "));
    }
}

TEST_CASE("http_server names the process that holds a port") {
    Server first;
    boost::asio::io_context io;
    test::ManualClock clock;
    runtime::HttpServer second(io.get_executor(), clock, {{}, echo, {}, nullptr, "test"});
    const std::string address = "127.0.0.1:" + std::to_string(first.server->port());
    const auto result = second.listen(address);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().context.find("process " + std::to_string(getpid())) != std::string::npos);
    for (const char* bad :
         {"nonsense", "127.0.0.1", "127.0.0.1:x", "1.2.3:80", "[::1:80", "unix:"}) {
        INFO(bad);
        const auto refused = second.listen(bad);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().code == runtime::ErrorCode::invalid_argument);
    }
}

namespace {

namespace ssl = boost::asio::ssl;

std::shared_ptr<const runtime::TlsServerContext> tls_context(const test::TestIdentity& identity,
                                                             const std::string& client_ca = "") {
    auto context = runtime::TlsServerContext::create(
        {identity.certificate_pem, identity.key_pem, client_ca, false});
    REQUIRE(context.has_value());
    return std::make_shared<const runtime::TlsServerContext>(std::move(*context));
}

Task<HttpServerReply> tell_client_certificate(const HttpServerRequest& request, Deadline) {
    co_return HttpServerReply{
        200, "text/plain", std::to_string(request.client_certificate.size()), {}, true};
}

/// Handshake, one GET, and what came back; the error's text when nothing did. A blocking client on
/// a thread of its own.
std::string tls_get(Server& server, const test::TestIdentity* client) {
    std::string answer;
    std::atomic<bool> done = false;
    std::thread peer([&answer, &done, client, port = server.server->port()] {
        boost::asio::io_context io;
        ssl::context context(ssl::context::tls_client);
        if (client != nullptr) {
            context.use_certificate(boost::asio::buffer(client->certificate_pem),
                                    ssl::context::pem);
            context.use_private_key(boost::asio::buffer(client->key_pem), ssl::context::pem);
        }
        ssl::stream<boost::asio::ip::tcp::socket> stream(io, context);
        boost::system::error_code error;
        stream.next_layer().connect({boost::asio::ip::address_v4::loopback(), port}, error);
        if (!error) stream.handshake(ssl::stream_base::client, error);
        if (!error)
            boost::asio::write(stream,
                               boost::asio::buffer(
                                   std::string_view("GET / HTTP/1.1\r\nConnection: close\r\n\r\n")),
                               error);
        if (!error) boost::asio::read(stream, boost::asio::dynamic_buffer(answer), error);
        if (answer.empty()) answer = error.message();
        done = true;
    });
    const bool in_time = server.until([&done] { return done.load(); });
    peer.join();
    REQUIRE(in_time);
    return answer;
}

}  // namespace

TEST_CASE(
    "http_server over TLS: the client's certificate reaches the handler only if an anchor signed "
    "it") {
    const auto ca = test::make_identity("client ca");
    const auto good = test::make_identity("client", &ca);
    const auto stranger = test::make_identity("stranger");
    Server server({}, tell_client_certificate,
                  tls_context(test::make_identity("server"), ca.certificate_pem));
    CHECK(tls_get(server, nullptr).ends_with("\r\n\r\n0"));
    const std::string answer = tls_get(server, &good);
    CHECK(answer.starts_with("HTTP/1.1 200"));
    CHECK_FALSE(answer.ends_with("\r\n\r\n0"));
    CHECK_FALSE(tls_get(server, &stranger).starts_with("HTTP/1.1 200"));
    CHECK(server.server->counters().handshakes_failed.value() == 1);
}

TEST_CASE(
    "http_server over TLS: garbage, silence and half a hello end the connection and nothing else") {
    HttpBounds bounds;
    bounds.handshake = 2s;
    Server server(bounds, echo, tls_context(test::make_identity("server")));
    auto garbage = server.client();
    garbage.collect();
    garbage.send("GET / HTTP/1.1\r\n\r\n");
    REQUIRE(server.until([&] { return garbage.ended(); }));
    auto silent = server.client();
    silent.collect();
    auto half = server.client();
    half.collect();
    half.send(std::string_view("\x16\x03\x01\x02\x00\x01", 6));
    REQUIRE(server.until([&] { return server.open() == 2; }));
    test::run_ready(server.io);
    server.pass(2s);
    REQUIRE(server.until([&] { return silent.ended() && half.ended(); }));
    CHECK(server.server->counters().timeouts_handshake.value() == 2);
    CHECK(tls_get(server, nullptr).starts_with("HTTP/1.1 200"));
}

TEST_CASE("http_server over TLS: at the bound, who never said a word gives way after a tenth") {
    HttpBounds bounds;
    bounds.connections = 2;
    bounds.give_way = 100ms;
    Server server(bounds, echo, tls_context(test::make_identity("kms.test")));
    auto silent = server.client();
    silent.collect();
    REQUIRE(server.until([&] { return server.open() == 1; }));
    auto speaks = server.client();
    speaks.collect();
    speaks.send(std::string_view("\x16\x03\x01", 3));  // the beginning of a handshake
    REQUIRE(server.until([&] { return server.open() == 2; }));
    test::run_ready(server.io);

    server.clock.advance(9ms);
    auto early = server.client();
    early.collect();
    REQUIRE(server.until([&] { return early.ended(); }));
    CHECK_FALSE(silent.ended());

    server.clock.advance(1ms);
    auto third = server.client();
    third.collect();
    REQUIRE(server.until([&] { return silent.ended(); }));
    auto fourth = server.client();  // the other one has begun its handshake, the third is young
    fourth.collect();
    REQUIRE(server.until([&] { return fourth.ended(); }));
    CHECK_FALSE(speaks.ended());
    CHECK_FALSE(third.ended());
    CHECK(server.server->counters().connections_given_way.value() == 1);

    server.clock.advance(90ms);
    auto fifth = server.client();
    fifth.collect();
    REQUIRE(server.until([&] { return speaks.ended(); }));
    CHECK_FALSE(fifth.ended());
}

TEST_CASE("tls: identities that do not fit are refused with a sentence and no key material") {
    // Static, because the rows borrow the key and outlive one run of the test.
    static const auto one = test::make_identity("one");
    static const auto two = test::make_identity("two");
    struct Row {
        const char* name;
        runtime::TlsServerOptions options;
        const char* words;
    };
    const auto row = GENERATE(values<Row>({
        {"no certificate", {"", one.key_pem, "", false}, "certificate"},
        {"no key", {one.certificate_pem, "", "", false}, "key"},
        {"garbage key",
         {one.certificate_pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "",
          false},
         "key"},
        {"foreign key", {one.certificate_pem, two.key_pem, "", false}, "does not belong"},
        {"bad client CA", {one.certificate_pem, one.key_pem, "nonsense", false}, "client CA"},
    }));
    INFO(row.name);
    const auto context = runtime::TlsServerContext::create(row.options);
    REQUIRE_FALSE(context.has_value());
    CHECK(context.error().code == runtime::ErrorCode::invalid_argument);
    CHECK(context.error().context.find(row.words) != std::string::npos);
}

TEST_CASE("percent_decode leaves what is no escape alone") {
    CHECK(runtime::percent_decode("a%20b") == "a b");
    CHECK(runtime::percent_decode("a+b") == "a+b");
    CHECK(runtime::percent_decode("a+b", true) == "a b");
    CHECK(runtime::percent_decode("100%") == "100%");
    CHECK(runtime::percent_decode("%zz%4") == "%zz%4");
}
