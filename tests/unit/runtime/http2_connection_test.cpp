#include "launcher/runtime/http2_connection.hpp"

#include "tests/support/http2_client.hpp"
#include "tests/support/manual_clock.hpp"

#include <nghttp2/nghttp2.h>

using namespace std::chrono_literals;
using runtime::BodyFault;
using runtime::Http2Connection;
using runtime::HttpServerReply;
using test::Http2Client;

namespace {

/// Both ends of a connection, and a wire that the test moves bytes over.
struct Pair {
    explicit Pair(runtime::HttpBounds bounds = {}) {
        options.bounds = bounds;
        connection.emplace(context, runtime::HttpServerRequest());
    }

    /// Moves bytes until neither side has any. False once the server wants to close.
    bool exchange() {
        bool sound = true;
        for (int turn = 0; turn < 100; ++turn) {
            const std::string up = client.output();
            if (!up.empty()) sound = connection->receive(up) && sound;
            for (auto& stream : connection->take_complete()) requests.push_back(std::move(stream));
            std::string down;
            connection->produce(down, std::size_t{1} << 30);
            if (!down.empty()) REQUIRE(client.input(down));
            if (up.empty() && down.empty()) break;
        }
        return sound;
    }
    void pass(runtime::Duration span) {
        clock.advance(span);
        connection->expire_streams(clock.now());
        exchange();
    }

    test::ManualClock clock;
    runtime::HttpServerOptions options;
    runtime::HttpServerCounters counters;
    runtime::HttpSessionContext context{clock, options, counters};
    std::optional<Http2Connection> connection;
    Http2Client client;
    std::vector<Http2Connection::StreamPtr> requests;  ///< complete, not yet answered
};

HttpServerReply reply_of(std::string body) {
    HttpServerReply reply;
    reply.content_type = "text/plain";
    reply.headers = {{"X-One", "1"}, {"Connection", "close"}};
    reply.body = std::move(body);
    return reply;
}

}  // namespace

