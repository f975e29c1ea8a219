// Requests as they go out, answers as they come back.
#include "tests/unit/runtime/http_client_fixture.hpp"

#include <cstdlib>

#include <unistd.h>

using namespace std::chrono_literals;
using runtime::HttpClientRequest;
using runtime::HttpFault;
using test::HttpClientFixture;
using test::Script;
using test::ScriptedServer;

namespace {

bool has_line(const std::string& request, const std::string& line) {
    return request.find("\r\n" + line + "\r\n") != std::string::npos ||
           request.starts_with(line + "\r\n");
}

HttpClientRequest request_to(const std::string& url) {
    HttpClientRequest request;
    request.url = url;
    return request;
}

}  // namespace

TEST_CASE("an answer arrives with its status, headers, body and times") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::status(404, "no such page",
                                                     "X-Mixed-Case:  spaced out \r\nEmpty:\r\n"));
    const auto exchange = fixture.get(server.url("/a/b?c=d"));
    CHECK(exchange.ok());
    CHECK(exchange.fault_detail.empty());
    CHECK(exchange.status == 404);
    CHECK(exchange.body == "no such page");
    CHECK(exchange.header("x-mixed-case") == "spaced out");
    CHECK(exchange.header("empty").empty());
    CHECK(exchange.header("absent").empty());
    CHECK(exchange.request_sent);
    CHECK_FALSE(exchange.reused_connection);
    CHECK(exchange.times.connected > 0us);
    CHECK(exchange.times.first_byte >= exchange.times.connected);
    CHECK(exchange.times.tls == 0us);
    REQUIRE(server.requests().size() == 1);
    CHECK(has_line(server.requests()[0], "GET /a/b?c=d HTTP/1.1"));
}

TEMPLATE_TEST_CASE("answers in all their forms", "", runtime::CurlHttpClient,
                   runtime::PlainHttpClient) {
    struct Row {
        const char* name;
        const char* method;
        std::string answer;
        bool closes;
        unsigned status;
        std::string body;
    };
    const auto row = GENERATE(values<Row>({
        {"chunked, with a trailer that is not a header", "GET",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
         "chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX-Checked: trailer\r\n\r\n",
         false, 200, "abcde"},
        {"until the end of the connection", "GET", "HTTP/1.1 200 OK\r\n\r\nall there is", true, 200,
         "all there is"},
        {"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", true, 200, "ok"},
        {"no body", "GET", "HTTP/1.1 204 No Content\r\n\r\n", false, 204, ""},
        {"interim answers before the real one", "POST",
         "HTTP/1.1 100 Continue\r\nX-Checked: interim\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: "
         "</a>\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
         false, 200, "ok"},
        {"a length that HEAD never delivers", "HEAD",
         "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", false, 200, ""},
        {"a redirect is an answer, not an order", "GET",
         "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", false,
         302, ""},
        {"bytes that are not text", "GET",
         std::string("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x00\xff\x0a", 41), false, 200,
         std::string("\x00\xff\x0a", 3)},
    }));
    INFO(row.name);
    test::BasicHttpClientFixture<TestType> fixture;
    Script script;
    script.answer = row.answer;
    script.end = row.closes ? Script::End::close : Script::End::keep;
    ScriptedServer server(fixture.io, script);
    auto request = request_to(server.url());
    request.method = row.method;
    const auto exchange = fixture.get(request);
    CHECK(exchange.fault_detail == "");
    CHECK(exchange.status == row.status);
    CHECK(exchange.body == row.body);
    CHECK(exchange.header("x-checked") == "");
}

