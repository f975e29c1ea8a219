#include "tests/support/fake_http_client.hpp"

#include "tests/support/manual_clock.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using runtime::HttpExchange;
using runtime::HttpFault;
using test::FakeHttpClient;
using Reply = test::FakeHttpClient::Reply;

namespace {

struct Fixture {
    boost::asio::io_context io;
    test::ManualClock clock;
    FakeHttpClient client{clock};

    void start(const std::string& url, std::optional<HttpExchange>& result) {
        runtime::HttpClientRequest request;
        request.url = url;
        boost::asio::co_spawn(io,
                              client.exchange(request, runtime::Deadline::after(clock.now(), 3s)),
                              [&result](const std::exception_ptr&, HttpExchange exchange) {
                                  result = std::move(exchange);
                              });
        test::run_ready(io);
    }
};

}  // namespace

TEST_CASE("the fake client plays its replies in order, then asks its handler") {
    Fixture fixture;
    std::optional<HttpExchange> first, second, third, fourth;
    fixture.client.add(Reply::ok("one", 201, {{"retry-after", "2"}}));
    fixture.client.add(Reply::fault(HttpFault::closed).on_reused_connection());
    fixture.start("http://a/", first);
    fixture.start("http://b/", second);
    fixture.start("http://c/", third);
    fixture.client.handle(
        [](const runtime::HttpClientRequest& request) { return Reply::ok("for " + request.url); });
    fixture.start("http://d/", fourth);

    CHECK(first.value().status == 201);
    CHECK(first.value().header("retry-after") == "2");
    CHECK(second.value().fault == HttpFault::closed);
    CHECK(second.value().reused_connection);
    CHECK(third.value().fault == HttpFault::internal);
    CHECK(fourth.value().body == "for http://d/");
    REQUIRE(fixture.client.asked().size() == 4);
    CHECK(fixture.client.asked()[1].request.url == "http://b/");
}

TEST_CASE("the fake client keeps deadlines") {
    Fixture fixture;
    std::optional<HttpExchange> slow, too_slow, hung;
    fixture.client.add(Reply::ok("slow").later(2s));
    fixture.client.add(Reply::ok("too slow").later(3s));
    fixture.client.add(Reply::hang());
    fixture.start("http://a/", slow);
    fixture.start("http://b/", too_slow);
    fixture.start("http://c/", hung);
    CHECK(fixture.client.in_flight() == 3);

    fixture.clock.advance(2s);
    test::run_ready(fixture.io);
    CHECK(slow.value().body == "slow");
    CHECK_FALSE(too_slow.has_value());
    fixture.clock.advance(1s);
    test::run_ready(fixture.io);
    CHECK(too_slow.value().fault == HttpFault::timed_out);
    CHECK(hung.value().fault == HttpFault::timed_out);
    CHECK(fixture.client.in_flight() == 0);
}
