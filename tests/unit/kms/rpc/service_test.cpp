#include "tests/unit/kms/service_fixture.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>

using namespace kms;
using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;

namespace {

using Fixture = ServiceFixture;

std::string error_json(const std::string& escaped) {
    return "{\n  \"error\": \"" + escaped + "\"\n}";
}

HttpServerRequest with_fault(runtime::BodyFault fault, std::string content_type) {
    HttpServerRequest request;
    request.method = "POST";
    request.target = request.path = "/prpc/GetMeta";
    request.body_fault = fault;
    request.headers.push_back({"content-type", std::move(content_type)});
    return request;
}

}  // namespace

TEST_CASE("env keys equal the original's, byte for byte, in both encodings") {
    Fixture f;
    const auto vectors = test_support::kms_vectors("keys_and_env_pubkeys.json");
    for (const auto& vector : vectors.at("vectors").as_array()) {
        const std::string app_id = test_support::text_at(vector, "app_id");
        const auto reply = f.send("POST", "/prpc/KMS.GetAppEnvEncryptPubKey?json",
                                  R"({"app_id":"0x)" + app_id + "\"}");
        REQUIRE(reply.status == 200);
        CHECK(reply.content_type == "application/json");
        const std::string expected =
            R"({"public_key":")" + test_support::text_at(vector, "public_key") +
            R"(","signature":")" + test_support::text_at(vector, "signature") +
            R"(","timestamp":1767225600,"signature_v1":")";
        CHECK(reply.body.starts_with(expected));
    }
    const auto empty = f.send("POST", "/prpc/GetAppEnvEncryptPubKey");
    CHECK(empty.content_type == "application/octet-stream");
    CHECK(empty.body.size() == 2 + 32 + 2 + 65 + 1 + 5 + 2 + 65);
    CHECK(runtime::to_hex(runtime::as_bytes(empty.body)).substr(4, 64) ==
          test_support::text_at(vectors.at("vectors").at(0), "public_key"));
}

TEST_CASE("large arguments are worked on elsewhere, with the same outcome") {
    Fixture f;
    const std::string large(200'000, '0');
    CHECK(f.send("POST", "/prpc/GetAppEnvEncryptPubKey?json", R"({"app_id":")" + large + "\"}")
              .status == 200);
    const auto broken =
        f.send("POST", "/prpc/GetAppEnvEncryptPubKey?json", R"({"app_id":")" + large + "0\"}");
    CHECK(broken.body == error_json("Odd number of digits at line 1 column 200014"));
}

TEST_CASE("GetTempCaCert gives the texts of the files") {
    Fixture f;
    const auto reply = f.send("GET", "/prpc/GetTempCaCert?anything=%ff");
    REQUIRE(reply.status == 200);
    const auto body = boost::json::parse(reply.body);
    CHECK(test_support::text_at(body, "temp_ca_cert") == f.keys.certificates.temp_ca);
    CHECK(test_support::text_at(body, "temp_ca_key") == f.keys.temp_ca_key_text.text());
    CHECK(test_support::text_at(body, "ca_cert") == f.keys.certificates.root_ca);
}

TEST_CASE("GetMeta in development mode") {
    Fixture f;
    const auto body = boost::json::parse(f.send("POST", "/prpc/GetMeta?json", "{garbage").body);
    CHECK(body.at("is_dev").as_bool());
    CHECK(body.at("allow_any_upgrade").as_bool());
    CHECK(test_support::text_at(body, "gateway_app_id") == "any");
    CHECK(body.at("kms_contract_address").is_null());
    CHECK(body.at("bootstrap_info").is_null());
}

TEST_CASE("GetMeta shows bootstrap-info.json as it is now") {
    Fixture f;
    struct Row {
        std::string file, shown;
    };
    const std::vector<Row> rows = {
        {R"({"ca_pubkey":"0xAA","k256_pubkey":"bb","attestation":"cc","x":1})",
         R"({"ca_pubkey":"aa","k256_pubkey":"bb","attestation":"cc"})"},
        {R"({"ca_pubkey":"00","k256_pubkey":"01","quote":"02","eventlog":"03"})",
         R"({"ca_pubkey":"00","k256_pubkey":"01","attestation":""})"},
        {"{}", R"({"ca_pubkey":"","k256_pubkey":"","attestation":""})"},
        {"{", "null"},
        {"", "null"},
    };
    for (const Row& row : rows) {
        std::ofstream(f.folder / "bootstrap-info.json", std::ios::trunc) << row.file;
        INFO(row.file);
        f.clock.advance(1ms);  // the file is looked at once a millisecond
        CHECK_THAT(f.send("GET", "/prpc/GetMeta").body,
                   Catch::Contains("\"bootstrap_info\":" + row.shown + ","));
    }
}

