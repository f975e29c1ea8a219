// Connections that are kept, and those that must not be.
#include "tests/unit/runtime/http_client_fixture.hpp"

#include <filesystem>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
using namespace std::chrono_literals;
using runtime::HttpClientRequest;
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

/// Runs the loop until the kernel has surely delivered what was written before: a round trip behind
/// it.
void let_arrive(HttpClientFixture& fixture) {
    ScriptedServer other(fixture.io);
    auto request = request_to(other.url());
    request.new_connection = true;
    REQUIRE(fixture.get(request).ok());
}

std::ptrdiff_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
}

}  // namespace

TEST_CASE("connections are kept and used again") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    for (int i = 0; i < 5; ++i) {
        const auto exchange = fixture.get(server.url("/" + std::to_string(i)));
        CHECK(exchange.ok());
        CHECK(exchange.reused_connection == (i > 0));
        if (i > 0) CHECK(exchange.times.connected == 0us);
    }
    CHECK(server.accepted() == 1);
}

TEST_CASE("a new connection on demand is neither an old one nor kept") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    REQUIRE(fixture.get(server.url()).ok());
    auto request = request_to(server.url());
    request.new_connection = true;
    CHECK_FALSE(fixture.get(request).reused_connection);
    CHECK(server.accepted() == 2);
    CHECK(test::run_until(fixture.io, [&] { return server.open() == 1; }));
    CHECK(fixture.get(server.url()).reused_connection);
}

TEST_CASE("idle connections are bounded, those at work are not") {
    const std::size_t kept = GENERATE(0U, 1U, 3U);
    INFO(kept << " kept");
    runtime::CurlHttpClient::Options options;
    options.kept_connections = kept;
    HttpClientFixture fixture(options);
    ScriptedServer server(fixture.io, Script::silent());
    for (int round = 0; round < 2; ++round) {
        std::vector<std::shared_ptr<test::Watched>> exchanges;
        for (int i = 0; i < 8; ++i)
            exchanges.push_back(fixture.start(request_to(server.url()), 1h));
        const auto expected = static_cast<std::size_t>(8 * (round + 1));
        REQUIRE(test::run_until(fixture.io, [&] { return server.requests().size() == expected; }));
        CHECK(server.open() == 8);
        server.release();
        for (const auto& exchange : exchanges) {
            REQUIRE(test::run_until(fixture.io, [&] { return exchange->over(); }));
            CHECK(exchange->result->ok());
        }
        CHECK(test::run_until(fixture.io, [&] { return server.open() == kept; }));
    }
    CHECK(server.accepted() == 16 - kept);
}

TEST_CASE("connections at work leave room for idle ones") {
    runtime::CurlHttpClient::Options options;
    options.kept_connections = 1;
    HttpClientFixture fixture(options);
    ScriptedServer hung(fixture.io, Script::silent());
    ScriptedServer healthy(fixture.io);
    for (int i = 0; i < 4; ++i) fixture.start(request_to(hung.url()), 1h);
    REQUIRE(test::run_until(fixture.io, [&] { return hung.requests().size() == 4; }));
    for (int i = 0; i < 3; ++i) CHECK(fixture.get(healthy.url()).reused_connection == (i > 0));
}

TEST_CASE("an idle connection that the server ended is not used") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    REQUIRE(fixture.get(server.url()).ok());
    server.close_all();
    const auto next = fixture.get(server.url());
    CHECK(next.ok());
    CHECK_FALSE(next.reused_connection);
    CHECK(server.requests().size() == 2);
}

TEST_CASE("bytes that nobody asked for are never taken for an answer") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::ok("first"));
    REQUIRE(fixture.get(server.url()).ok());

    SECTION("sent while the connection is idle") {
        server.send_unasked("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        let_arrive(fixture);
    }
    SECTION("sent behind an answer") {
        Script script = Script::ok("second");
        script.answer += "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
        server.behave(script);
        CHECK(fixture.get(server.url()).body == "second");
    }
    server.behave(Script::ok("third"));
    const auto next = fixture.get(server.url());
    CHECK(next.body == "third");
    CHECK_FALSE(next.reused_connection);
}

