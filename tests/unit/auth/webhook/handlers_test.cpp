#include "auth/webhook/handlers.hpp"

#include "tests/support/manual_clock.hpp"
#include "tests/unit/auth/boot_bodies.hpp"
#include "tests/unit/auth/webhook/fake_backend.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

using auth::BootKind;
using auth::Decision;
using auth::Failure;
using auth::FailureKind;
using auth::FullLengths;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;
using test::boot_body;
using test::repeat;

namespace {

constexpr const char* kJson = "application/json; charset=utf-8";

struct Service {
    explicit Service(FullLengths full_lengths = FullLengths::from_kms)
        : handlers(clock, backend, {.full_lengths = full_lengths}) {}

    HttpServerReply ask(const HttpServerRequest& request) {
        return test::run(io, handlers.handle(request, runtime::Deadline::after(
                                                          clock.now(), std::chrono::seconds(5))));
    }

    boost::asio::io_context io;
    test::ManualClock clock;
    test::FakeBackend backend;
    auth::Handlers handlers;
};

HttpServerRequest request_to(std::string method, std::string target) {
    HttpServerRequest request;
    request.method = std::move(method);
    request.target = std::move(target);
    request.path = request.target.substr(0, request.target.find('?'));
    return request;
}

HttpServerRequest post(std::string target, std::string body,
                       std::string content_type = "application/json") {
    auto request = request_to("POST", std::move(target));
    request.body = std::move(body);
    if (!content_type.empty()) request.headers.push_back({"Content-Type", std::move(content_type)});
    return request;
}

std::string invalid(const std::string& detail) {
    return R"({"isAllowed":false,"reason":"invalid authorization request: )" + detail +
           R"(","gatewayAppId":""})";
}

}  // namespace

TEST_CASE("a decision is passed on, whatever it is") {
    struct Row {
        std::string target;
        BootKind kind;
        Decision decision;
        std::string body;
    };
    const auto row = GENERATE(values<Row>({
        {"/bootAuth/app",
         BootKind::app,
         {true, "", "0xGw"},
         R"({"isAllowed":true,"reason":"","gatewayAppId":"0xGw"})"},
        {"/bootAuth/kms",
         BootKind::kms,
         {true, "", "0xGw"},
         R"({"isAllowed":true,"reason":"","gatewayAppId":"0xGw"})"},
        {"/bootAuth/app?x=/bootAuth/kms",
         BootKind::app,
         {false, "no \"way\"", ""},
         R"({"isAllowed":false,"reason":"no \"way\"","gatewayAppId":""})"},
        {"/bootAuth/kms",
         BootKind::kms,
         {false, "", "gw"},
         R"({"isAllowed":false,"reason":"","gatewayAppId":"gw"})"},
    }));
    INFO(row.target);
    Service service;
    service.backend.decision = row.decision;
    const auto reply = service.ask(post(row.target, boot_body({{"advisoryIds", "[\"A\"]"}})));
    CHECK(reply.status == 200);
    CHECK(reply.content_type == kJson);
    CHECK(reply.body == row.body);
    REQUIRE(service.backend.asked.size() == 1);
    CHECK(service.backend.asked[0].first == row.kind);
    CHECK(service.backend.asked[0].second.app_id == repeat("75", 20));
    CHECK(service.backend.asked[0].second.advisory_ids == std::vector<std::string>{"A"});
    CHECK(service.backend.deadline ==
          runtime::Deadline::after(service.clock.now(), std::chrono::seconds(5)));
}

TEST_CASE("decisions are not remembered") {
    Service service;
    const auto request = post("/bootAuth/app", boot_body());
    service.backend.decision = Decision{true, "", ""};
    CHECK(service.ask(request).body == R"({"isAllowed":true,"reason":"","gatewayAppId":""})");
    service.backend.decision = Decision{false, "revoked", ""};
    CHECK(service.ask(request).body ==
          R"({"isAllowed":false,"reason":"revoked","gatewayAppId":""})");
    service.backend.decision = tl::unexpected(Failure{FailureKind::timed_out, 0});
    CHECK(
        service.ask(request).body ==
        R"({"isAllowed":false,"reason":"authorization backend unavailable: timed out","gatewayAppId":""})");
    CHECK(service.backend.asked.size() == 3);
}