TEST_CASE(
    "GetMeta answers 200 without chain facts while the webhook gives none, and with them after") {
    Fixture f({.dev = false});
    const auto before = boost::json::parse(f.send("GET", "/prpc/GetMeta").body);
    CHECK(before.at("gateway_app_id").is_null());
    CHECK(before.at("chain_id").is_null());
    CHECK_FALSE(before.at("is_dev").as_bool());
    CHECK_THAT(f.send("GET", "/metrics").body,
               Catch::Contains("dstack_kms_chain_facts_known 0\n") &&
                   !Catch::Contains("dstack_kms_chain_facts_age_seconds "
                                    "0"));
    f.clock.advance(5s);
    f.webhook_answer = ChainFacts{"0xg", "0xc", "0xi", 31337};
    const auto reply = f.send("GET", "/prpc/GetMeta");
    CHECK(reply.status == 200);
    CHECK_THAT(
        reply.body,
        Catch::Contains(R"("gateway_app_id":"0xg","kms_contract_address":"0xc","chain_id":31337,)"
                        R"("app_auth_implementation":"0xi"})"));
    f.clock.advance(90s);
    CHECK_THAT(f.send("GET", "/metrics").body,
               Catch::Contains("dstack_kms_chain_facts_known 1\n") &&
                   Catch::Contains("dstack_kms_chain_facts_age_seconds 90\n"));
}

TEST_CASE("keys are not released to callers that prove nothing") {
    struct Row {
        std::string method, body, error;
        bool quotes = true;
    };
    const auto row = GENERATE(values<Row>({
        {"GetAppKey", "{}", R"(App not allowed\n\nCaused by:\n    No attestation provided)"},
        {"GetAppKey", R"({"api_version":2})", "Unsupported API version: 2"},
        {"GetAppKey", "{}", R"(App not allowed\n\nCaused by:\n    No attestation provided)", false},
        {"GetKmsKey", "{}", "No attestation provided"},
        {"SignCert", R"({"api_version":3})", "Unsupported API version: 3"},
        {"SignCert", R"({"csr":1})",
         "invalid type: integer `1`, expected a string at line 1 column 8"},
    }));
    Fixture f({.quotes = row.quotes});
    const auto reply = f.send("POST", "/prpc/" + row.method + "?json", row.body);
    CHECK(reply.status == 400);
    CHECK(reply.body == error_json(row.error));
    CHECK_FALSE(reply.secret);
    CHECK_THAT(f.send("GET", "/metrics").body,
               Catch::Contains("\ndstack_kms_attestation_requests_total 1\n") &&
                   Catch::Contains("\ndstack_kms_attestation_failures_total 1\n"));
}

TEST_CASE("with quotes off the root keys go to everybody, but not when nobody may be asked") {
    Fixture open({.quotes = false});
    const auto reply = open.send("POST", "/prpc/GetKmsKey?json", "{}");
    REQUIRE(reply.status == 200);
    CHECK(reply.secret);
    const auto body = boost::json::parse(reply.body);
    CHECK(test_support::text_at(body, "temp_ca_key") == open.keys.temp_ca_key_text.text());
    const auto& set = body.at("keys").as_array();
    REQUIRE(set.size() == 1);
    const auto root = open.keys.root.hand_over();
    CHECK(test_support::text_at(set[0], "ca_key") == root.ca_key_pem.text());
    CHECK(test_support::text_at(set[0], "k256_key") == runtime::to_hex(root.k256_key.view()));

    Fixture closed({.quotes = false, .dev = false, .authority = AuthorityKind::none_refusing});
    const auto refused = closed.send("POST", "/prpc/GetKmsKey?json", "{}");
    CHECK(refused.status == 400);
    CHECK_THAT(refused.body, Catch::Contains("core.auth_api.type = \\\"none\\\""));
    Fixture allowed({.quotes = false, .dev = false, .authority = AuthorityKind::none_allowing});
    CHECK(allowed.send("POST", "/prpc/GetKmsKey?json", "{}").status == 200);
}

TEST_CASE("ClearImageCache wants the admin token and clears no more than it names") {
    const std::string hash(runtime::as_text(test_support::hex(
        "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")));  // of "foo"
    Fixture f({.admin_token_hash = hash});
    CHECK(f.send("GET", "/prpc/ClearImageCache?token=bar").body == error_json("Invalid token"));
    CHECK(f.send("GET", "/prpc/ClearImageCache?token=foo").body == "null");
    Fixture without;
    CHECK(without.send("GET", "/prpc/ClearImageCache").body == error_json("Invalid token"));

    namespace fs = std::filesystem;
    const fs::path root = f.folder.path();
    const auto fill = [&] {
        for (const char* name : {"images/aa", "images/bb", "outside"})
            fs::create_directories(root / name);
        fs::create_directories(root / "measurements");
        for (const char* name : {"measurements/cc.json", "measurements/dd.json", "images/bb/x"})
            std::ofstream(root / name) << "{}";
    };
    struct Row {
        std::string image, config;
        std::vector<std::string> gone;
        bool refused = false;
    };
    const std::vector<Row> rows = {
        {"", "", {}},
        {"aa", "", {"images/aa"}},
        {"bb", "cc.json", {"images/bb", "measurements/cc.json"}},
        {"ee", "", {}},
        {"AA", "cc", {}},
        {"all", "", {"images"}},
        {"", "all", {"measurements"}},
        {"../outside", "", {}, true},
        {"/etc", "", {}, true},
        {"..", "", {}, true},
        {"aa", "../outside", {}, true},
        {"aa.json", "", {}, true},
        {"", ".json", {}, true},
    };
    for (const Row& row : rows) {
        INFO(row.image << " | " << row.config);
        fill();
        const auto reply = f.send("POST", "/prpc/ClearImageCache?json",
                                  R"({"token":"foo","image_hash":")" + row.image +
                                      R"(","config_hash":")" + row.config + "\"}");
        CHECK(reply.status == (row.refused ? 400 : 200));
        for (const char* name : {"images", "images/aa", "images/bb", "measurements",
                                 "measurements/cc.json", "measurements/dd.json", "outside"}) {
            const bool gone = std::ranges::any_of(row.gone, [&](const std::string& one) {
                return std::string(name) == one || std::string(name).starts_with(one + "/");
            });
            CHECK(fs::exists(root / name) == !gone);
        }
    }
}