TEST_CASE("a request is sent once, even when its kept connection ends under it") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    REQUIRE(fixture.get(server.url("/first")).ok());
    server.behave(GENERATE(0, 1) == 0 ? Script::close() : Script::reset());
    auto request = request_to(server.url("/second"));
    request.method = "POST";
    request.body = "once";

    SECTION("and no other connection is kept") {}
    SECTION("and another one is kept") {
        server.behave(Script::silent());
        const auto a = fixture.start(request_to(server.url()), 1h);
        const auto b = fixture.start(request_to(server.url()), 1h);
        REQUIRE(test::run_until(fixture.io, [&] { return server.requests().size() == 3; }));
        server.release();
        REQUIRE(test::run_until(fixture.io, [&] { return a->over() && b->over(); }));
        server.behave(Script::close());
    }
    const std::size_t before = server.requests().size();
    const std::size_t connections = server.accepted();
    const auto exchange = fixture.get(request);
    CHECK(exchange.fault == HttpFault::closed);
    CHECK(exchange.reused_connection);
    CHECK(exchange.request_sent);
    CHECK(exchange.fault_detail == "http://127.0.0.1:" + std::to_string(server.port()) +
                                       " closed the kept connection before it answered");
    CHECK(server.requests().size() == before + 1);
    CHECK(server.accepted() == connections);

    server.behave(Script::ok());
    request.new_connection = true;
    CHECK(fixture.get(request).ok());
}

TEST_CASE("a connection serves many requests at a time only one by one") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::silent());
    const auto first = fixture.start(request_to(server.url()), 1h);
    const auto second = fixture.start(request_to(server.url()), 1h);
    REQUIRE(test::run_until(fixture.io, [&] { return server.requests().size() == 2; }));
    CHECK(server.accepted() == 2);
    server.release();
    REQUIRE(test::run_until(fixture.io, [&] { return first->over() && second->over(); }));
    CHECK(first->result->ok());
    CHECK(second->result->ok());
}

TEST_CASE("large bodies go and come in full") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::huge(900'000));
    auto request = request_to(server.url());
    request.method = "POST";
    request.body = std::string(700'000, 'q');
    for (int i = 0; i < 3; ++i) {
        const auto exchange = fixture.get(request);
        CHECK(exchange.body.size() == 900'000);
        CHECK(exchange.reused_connection == (i > 0));
    }
    CHECK(server.requests().back().ends_with(std::string(700'000, 'q')));
}

TEST_CASE("the number of a socket that never got a connection belongs to whoever has it next") {
    using Socket = boost::asio::local::stream_protocol::socket;
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    const test::FullListener full;
    const auto before = open_descriptors();
    std::vector<std::shared_ptr<test::Watched>> hung;
    for (int i = 0; i < 4; ++i) hung.push_back(fixture.start(request_to(full.url()), 1s));
    test::run_ready(fixture.io);
    CHECK(open_descriptors() > before);
    fixture.clock.advance(1s);
    test::run_ready(fixture.io);
    for (const auto& exchange : hung) {
        REQUIRE(exchange->over());
        CHECK(exchange->result->fault_detail.ends_with("the connection was not established"));
        CHECK_FALSE(exchange->result->request_sent);
    }
    CHECK(open_descriptors() == before);

    // Sockets of somebody else on the same loop take the numbers.
    Socket ours(fixture.io), theirs(fixture.io);
    boost::asio::local::connect_pair(ours, theirs);
    char byte = 0;
    bool read = false;
    boost::asio::async_read(
        ours, boost::asio::buffer(&byte, 1),
        [&read](const boost::system::error_code& error, std::size_t) { read = !error; });
    test::run_ready(fixture.io);
    CHECK(fixture.get(server.url()).ok());
    CHECK(fixture.get(server.url()).reused_connection);
    if (GENERATE(true, false)) fixture.client.reset();
    theirs.send(boost::asio::buffer("x", 1));
    CHECK(test::run_until(fixture.io, [&read] { return read; }));
    CHECK(byte == 'x');
}
