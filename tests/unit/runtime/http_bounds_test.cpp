// Bounds on bodies and TLS sessions, through the whole server.
#include "launcher/runtime/http_server.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/raw_client.hpp"

#include <atomic>
#include <csignal>
#include <thread>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::HttpBounds;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;
using runtime::Owned;
using runtime::Task;

namespace {

Task<HttpServerReply> tell_sizes(const HttpServerRequest& request, Deadline) {
    HttpServerReply reply;
    reply.body = std::to_string(request.body.size()) + " " +
                 std::to_string(request.client_certificate.size()) + ".";
    co_return reply;
}

struct Server {
    boost::asio::io_context io;
    test::ManualClock clock;
    std::optional<runtime::HttpServer> server;

    explicit Server(HttpBounds bounds,
                    std::shared_ptr<const runtime::TlsServerContext> tls = nullptr) {
        std::signal(SIGPIPE, SIG_IGN);
        runtime::HttpServerOptions options;
        options.bounds = bounds;
        options.handler = tell_sizes;
        options.tls = std::move(tls);
        server.emplace(io.get_executor(), clock, std::move(options));
        REQUIRE(server->listen("127.0.0.1:0").has_value());
        server->start();
    }
    ~Server() {
        server.reset();
        test::run_ready(io);
    }
    bool until(const std::function<bool()>& condition) { return test::run_until(io, condition); }
    void pass(runtime::Duration span) {
        test::run_ready(io);
        clock.advance(span);
        test::run_ready(io);
        clock.advance(100ms);
        test::run_ready(io);
    }
    const runtime::HttpServerCounters& counters() const { return server->counters(); }
};

}  // namespace

TEST_CASE("http_server: a body gets more time as long as it keeps the minimum rate") {
    HttpBounds bounds;
    bounds.body = 2s;
    bounds.body_rate = 100;
    Server server(bounds);
    test::RawClient client(server.io, server.server->port());
    client.collect();
    client.send("POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n");
    std::size_t sent = 0;
    for (; sent < 900; sent += 300) {
        client.send(std::string(300, 'b'));
        REQUIRE(server.until([&] {
            return server.counters().body_bytes.load() == static_cast<std::int64_t>(sent + 300);
        }));
        server.pass(2900ms);
    }
    CHECK_FALSE(client.ended());
    SECTION("to its end") {
        client.send(std::string(100, 'b'));
        REQUIRE(server.until([&] { return client.received().ends_with("1000 0."); }));
        CHECK(server.counters().body_bytes.load() == 0);
    }
    SECTION("until it stalls") {
        server.pass(3s);
        REQUIRE(server.until([&] { return client.ended(); }));
        CHECK(server.counters().timeouts_body.value() == 1);
        CHECK(server.counters().body_bytes.load() == 0);
    }
}

TEST_CASE("http_server: bodies beyond what all together may hold are answered 503") {
    HttpBounds bounds;
    bounds.bodies_bytes = 1000;
    Server server(bounds);
    test::RawClient first(server.io, server.server->port());
    first.collect();
    first.send("POST / HTTP/1.1\r\nContent-Length: 800\r\n\r\n" + std::string(700, 'b'));
    REQUIRE(server.until([&] { return server.counters().body_bytes.load() == 700; }));
    test::RawClient second(server.io, server.server->port());
    second.collect();
    second.send("POST / HTTP/1.1\r\nContent-Length: 800\r\n\r\n" + std::string(700, 'b'));
    REQUIRE(server.until([&] { return second.ended(); }));
    CHECK(second.received().starts_with("HTTP/1.1 503 "));
    CHECK(server.counters().bodies_refused.value() == 1);
    first.send(std::string(100, 'b'));
    REQUIRE(server.until([&] { return first.received().ends_with("800 0."); }));
}