TEST_CASE("http2: a request arrives whole and its answer returns whole") {
    Pair pair;
    const auto id = pair.client.request("POST", "/a/b?x=1", {{"accept", "text/html"}}, "body");
    REQUIRE(pair.exchange());
    REQUIRE(pair.requests.size() == 1);
    const auto& request = pair.requests[0]->request;
    CHECK(request.method == "POST");
    CHECK(request.path == "/a/b");
    CHECK(request.query == "x=1");
    CHECK(request.header("Host") == "kms.test");
    CHECK(request.header("Accept") == "text/html");
    CHECK(request.body == "body");
    const std::string large(300'000, 'x');
    pair.connection->answer(pair.requests[0], reply_of(large));
    REQUIRE(pair.exchange());
    auto& answer = pair.client.answer(id);
    CHECK(answer.status() == "200");
    CHECK(answer.headers["content-type"] == "text/plain");
    CHECK(answer.headers["content-length"] == "300000");
    CHECK(answer.headers["date"] == "Thu, 01 Jan 2026 00:00:00 GMT");
    CHECK(answer.headers["x-one"] == "1");
    CHECK(answer.headers.count("connection") == 0);
    CHECK(answer.body == large);
    CHECK(answer.closed);
    CHECK(pair.connection->is_idle());
}

TEST_CASE("http2: HEAD counts the body and does not send it") {
    Pair pair;
    const auto id = pair.client.request("HEAD", "/");
    REQUIRE(pair.exchange());
    pair.connection->answer(pair.requests.at(0), reply_of("seven77"));
    REQUIRE(pair.exchange());
    CHECK(pair.client.answer(id).headers["content-length"] == "7");
    CHECK(pair.client.answer(id).body.empty());
    CHECK(pair.client.answer(id).complete);
}

TEST_CASE("http2: streams are answered in any order") {
    Pair pair;
    const auto first = pair.client.request("GET", "/1");
    const auto second = pair.client.request("GET", "/2");
    REQUIRE(pair.exchange());
    REQUIRE(pair.requests.size() == 2);
    pair.connection->answer(pair.requests[1], reply_of("two"));
    REQUIRE(pair.exchange());
    CHECK(pair.client.answer(second).body == "two");
    CHECK_FALSE(pair.client.answer(first).complete);
    pair.connection->answer(pair.requests[0], reply_of("one"));
    REQUIRE(pair.exchange());
    CHECK(pair.client.answer(first).body == "one");
}

TEST_CASE("http2: a body beyond the limit is answered before it ends, and the rest is not wanted") {
    runtime::HttpBounds bounds;
    bounds.body_bytes = 4;
    Pair pair(bounds);
    const auto id = pair.client.request("POST", "/", {}, std::string(400'000, 'y'));
    const auto fine = pair.client.request("POST", "/", {}, "four");
    pair.exchange();
    REQUIRE(pair.requests.size() == 2);
    CHECK(pair.requests[0]->request.body_fault == BodyFault::too_large);
    CHECK(pair.requests[0]->request.body.empty());
    CHECK(pair.requests[1]->request.body == "four");
    pair.connection->answer(pair.requests[0], reply_of("too much"));
    REQUIRE(pair.exchange());
    CHECK(pair.client.answer(id).body == "too much");
    CHECK(pair.client.answer(id).closed);
    pair.connection->answer(pair.requests[1], reply_of("fine"));
    REQUIRE(pair.exchange());
    CHECK(pair.client.answer(fine).body == "fine");
}

TEST_CASE("http2: 100 Continue is sent when asked for") {
    Pair pair;
    const auto id = pair.client.request("POST", "/", {{"expect", "100-continue"}}, "", true);
    REQUIRE(pair.exchange());
    CHECK(pair.client.answer(id).informational == 1);
}

TEST_CASE("http2: heads beyond a bound get its status") {
    struct Row {
        const char* name;
        std::size_t target, field, count;
        const char* status;
    };
    runtime::HttpBounds bounds;
    bounds.head_bytes = 4096;
    bounds.target_bytes = 1000;
    bounds.head_fields = 20;
    const auto row = GENERATE(values<Row>({
        {"all within", 900, 800, 3, "200"},
        {"target", 1001, 10, 1, "414"},
        {"size", 10, 1000, 4, "431"},
        {"number of fields", 10, 10, 21, "431"},
    }));
    INFO(row.name);
    Pair pair(bounds);
    Http2Client::Fields fields;
    for (std::size_t i = 0; i < row.count; ++i)
        fields.emplace_back("x" + std::to_string(i), std::string(row.field, 'v'));
    const auto id = pair.client.request("GET", "/" + std::string(row.target - 1, 'a'), fields);
    REQUIRE(pair.exchange());
    const bool refused = std::string(row.status) != "200";
    CHECK(pair.requests.size() == (refused ? 0 : 1));
    for (const auto& stream : pair.requests) pair.connection->answer(stream, reply_of(""));
    REQUIRE(pair.exchange());
    CHECK(pair.client.answer(id).status() == row.status);
    CHECK(pair.counters.heads_refused.value() == (refused ? 1 : 0));
}

TEST_CASE("http2: a head that is far too large is not read to its end") {
    runtime::HttpBounds bounds;
    bounds.head_bytes = 4096;
    Pair pair(bounds);
    Http2Client::Fields fields;
    for (int i = 0; i < 40; ++i) fields.emplace_back("x", std::string(1000, 'v'));
    const auto id = pair.client.request("GET", "/", fields);
    REQUIRE(pair.exchange());
    CHECK(pair.client.answer(id).closed);
    CHECK(pair.client.answer(id).error != 0);
    CHECK(pair.connection->is_idle());
    CHECK(pair.counters.heads_refused.value() == 1);
}

TEST_CASE("http2: streams beyond the bound are refused by the protocol") {
    runtime::HttpBounds bounds;
    bounds.streams = 2;
    Pair pair(bounds);
    pair.client.request("GET", "/1");
    pair.client.request("GET", "/2");
    pair.client.request("GET", "/3");
    pair.exchange();
    CHECK(pair.requests.size() == 2);
}

TEST_CASE("http2: each stage of a stream ends at its limit and is counted") {
    runtime::HttpBounds bounds;
    bounds.body = 5s;
    bounds.write = 7s;
    Pair pair(bounds);
    SECTION("body") {
        const auto id = pair.client.request("POST", "/", {}, "", true);
        REQUIRE(pair.exchange());
        pair.pass(4900ms);
        CHECK_FALSE(pair.client.answer(id).closed);
        pair.pass(200ms);
        CHECK(pair.client.answer(id).error == NGHTTP2_CANCEL);
        CHECK(pair.counters.timeouts_body.value() == 1);
    }
    SECTION("an answer that the peer gives no window for") {
        pair.client.stream_window(10);
        const auto id = pair.client.request("GET", "/");
        REQUIRE(pair.exchange());
        pair.clock.advance(1h);  // a handler's time is its own
        CHECK_FALSE(pair.connection->expire_streams(pair.clock.now()));
        // The client library opens the window again as it reads; so what arrives is not shown to
        // it.
        pair.connection->answer(pair.requests.at(0), reply_of(std::string(100, 'z')));
        std::string unread;
        pair.connection->produce(unread, 1 << 20);
        pair.clock.advance(7s);
        CHECK(pair.connection->expire_streams(pair.clock.now()));
        REQUIRE(pair.client.input(unread));
        pair.exchange();
        CHECK(pair.client.answer(id).body.size() == 10);
        CHECK(pair.client.answer(id).error == NGHTTP2_CANCEL);
        CHECK(pair.counters.timeouts_write.value() == 1);
    }
    CHECK(pair.connection->is_idle());
}

TEST_CASE("http2: a peer that opens streams and resets them is told to calm down") {
    runtime::HttpBounds bounds;
    bounds.stream_resets = 10;
    Pair pair(bounds);
    bool sound = true;
    for (int i = 0; i < 11; ++i) {
        CHECK(sound);
        const auto id = pair.client.request("GET", "/");
        sound = pair.exchange() && sound;
        pair.client.reset(id);
        sound = pair.exchange() && sound;
    }
    CHECK_FALSE(sound);
    CHECK(pair.client.goaway_error() == NGHTTP2_ENHANCE_YOUR_CALM);
    CHECK(pair.counters.http2_floods.value() == 1);
}

TEST_CASE("http2: a peer that sends frames without a request is told to calm down") {
    struct Row {
        const char* name;
        std::string frame;
    };
    const auto row = GENERATE(values<Row>({
        {"ping", test::http2_frame(NGHTTP2_PING, 0, 0, "12345678")},
        {"settings", test::http2_frame(NGHTTP2_SETTINGS, 0, 0, "")},
        {"window update",
         test::http2_frame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\0\0\0\1", 4))},
        {"empty data", test::http2_frame(NGHTTP2_DATA, 0, 1, "")},
    }));
    INFO(row.name);
    runtime::HttpBounds bounds;
    bounds.control_frames = 20;
    Pair pair(bounds);
    pair.client.request("POST", "/", {}, "", true);  // stream 1 stays open
    REQUIRE(pair.exchange());
    bool sound = true;
    std::string sent;
    for (int i = 0; i < 21; ++i) {
        sound = pair.connection->receive(row.frame) && sound;
        pair.connection->produce(sent, std::size_t{1} << 30);
    }
    CHECK_FALSE(sound);
    CHECK(sent.ends_with(std::string("\0\0\0\x0B", 4)));  // the error code that GOAWAY ends with
    CHECK(pair.counters.http2_floods.value() == 1);
}

TEST_CASE("http2: what is no HTTP/2 ends the connection") {
    const auto bytes =
        GENERATE(as<std::string>{}, "GET / HTTP/1.1\r\n\r\n", std::string(64, '\0'),
                 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + test::http2_frame(NGHTTP2_DATA, 0, 1, "x"),
                 "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\xFF\xFF\xFF\0\0\0\0\0\0", 9));
    Pair pair;
    const bool sound = pair.connection->receive(bytes);
    std::string down;
    pair.connection->produce(down, 1 << 20);
    CHECK((!sound || pair.connection->finished()));
    CHECK(pair.connection->take_complete().empty());
}

TEST_CASE("http2: shutting down serves what is open and takes no more") {
    Pair pair;
    const auto id = pair.client.request("GET", "/open");
    REQUIRE(pair.exchange());
    pair.connection->shut_down();
    REQUIRE(pair.exchange());
    CHECK(pair.client.goaway());
    CHECK_FALSE(pair.connection->finished());
    pair.connection->answer(pair.requests.at(0), reply_of("last"));
    REQUIRE(pair.exchange());
    CHECK(pair.client.answer(id).body == "last");
    CHECK(pair.connection->finished());
}

TEST_CASE("http2: an answer to a stream that is gone goes nowhere") {
    Pair pair;
    const auto id = pair.client.request("GET", "/");
    REQUIRE(pair.exchange());
    pair.client.reset(id);
    REQUIRE(pair.exchange());
    CHECK(pair.connection->is_idle());
    pair.connection->answer(pair.requests.at(0), reply_of("late"));
    REQUIRE(pair.exchange());
    CHECK(pair.client.answer(id).body.empty());
}