TEST_CASE("errors before the method is looked at") {
    Fixture f;
    CHECK(f.send("GET", "/prpc/KMS.Nope").body == error_json("Service not found: Nope"));
    CHECK(f.send("POST", "/prpc/NoSuch").body == "\x0A\x19Service not found: NoSuch");
    const auto too_large = f.send(with_fault(runtime::BodyFault::too_large, "application/json"));
    CHECK(too_large.status == 400);
    CHECK(too_large.content_type == "application/octet-stream");
    CHECK(too_large.body ==
          "\x0A\x35"
          "failed to read data\n\nCaused by:\n    payload too large");
    auto broken = with_fault(runtime::BodyFault::broken, "");
    broken.query = "json";
    CHECK_THAT(f.send(std::move(broken)).body,
               Catch::StartsWith("{\n  \"error\": \"failed to read data\\n\\nCaused by:\\n    0: "
                                 "failed to read data\\n    1: "));
}

TEST_CASE("pages and headers") {
    ServiceOptions options;
    options.app_version = "v1 (x)";
    options.metrics_enabled = false;
    Fixture f({.options = options});
    CHECK(f.send("GET", "/readyz").body == "ready\n");
    f.service.tell_awaited([] { return std::string("a quote"); });
    CHECK(f.send("GET", "/readyz").body == "ready; awaited: a quote\n");
    const auto health = f.send("GET", "/health");
    CHECK(health.status == 200);
    CHECK(health.content_type == "text/plain; charset=utf-8");
    CHECK(health.body == "OK");
    std::string headers;
    REQUIRE(health.common_headers);
    for (const auto& header : *health.common_headers)
        headers += header.name + ": " + header.value + "\n";
    CHECK(headers ==
          "server: Rocket\nx-content-type-options: nosniff\nx-frame-options: SAMEORIGIN\n"
          "permissions-policy: interest-cohort=()\nx-app-version: v1 (x)\n");
    const auto metrics = f.send("GET", "/metrics", "", {{"Accept", "application/json"}});
    CHECK(metrics.status == 404);
    CHECK(metrics.common_headers == health.common_headers);
    const auto refused = f.send("GET", "nonsense");
    CHECK(refused.status == 400);
    CHECK(refused.close);
    CHECK_FALSE(refused.common_headers);
    CHECK(refused.body.empty());
    const auto unknown_verb = f.send("FOO", "/prpc/GetMeta");
    CHECK(unknown_verb.status == 400);
    CHECK_FALSE(unknown_verb.common_headers);
}

TEST_CASE("metrics begin with the protocol's six lines") {
    Fixture f;
    f.send("GET", "/prpc/GetAppKey");
    f.send("GET", "/prpc/GetMeta");
    const auto reply = f.send("GET", "/metrics");
    CHECK(reply.content_type == "text/plain; charset=utf-8");
    CHECK_THAT(reply.body,
               Catch::StartsWith("# HELP dstack_kms_attestation_requests_total Total number of KMS "
                                 "attestation requests.\n"
                                 "# TYPE dstack_kms_attestation_requests_total counter\n"
                                 "dstack_kms_attestation_requests_total 1\n"
                                 "# HELP dstack_kms_attestation_failures_total Total number of "
                                 "failed KMS attestation requests.\n"
                                 "# TYPE dstack_kms_attestation_failures_total counter\n"
                                 "dstack_kms_attestation_failures_total 1\n"));
    CHECK_THAT(reply.body,
               Catch::Contains("dstack_kms_rpc_requests_total{method=\"GetMeta\"} 1\n"));
    CHECK_THAT(reply.body,
               Catch::Contains("dstack_kms_rpc_failures_total{method=\"GetAppKey\"} 1\n"));
    const auto open =
        f.send("GET", "/metrics", "", {{"Accept", "application/openmetrics-text; version=1.0.0"}});
    CHECK_THAT(open.content_type, Catch::StartsWith("application/openmetrics-text"));
    CHECK_THAT(open.body, Catch::EndsWith("# EOF\n"));
}