TEST_CASE("requests carry what was asked for and nothing curl would add") {
    struct Row {
        const char* name;
        const char* method;
        std::string body;
        std::vector<std::pair<std::string, std::string>> headers;
        std::vector<std::string> lines;
        std::vector<std::string> absent;
    };
    const std::string large(2 * 1024 * 1024, 'b');
    const auto row = GENERATE_REF(values<Row>({
        {"GET",
         "GET",
         "",
         {},
         {"GET / HTTP/1.1", "Accept: */*"},
         {"Content-", "User-Agent", "Expect", "Authorization"}},
        {"POST",
         "POST",
         "{}",
         {{"content-type", "application/json"}},
         {"POST / HTTP/1.1", "Content-Length: 2", "content-type: application/json"},
         {"urlencoded", "Expect"}},
        {"POST without a body",
         "POST",
         "",
         {},
         {"POST / HTTP/1.1", "Content-Length: 0"},
         {"Content-Type"}},
        {"a large body is sent without asking first",
         "POST",
         large,
         {},
         {"Content-Length: 2097152"},
         {"Expect"}},
        {"GET with a body",
         "GET",
         "q",
         {},
         {"GET / HTTP/1.1", "Content-Length: 1"},
         {"Content-Type"}},
        {"PUT",
         "PUT",
         "x",
         {},
         {"PUT / HTTP/1.1", "Content-Length: 1"},
         {"Content-Type", "Expect"}},
        {"DELETE", "DELETE", "", {}, {"DELETE / HTTP/1.1"}, {"Content-Length"}},
        {"headers with and without a value",
         "GET",
         "",
         {{"X-A", "1"}, {"X-B", ""}, {"Accept", "text/plain"}},
         {"X-A: 1", "X-B:", "Accept: text/plain"},
         {"*/*"}},
    }));
    INFO(row.name);
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    auto request = request_to(server.url());
    request.method = row.method;
    request.body = row.body;
    request.headers = row.headers;
    REQUIRE(fixture.get(request).ok());
    const std::string& sent = server.requests().at(0);
    const std::string head = sent.substr(0, sent.find("\r\n\r\n") + 2);
    INFO(head);
    for (const auto& line : row.lines) CHECK(has_line(head, line));
    for (const auto& word : row.absent) CHECK(head.find(word) == std::string::npos);
    CHECK(has_line(head, "Host: 127.0.0.1:" + std::to_string(server.port())));
    CHECK(sent.substr(head.size() + 2) == row.body);
}

TEST_CASE("one request leaves no trace in the next one on the same handle") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    auto first = request_to("http://who:secret@127.0.0.1:" + std::to_string(server.port()) + "/1");
    first.method = "PATCH";
    first.body = "body";
    first.headers = {{"X-Once", "1"}};
    REQUIRE(fixture.get(first).ok());
    auto head = request_to(server.url("/2"));
    head.method = "HEAD";
    REQUIRE(fixture.get(head).ok());
    server.behave(Script::ok("3"));
    const auto third = fixture.get(server.url("/3"));
    CHECK(third.body == "3");
    REQUIRE(server.requests().size() == 3);
    CHECK(has_line(server.requests()[2], "GET /3 HTTP/1.1"));
    for (const char* word : {"X-Once", "Authorization", "Content-Length", "Expect"})
        CHECK(server.requests()[2].find(word) == std::string::npos);
}

TEST_CASE("user info becomes Basic authentication, percent-decoded") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    REQUIRE(fixture.get("http://who:p%40ss@127.0.0.1:" + std::to_string(server.port()) + "/").ok());
    CHECK(has_line(server.requests().at(0), "Authorization: Basic d2hvOnBAc3M="));
}

TEST_CASE("the user agent is sent when there is one") {
    runtime::CurlHttpClient::Options options;
    options.user_agent = "dstack-kms/1.0";
    HttpClientFixture fixture(options);
    ScriptedServer server(fixture.io);
    REQUIRE(fixture.get(server.url()).ok());
    CHECK(has_line(server.requests().at(0), "User-Agent: dstack-kms/1.0"));
}

TEST_CASE("requests that would break the line structure are refused") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    auto request = request_to(server.url());
    SECTION("a line break in a value") {
        request.headers = {{"X-A", "1\r\nX-B: 2"}};
    }
    SECTION("a zero in a value") {
        request.headers = {{"X-A", std::string("1\0", 2)}};
    }
    SECTION("a colon in a name") {
        request.headers = {{"X-A:", "1"}};
    }
    SECTION("an empty name") {
        request.headers = {{"", "1"}};
    }
    SECTION("a method of two words") {
        request.method = "GET /x";
    }
    SECTION("no method") {
        request.method = "";
    }
    const auto exchange = fixture.get(request);
    CHECK(exchange.fault == HttpFault::internal);
    CHECK_FALSE(exchange.request_sent);
    CHECK(server.accepted() == 0);
}

