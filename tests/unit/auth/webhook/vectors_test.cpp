// The recorded exchanges of a running dstack auth-eth, replayed against our handlers. The backend
// is told what the recorded answer says, so what is compared is everything that needs no chain:
// routes, validation, codes and bytes.
#include "auth/webhook/handlers.hpp"
#include "launcher/runtime/config.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/unit/auth/webhook/fake_backend.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <catch2/catch.hpp>

namespace json = boost::json;

namespace {

json::value vectors(const std::string& name) {
    const auto text = runtime::read_file(TEST_VECTORS "/auth/" + name, 4 * 1024 * 1024);
    REQUIRE(text.has_value());
    return json::parse(*text);
}

std::string text_of(const json::value& object, const char* name) {
    const auto* found = object.as_object().if_contains(name);
    return found == nullptr ? ""
                            : std::string(found->as_string().c_str(), found->as_string().size());
}

runtime::HttpServerRequest request_of(const json::value& vector) {
    const auto& recorded = vector.at("request");
    runtime::HttpServerRequest request;
    request.method = text_of(recorded, "method");
    request.target = text_of(recorded, "path");
    request.path = request.target.substr(0, request.target.find('?'));
    request.body = text_of(recorded, "body");
    if (const auto* headers = recorded.as_object().if_contains("headers"))
        for (const auto& header : headers->as_object())
            request.headers.push_back({header.key_c_str(), header.value().as_string().c_str()});
    return request;
}

/// The body with what may follow one of the two sentences removed.
std::string without_detail(std::string body) {
    for (const std::string sentence :
         {"authorization backend unavailable", "invalid authorization request"}) {
        const auto start = body.find(sentence + ": ");
        if (start == std::string::npos) continue;
        const auto end = body.find('"', start);
        body.erase(start + sentence.size(), end - start - sentence.size());
    }
    return body;
}

/// Makes the backend say what the recorded body says.
void teach(test::FakeBackend& backend, const std::string& body, bool unavailable) {
    const auto recorded = json::parse(body);
    const auto& members = recorded.as_object();
    if (unavailable) {
        backend.facts = tl::unexpected(auth::Failure{auth::FailureKind::undecodable, 0});
        backend.decision = tl::unexpected(auth::Failure{auth::FailureKind::undecodable, 0});
    } else if (members.contains("isAllowed")) {
        backend.decision =
            auth::Decision{members.at("isAllowed").as_bool(), text_of(recorded, "reason"),
                           text_of(recorded, "gatewayAppId")};
    } else if (members.contains("kmsContractAddr")) {
        backend.facts = auth::Info{.kms_contract_addr = text_of(recorded, "kmsContractAddr"),
                                   .eth_rpc_url = text_of(recorded, "ethRpcUrl"),
                                   .gateway_app_id = text_of(recorded, "gatewayAppId"),
                                   .chain_id = members.at("chainId").to_number<std::uint64_t>(),
                                   .app_implementation = text_of(recorded, "appImplementation"),
                                   .note = std::nullopt};
    }
}

struct Service {
    runtime::HttpServerReply ask(const runtime::HttpServerRequest& request) {
        return test::run(io, handlers.handle(request, runtime::Deadline(clock.now())));
    }
    boost::asio::io_context io;
    test::ManualClock clock;
    test::FakeBackend backend;
    auth::Handlers handlers{clock, backend, {}};
};

}  // namespace

TEST_CASE("recorded exchanges of the newest era, byte for byte") {
    const auto recorded_vectors = vectors("vectors.json");
    std::size_t compared = 0;
    for (const auto& vector : recorded_vectors.as_array()) {
        if (text_of(vector, "era") != "2026-08" || vector.as_object().contains("quirk")) continue;
        INFO(text_of(vector, "name"));
        const auto& response = vector.at("response");
        const auto body = text_of(response, "body");
        const bool asked = !vector.at("rpc").as_array().empty();
        Service service;
        teach(service.backend, body, body.find("backend unavailable") != std::string::npos);

        const auto reply = service.ask(request_of(vector));
        CHECK(reply.status == response.at("status").to_number<unsigned>());
        CHECK(reply.content_type == text_of(response, "content_type"));
        CHECK(without_detail(reply.body) == body);
        // Whoever is refused before the chain is asked there must be refused before the backend is
        // asked here.
        CHECK(service.backend.deadline.has_value() == asked);
        ++compared;
    }
    CHECK(compared >= 100);
}

TEST_CASE("accidents of the original are answered as the specification recommends") {
    struct Expected {
        std::string name;
        unsigned status;
        bool asked;
    };
    const std::vector<Expected> table = {
        {"coerce-null-strings", 400, false},         {"coerce-numbers", 400, false},
        {"coerce-one-element-array", 400, false},    {"body-malformed", 400, false},
        {"content-type-form", 415, false},           {"app-id-mixed-case-bad-checksum", 200, true},
        {"compose-31-bytes-left-padded", 200, true},
    };
    const auto recorded_vectors = vectors("vectors.json");
    std::size_t compared = 0;
    for (const auto& vector : recorded_vectors.as_array()) {
        if (text_of(vector, "era") != "2026-08") continue;
        for (const auto& expected : table) {
            if (text_of(vector, "name") != expected.name) continue;
            INFO(expected.name);
            CHECK(vector.as_object().contains("quirk"));
            Service service;
            const auto reply = service.ask(request_of(vector));
            CHECK(reply.status == expected.status);
            CHECK_THAT(reply.body, Catch::StartsWith("{\"isAllowed\":false,\"reason\":\""));
            CHECK(service.backend.deadline.has_value() == expected.asked);
            ++compared;
        }
    }
    CHECK(compared == table.size());
}

TEST_CASE("the older era agrees on the decision and on the status of what is refused") {
    const auto recorded_vectors = vectors("vectors.json");
    for (const auto& vector : recorded_vectors.as_array()) {
        if (text_of(vector, "era") != "2025-12" || text_of(vector, "group") != "decision") continue;
        INFO(text_of(vector, "name"));
        Service service;
        const auto body = text_of(vector.at("response"), "body");
        teach(service.backend, body, false);
        const auto reply = service.ask(request_of(vector));
        CHECK(reply.status == 200);
        CHECK(reply.body == body);
    }
}

TEST_CASE("the examples of docs/webhook.md") {
    const auto examples = vectors("wire.json");
    std::size_t compared = 0;
    for (const auto& example : examples.as_array()) {
        INFO(text_of(example, "name"));
        const auto body = text_of(example, "reply");
        const auto kind = text_of(example, "kind");
        Service service;
        const bool unavailable = body.find("backend unavailable") != std::string::npos;
        teach(service.backend, body, unavailable);
        if (unavailable) {
            service.backend.decision =
                tl::unexpected(auth::Failure{auth::FailureKind::timed_out, 0});
            service.backend.facts = tl::unexpected(auth::Failure{auth::FailureKind::timed_out, 0});
        }
        runtime::HttpServerRequest request;
        request.method = kind == "info" ? "GET" : "POST";
        request.target = request.path = kind == "info" ? "/" : "/bootAuth/" + kind;
        request.body = text_of(example, "request");
        request.headers = {{"content-type", "application/json"},
                           {"user-agent", "dstack-kms/0.5.5"}};
        CHECK(service.ask(request).body == body);
        ++compared;
    }
    CHECK(compared == 5);
}