namespace {

namespace ssl = boost::asio::ssl;
using OwnedSession = Owned<SSL_SESSION, SSL_SESSION_free>;

struct Visit {
    std::string answer;
    bool resumed = false;
    OwnedSession session;
};

/// One connection with one request, by a blocking client on a thread of its own.
Visit visit(Server& server, ssl::context& context, SSL_SESSION* session) {
    Visit result;
    std::atomic<bool> done = false;
    std::thread peer([&] {
        boost::asio::io_context io;
        ssl::stream<boost::asio::ip::tcp::socket> stream(io, context);
        boost::system::error_code error;
        stream.next_layer().connect(
            {boost::asio::ip::address_v4::loopback(), server.server->port()}, error);
        if (session != nullptr) SSL_set_session(stream.native_handle(), session);
        if (!error) stream.handshake(ssl::stream_base::client, error);
        if (!error)
            boost::asio::write(
                stream, boost::asio::buffer(std::string_view("GET / HTTP/1.1\r\n\r\n")), error);
        std::array<char, 512> buffer{};
        while (!error && !result.answer.ends_with('.'))
            result.answer.append(buffer.data(),
                                 stream.read_some(boost::asio::buffer(buffer), error));
        result.resumed = SSL_session_reused(stream.native_handle()) == 1;
        result.session.reset(SSL_get1_session(stream.native_handle()));
        // As a client does that may come back; a session of a connection cut off is not resumed.
        SSL_set_quiet_shutdown(stream.native_handle(), 0);
        SSL_shutdown(stream.native_handle());
        done = true;
    });
    const bool in_time = server.until([&done] { return done.load(); });
    peer.join();
    REQUIRE(in_time);
    return result;
}

}  // namespace

TEST_CASE(
    "http_server over TLS: a resumed session keeps the client's certificate, for its lifetime") {
    const int version = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
    INFO("version " << version);
    const auto ca = test::make_identity("client ca");
    const auto identity = test::make_identity("client", &ca);
    const auto own = test::make_identity("server");
    runtime::TlsServerOptions options;
    options.certificate_pem = own.certificate_pem;
    options.key_pem = own.key_pem;
    options.client_ca_pem = ca.certificate_pem;
    options.session_lifetime = 3600s;
    auto made = runtime::TlsServerContext::create(options);
    REQUIRE(made.has_value());
    Server server({}, std::make_shared<const runtime::TlsServerContext>(std::move(*made)));

    ssl::context client(ssl::context::tls_client);
    SSL_CTX_set_max_proto_version(client.native_handle(), version);
    client.use_certificate(boost::asio::buffer(identity.certificate_pem), ssl::context::pem);
    client.use_private_key(boost::asio::buffer(identity.key_pem), ssl::context::pem);
    const Visit first = visit(server, client, nullptr);
    REQUIRE(first.answer.find("200 OK") != std::string::npos);
    CHECK_FALSE(first.answer.ends_with(" 0."));
    CHECK_FALSE(first.resumed);
    CHECK(SSL_SESSION_get_ticket_lifetime_hint(first.session.get()) == 3600);
    const Visit second = visit(server, client, first.session.get());
    CHECK(second.resumed);
    CHECK(second.answer == first.answer);
    CHECK(server.counters().tls_resumed.value() == 1);
}

TEST_CASE("http_server over TLS: large client certificates are let in, with a ticket or without") {
    struct Row {
        int version;
        std::size_t padding;
    };
    // What does not fit into a TLS 1.2 ticket, the original turns away as well.
    const auto row = GENERATE(values<Row>(
        {{TLS1_2_VERSION, 60'000}, {TLS1_3_VERSION, 60'000}, {TLS1_3_VERSION, 100'000}}));
    INFO("version " << row.version << ", padding " << row.padding);
    const auto ca = test::make_identity("client ca");
    const auto own = test::make_identity("server");
    const auto identity = test::make_identity("client", &ca, row.padding);
    auto made = runtime::TlsServerContext::create({.certificate_pem = own.certificate_pem,
                                                   .key_pem = own.key_pem,
                                                   .client_ca_pem = ca.certificate_pem});
    REQUIRE(made.has_value());
    Server server({}, std::make_shared<const runtime::TlsServerContext>(std::move(*made)));
    ssl::context client(ssl::context::tls_client);
    SSL_CTX_set_max_proto_version(client.native_handle(), row.version);
    client.use_certificate(boost::asio::buffer(identity.certificate_pem), ssl::context::pem);
    client.use_private_key(boost::asio::buffer(identity.key_pem), ssl::context::pem);
    for (int i = 0; i < 2; ++i) {
        const Visit one = visit(server, client, nullptr);
        CHECK(one.answer.find("200 OK") != std::string::npos);
        CHECK_FALSE(one.answer.ends_with(" 0."));
    }
}