TEST_CASE("an authority that cannot be asked is 200 for a decision, 500 or 503 for facts") {
    struct Row {
        Failure failure;
        unsigned info_status;
        std::string text;
    };
    const auto row = GENERATE(values<Row>({
        {{FailureKind::cannot_connect, 0}, 500, "cannot connect"},
        {{FailureKind::http_status, 502}, 500, "HTTP 502"},
        {{FailureKind::rpc_error, -32005}, 500, "RPC error -32005"},
        {{FailureKind::busy, 0}, 503, "busy"},
    }));
    INFO(row.text);
    Service service;
    service.backend.decision = tl::unexpected(row.failure);
    service.backend.facts = tl::unexpected(row.failure);
    const auto decision = service.ask(post("/bootAuth/app", boot_body()));
    CHECK(decision.status == 200);
    CHECK(decision.body == R"({"isAllowed":false,"reason":"authorization backend unavailable: )" +
                               row.text + R"(","gatewayAppId":""})");
    const auto info = service.ask(request_to("GET", "/"));
    CHECK(info.status == row.info_status);
    CHECK(info.body ==
          R"({"status":"error","message":"authorization backend unavailable: )" + row.text + "\"}");
    CHECK(info.content_type == kJson);
}

TEST_CASE("facts are given for GET and HEAD, with any query") {
    Service service;
    service.backend.facts->gateway_app_id = "gw";
    const std::string facts =
        R"({"status":"ok","kmsContractAddr":"","gatewayAppId":"gw","chainId":0,)"
        R"("appAuthImplementation":"","appImplementation":""})";
    for (const auto& request :
         {request_to("GET", "/"), request_to("HEAD", "/"), request_to("GET", "/?a=/health")}) {
        const auto reply = service.ask(request);
        CHECK(reply.status == 200);
        CHECK(reply.content_type == kJson);
        CHECK(reply.body == facts);
    }
}

TEST_CASE("everything else is 404, and nobody is asked") {
    Service service;
    const auto request = GENERATE(values<HttpServerRequest>({
        request_to("GET", "/health"),
        request_to("GET", "//"),
        request_to("GET", "/bootAuth/app"),
        request_to("HEAD", "/bootAuth/kms"),
        request_to("OPTIONS", "/"),
        request_to("POST", "/"),
        request_to("PUT", "/bootAuth/app"),
        post("/bootAuth/app/", boot_body()),
        post("/bootAuth", boot_body()),
        post("//bootAuth/app", boot_body()),
        post("/bootauth/app", boot_body()),
        post("/bootAuth/%61pp", boot_body()),
        post("/metrics", ""),
        request_to("get", "/"),
    }));
    INFO(request.method << " " << request.target);
    const auto reply = service.ask(request);
    CHECK(reply.status == 404);
    CHECK(reply.content_type == kJson);
    CHECK(reply.body == R"({"message":"Route )" + request.method + ":" + request.target +
                            R"( not found","error":"Not Found","statusCode":404})");
    CHECK(service.backend.asked.empty());
    CHECK_FALSE(service.backend.deadline.has_value());
}

TEST_CASE("what is wrong with a request is said, and nobody is asked") {
    Service service;
    auto too_large = post("/bootAuth/app", "");
    too_large.body_fault = runtime::BodyFault::too_large;
    auto broken = post("/bootAuth/app", "");
    broken.body_fault = runtime::BodyFault::broken;
    struct Row {
        std::string name;
        HttpServerRequest request;
        unsigned status;
        std::string detail;
    };
    const auto row = GENERATE_COPY(values<Row>({
        {"too large", too_large, 413, "the body is longer than 1 MiB"},
        {"cut body", broken, 400, "the body ended too early"},
        {"nothing", post("/bootAuth/app", "", ""), 400, "the body is empty"},
        {"empty JSON", post("/bootAuth/app", ""), 400, "the body is empty"},
        {"no content type", post("/bootAuth/app", boot_body(), ""), 415,
         "the content type must be application/json"},
        {"plain text", post("/bootAuth/app", boot_body(), "text/plain; charset=utf-8"), 400,
         "the content type must be application/json, not text/plain"},
        {"form", post("/bootAuth/kms", boot_body(), "application/x-www-form-urlencoded"), 415,
         "the content type must be application/json"},
        {"problem JSON", post("/bootAuth/kms", boot_body(), "application/problem+json"), 415,
         "the content type must be application/json"},
        {"longer type", post("/bootAuth/kms", boot_body(), "application/jsonx"), 415,
         "the content type must be application/json"},
        {"malformed", post("/bootAuth/app", "{bad"), 400, "malformed JSON at byte 1"},
        {"missing", post("/bootAuth/app", "{}"), 400, "'mrAggregated' is missing"},
    }));
    INFO(row.name);
    const auto reply = service.ask(row.request);
    CHECK(reply.status == row.status);
    CHECK(reply.content_type == kJson);
    CHECK(reply.body == invalid(row.detail));
    CHECK(service.backend.asked.empty());
}