TEST_CASE("unix sockets") {
    HttpClientFixture fixture;
    const std::string path = "/tmp/http-client-test." + std::to_string(::getpid());
    ScriptedServer server(fixture.io, path, Script::ok("by path"));
    auto request = request_to("http://localhost/status");
    request.unix_socket = path;

    SECTION("carry requests, and their connections are kept") {
        for (int i = 0; i < 3; ++i) {
            const auto exchange = fixture.get(request);
            CHECK(exchange.body == "by path");
            CHECK(exchange.reused_connection == (i > 0));
        }
        CHECK(server.accepted() == 1);
        CHECK(has_line(server.requests()[0], "GET /status HTTP/1.1"));
        CHECK(has_line(server.requests()[0], "Host: localhost"));
    }
    SECTION("a kept connection is not taken for TCP to the same host, nor the other way round") {
        ScriptedServer tcp(fixture.io, Script::ok("by port"));
        auto by_port = request_to(tcp.url());
        auto by_path = by_port;
        by_path.unix_socket = path;
        CHECK(fixture.get(by_path).body == "by path");
        CHECK(fixture.get(by_port).body == "by port");
        CHECK(fixture.get(by_path).body == "by path");
    }
    SECTION("nobody listens") {
        server.refuse();
        const auto exchange = fixture.get(request);
        CHECK(exchange.fault == HttpFault::cannot_connect);
        CHECK(exchange.fault_detail ==
              "cannot connect to unix socket " + path +
                  ": Connection refused; check that the service runs and listens there");
        CHECK_FALSE(exchange.request_sent);
    }
    SECTION("no such file") {
        request.unix_socket += ".absent";
        const auto exchange = fixture.get(request);
        CHECK(exchange.fault == HttpFault::cannot_connect);
        CHECK(exchange.fault_detail.find("No such file") != std::string::npos);
    }
    SECTION("a path that no socket can have") {
        request.unix_socket = "/tmp/" + std::string(200, 'x');
        CHECK(fixture.get(request).fault == HttpFault::bad_url);
    }
}

TEST_CASE("proxies of the environment are used only on demand") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::ok("direct"));
    ScriptedServer proxy(fixture.io, Script::ok("by proxy"));
    ::setenv("http_proxy", proxy.url().c_str(), 1);
    auto request = request_to(server.url("/x"));
    const auto direct = fixture.get(request);
    request.use_proxy_from_environment = true;
    const auto by_proxy = fixture.get(request);
    request.use_proxy_from_environment = false;
    const auto direct_again = fixture.get(request);
    ::unsetenv("http_proxy");
    CHECK(direct.body == "direct");
    CHECK(by_proxy.body == "by proxy");
    CHECK(direct_again.body == "direct");
    CHECK(has_line(proxy.requests().at(0), "GET " + server.url("/x") + " HTTP/1.1"));
}

TEST_CASE("a program whose exchanges are over has nothing left to run") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    boost::asio::io_context io;
    runtime::SystemClock clock;
    runtime::CurlHttpClient client(io.get_executor(), clock, {});
    auto request = request_to(server.url());
    request.connect_timeout = 1h;
    const bool answered = GENERATE(true, false);
    if (!answered) {
        server.behave(Script::silent());
        request.url.replace(0, 4, "https");
    }
    test::Watched watched;
    boost::asio::co_spawn(
        io, client.exchange(request, runtime::Deadline::after(clock.now(), 1h)),
        boost::asio::bind_cancellation_slot(
            watched.cancel.slot(), [&](const std::exception_ptr&, runtime::HttpExchange exchange) {
                watched.result = std::move(exchange);
            }));
    // Two loops on one thread: the server's turn, then the client's. The client's stops when
    // nothing is left on it.
    const auto turn = [&](const auto& condition) {
        return test::run_until(fixture.io, [&] {
            io.poll();
            return condition();
        });
    };
    if (!answered) {
        REQUIRE(turn([&] { return server.bytes_read() > 0; }));  // in the middle of the handshake
        REQUIRE_FALSE(io.stopped());
        watched.cancel.emit(boost::asio::cancellation_type::terminal);
    }
    REQUIRE(turn([&] { return watched.over(); }));
    test::run_ready(io);
    CHECK(io.stopped());  // at once, not when some timer has run out
    CHECK(watched.result->ok() == answered);
    if (answered) CHECK(server.open() == 1);  // kept, although nothing waits for it
}

TEST_CASE("origins hold nothing secret") {
    struct Row {
        const char* url;
        const char* origin;
    };
    const auto row = GENERATE(values<Row>({
        {"https://host:8545", "https://host:8545"},
        {"https://host/v2/secret", "https://host"},
        {"https://host?key=secret", "https://host"},
        {"https://host#secret", "https://host"},
        {"http://who:secret@host:1/x", "http://host:1"},
        {"http://who:se@cret@host/x", "http://host"},
        {"http://[::1]:8080/x", "http://[::1]:8080"},
        {"http://[::1]/x", "http://[::1]"},
        {"HTTP://Host", "HTTP://Host"},
        {"http://who:secret/x@host", "(not a URL)"},
        {"who:secret@host", "(not a URL)"},
        {"http://", "(not a URL)"},
        {"://host", "(not a URL)"},
        {"", "(not a URL)"},
        {"http://a b", "(not a URL)"},
    }));
    INFO(row.url);
    CHECK(runtime::url_origin(row.url) == row.origin);
}
