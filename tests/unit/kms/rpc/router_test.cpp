#include "kms/rpc/router.hpp"

#include "kms/rpc/framework_page.hpp"

#include <array>

#include <catch2/catch.hpp>

using namespace kms;

namespace {

constexpr std::array<std::string_view, 2> kPages = {"/health", "/metrics"};
const RouteTable kTable{"KMS.", kPages};

runtime::HttpServerRequest request(std::string method, std::string target,
                                   std::string content_type = "") {
    runtime::HttpServerRequest request;
    request.method = std::move(method);
    request.target = target;
    const auto question = target.find('?');
    request.path = target.substr(0, question);
    if (question != std::string::npos) request.query = target.substr(question + 1);
    if (!content_type.empty()) request.headers.push_back({"Content-Type", std::move(content_type)});
    return request;
}

std::string show(const Route& route) {
    switch (route.kind) {
        case Route::Kind::rpc:
            return "rpc " + route.method + (route.format == Format::json ? " json" : " protobuf") +
                   (route.early_error_format != route.format ? " (early errors differ)" : "") +
                   (route.arguments_in_query ? " query" : " body");
        case Route::Kind::page:
            return "page " + route.page;
        case Route::Kind::failure:
            return "failure " + std::to_string(route.status);
        case Route::Kind::refused:
            return "refused " + std::to_string(route.status);
    }
    return "";
}

}  // namespace

TEST_CASE("which request goes where") {
    struct Row {
        std::string method, target, content_type, route;
    };
    const auto row = GENERATE(values<Row>({
        {"GET", "/prpc/GetMeta", "", "rpc GetMeta json query"},
        {"HEAD", "/prpc/GetMeta", "", "rpc GetMeta json query"},
        {"POST", "/prpc/GetMeta", "", "rpc GetMeta protobuf body"},
        {"POST", "/prpc/KMS.GetMeta", "", "rpc GetMeta protobuf body"},
        {"POST", "/prpc/KMS.KMS.GetMeta", "", "rpc GetMeta protobuf body"},
        {"POST", "/prpc/KMS%2EGet%4Deta", "", "rpc GetMeta protobuf body"},
        {"GET", "/prpc/Onboard.Bootstrap", "", "rpc Onboard.Bootstrap json query"},
        {"GET", "/prpc/KMS.", "", "rpc  json query"},
        {"GET", "/prpc/%ff", "", "rpc \xEF\xBF\xBD json query"},
        {"GET", "/prpc/%", "", "rpc % json query"},
        {"GET", "/prpc/a%2fb", "", "rpc a/b json query"},
        {"GET", "//prpc///GetMeta", "", "rpc GetMeta json query"},
        {"POST", "/prpc/GetMeta?json", "", "rpc GetMeta json body"},
        {"POST", "/prpc/GetMeta?json=", "", "rpc GetMeta json body"},
        {"POST", "/prpc/GetMeta?json=1", "", "rpc GetMeta json body"},
        {"POST", "/prpc/GetMeta?json=true", "", "rpc GetMeta json body"},
        {"POST", "/prpc/GetMeta?x=1&jso%6e", "", "rpc GetMeta json body"},
        {"POST", "/prpc/GetMeta?json=TRUE", "", "rpc GetMeta protobuf body"},
        {"POST", "/prpc/GetMeta?json=0&json=1", "", "rpc GetMeta protobuf body"},
        {"POST", "/prpc/GetMeta?JSON", "", "rpc GetMeta protobuf body"},
        {"POST", "/prpc/GetMeta", "application/json",
         "rpc GetMeta json (early errors differ) body"},
        {"POST", "/prpc/GetMeta", " Application/JSON ; charset=utf-8",
         "rpc GetMeta json (early errors differ) body"},
        {"POST", "/prpc/GetMeta", "text/json", "rpc GetMeta protobuf body"},
        {"POST", "/prpc/GetMeta", "application/jsonx", "rpc GetMeta protobuf body"},
        {"GET", "/health", "", "page /health"},
        {"HEAD", "/metrics", "", "page /metrics"},
        {"POST", "/health", "", "failure 404"},
        {"GET", "/health/", "", "failure 404"},
        {"GET", "/", "", "failure 404"},
        {"GET", "/prpc", "", "failure 404"},
        {"GET", "/prpc/", "", "failure 422"},
        {"POST", "//prpc//", "", "failure 422"},
        {"GET", "/prpc/GetMeta/", "", "failure 404"},
        {"GET", "/prpc/a/b", "", "failure 404"},
        {"GET", "/PRPC/GetMeta", "", "failure 404"},
        {"GET", "/prpc/./GetMeta", "", "failure 404"},
        {"GET", "/prpc/..", "", "failure 404"},
        {"GET", "*", "", "failure 404"},
        {"PUT", "/prpc/GetMeta", "", "failure 404"},
        {"CONNECT", "host:443", "", "failure 404"},
        {"FOO", "/prpc/GetMeta", "", "failure 400"},
        {"GET", "prpc/GetMeta", "", "refused 400"},
        {"GET", "/prpc/GetMeta?\"", "", "refused 400"},
    }));
    INFO(row.method << " " << row.target);
    CHECK(show(find_route(request(row.method, row.target, row.content_type), kTable)) == row.route);
}

TEST_CASE("body limits are per method, in any letter case") {
    const BodyLimits limits{{"getmeta", 5}};
    const auto limit = [&](const std::string& target) {
        return body_limit(request("POST", target), kTable, limits, 100);
    };
    CHECK(limit("/prpc/GetMeta") == 5);
    CHECK(limit("/prpc/KMS.getMETA?json") == 5);
    CHECK(limit("/prpc/GetTempCaCert") == 100);
    CHECK(limit("/other") == 100);
}

TEST_CASE("the most preferred type decides about the form of an error page") {
    struct Row {
        std::string accept;
        bool json;
    };
    const auto row = GENERATE(values<Row>({
        {"", false},
        {"application/json", true},
        {"*/*", false},
        {"application/xml", false},
        {"text/html, application/json", false},
        {"application/json, text/html", true},
        {"text/html;q=0.1, application/json", true},
        {"application/json;q=0.5, text/html;q=0.4", true},
        {"application/json;q=0.4, text/html;q=0.5", false},
        {"application/JSON;charset=utf-8;q=0.9,*/*;q=0.8", true},
    }));
    INFO(row.accept);
    CHECK(prefers_json(row.accept) == row.json);
}

TEST_CASE("error pages") {
    const auto json = error_page(404, true);
    CHECK(json.status == 404);
    CHECK(json.content_type == "application/json");
    CHECK(json.body ==
          "{\n  \"error\": {\n    \"code\": 404,\n    \"reason\": \"Not Found\",\n    "
          "\"description\": \"The requested "
          "resource could not be found.\"\n  }\n}");
    const auto html = error_page(422, false);
    CHECK(html.content_type == "text/html; charset=utf-8");
    CHECK(html.body.find("<title>422 Unprocessable Entity</title>") != std::string::npos);
}