TEST_CASE("content types are compared without case and parameters") {
    Service service;
    const std::string type =
        GENERATE("application/json", "Application/JSON", " application/json ;charset=utf-8",
                 "application/json; charset=\"latin1\"");
    INFO(type);
    CHECK(service.ask(post("/bootAuth/app", boot_body(), type)).status == 200);
    CHECK(service.backend.asked.size() == 1);
}

TEST_CASE("full lengths are demanded as configured") {
    const auto status = [](FullLengths full_lengths, const char* agent) {
        Service service(full_lengths);
        auto request =
            post("/bootAuth/app", boot_body({{"composeHash", '"' + repeat("d1", 31) + '"'}}));
        request.headers.push_back({"User-Agent", agent});
        return service.ask(request).status;
    };
    CHECK(status(FullLengths::from_kms, "dstack-kms/0.5.5") == 400);
    CHECK(status(FullLengths::from_kms, "curl/8") == 200);
    CHECK(status(FullLengths::from_kms, "not dstack-kms") == 200);
    CHECK(status(FullLengths::always, "curl/8") == 400);
    CHECK(status(FullLengths::never, "dstack-kms/0.5.5") == 200);
}

TEST_CASE("a backend may take ids that are no hexadecimal digits") {
    Service service;
    const auto request = post("/bootAuth/app", boot_body({{"appId", "\"hello\""}}));
    CHECK(service.ask(request).status == 400);
    service.backend.rules.check_hex = false;
    CHECK(service.ask(request).status == 200);
}

TEST_CASE("metrics count requests by route and outcome, and failures by category") {
    Service service;
    service.backend.decision = Decision{true, "", ""};
    service.ask(post("/bootAuth/app", boot_body()));
    service.ask(post("/bootAuth/app", boot_body()));
    service.backend.decision = Decision{false, "no", ""};
    service.ask(post("/bootAuth/kms", boot_body()));
    service.backend.decision = tl::unexpected(Failure{FailureKind::rate_limited, 0});
    service.ask(post("/bootAuth/kms", boot_body()));
    service.ask(post("/bootAuth/kms", "x"));
    service.ask(request_to("GET", "/"));
    service.ask(request_to("GET", "/health"));
    service.handlers.add_metrics_source([](runtime::MetricsText& metrics) {
        metrics.family("extra_total", runtime::MetricKind::counter, "More");
        metrics.sample(std::uint64_t{3});
    });
    const auto reply = service.ask(request_to("GET", "/metrics?x"));
    CHECK(reply.status == 200);
    CHECK(reply.content_type ==
          runtime::MetricsText::content_type(runtime::MetricsText::Format::prometheus));
    for (const std::string line :
         {"auth_requests_total{route=\"app\",outcome=\"allowed\"} 2",
          "auth_requests_total{route=\"kms\",outcome=\"denied\"} 1",
          "auth_requests_total{route=\"kms\",outcome=\"unavailable\"} 1",
          "auth_requests_total{route=\"kms\",outcome=\"invalid\"} 1",
          "auth_requests_total{route=\"info\",outcome=\"answered\"} 1",
          "auth_requests_total{route=\"other\",outcome=\"unknown_route\"} 1",
          "auth_failures_total{category=\"rate_limited\"} 1",
          "auth_failures_total{category=\"timed_out\"} 0",
          "auth_request_duration_seconds_count{route=\"app\"} 2", "fake_backend 7",
          "extra_total 3"}) {
        INFO(line);
        CHECK(reply.body.find("\n" + line + "\n") != std::string::npos);
    }
    CHECK(reply.body.find("route=\"app\",outcome=\"denied\"") == std::string::npos);
    CHECK(reply.body.find("backend=\"fake\"") != std::string::npos);
}
