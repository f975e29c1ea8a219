#include "kms/rpc/service.hpp"

#include "tests/support/kms_vectors.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/temporary_directory.hpp"

#include <fstream>

#include <catch2/catch.hpp>

using namespace kms;
using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;

namespace {

struct Fixture {
    explicit Fixture(ServiceOptions options = {}, bool dev = true,
                     std::string admin_token_hash = "")
        : keys(test_support::must(keys::parse(test_support::original_key_files()))),
          directory(files, folder.path().string()),
          meta(constants(dev), BootstrapInfoFile(directory)),
          facts(io.get_executor(), clock, FactsBounds{}, "http://auth", [this] { return ask(); }),
          service({keys, std::move(admin_token_hash), options.quotes_enabled, meta,
                   dev ? nullptr : &facts},
                  clock, workers, options) {}

    MetaConstants constants(bool dev) const {
        MetaConstants constants{keys.certificates.root_ca,
                                std::string(runtime::as_text(keys.root.k256_public_key())),
                                {}};
        if (dev) constants.dev_gateway_app_id = "any";
        return constants;
    }
    runtime::Task<runtime::Result<ChainFacts>> ask() { co_return webhook_answer; }

    HttpServerReply send(std::string method, const std::string& target, std::string body = "",
                         std::vector<runtime::HttpHeader> headers = {}) {
        HttpServerRequest request;
        request.method = std::move(method);
        request.target = target;
        const auto question = target.find('?');
        request.path = target.substr(0, question);
        if (question != std::string::npos) request.query = target.substr(question + 1);
        request.headers = std::move(headers);
        request.body = std::move(body);
        return send(std::move(request));
    }
    HttpServerReply send(HttpServerRequest request) {
        return test::run(io, service.handle(request, Deadline::after(clock.now(), 60s)));
    }

    boost::asio::io_context io;
    test::ManualClock clock;
    runtime::Workers workers{1, 4};
    test_support::TemporaryDirectory folder;
    keys::PosixFileSystem files;
    keys::KeySet keys;
    keys::KeyDirectory directory;
    runtime::Result<ChainFacts> webhook_answer =
        runtime::Error{runtime::ErrorCode::unavailable, "refused"};
    MetaAnswer meta;
    FactsSource facts;
    KmsService service;
};

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
        CHECK_THAT(f.send("GET", "/prpc/GetMeta").body,
                   Catch::Contains("\"bootstrap_info\":" + row.shown + ","));
    }
}

TEST_CASE(
    "GetMeta answers 200 without chain facts while the webhook gives none, and with them after") {
    Fixture f({}, false);
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

TEST_CASE("keys are not released") {
    struct Row {
        std::string method, body, error;
        bool quotes = true;
        bool attested = false;
    };
    const std::string no_verification =
        "this build does not release keys, because the verification of quotes is not part of it";
    const auto row = GENERATE_COPY(values<Row>({
        {"GetAppKey", "{}", R"(App not allowed\n\nCaused by:\n    No attestation provided)"},
        {"GetAppKey", R"({"api_version":2})", "Unsupported API version: 2"},
        {"GetAppKey", "{}", R"(App not allowed\n\nCaused by:\n    )" + no_verification, true, true},
        {"GetAppKey", "{}", R"(App not allowed\n\nCaused by:\n    No attestation provided)", false,
         false},
        {"GetKmsKey", "{}", "No attestation provided"},
        {"GetKmsKey", "{}", no_verification, true, true},
        {"GetKmsKey", "{}", no_verification, false, false},
        {"SignCert", "{}", "Unsupported API version: 0"},
        {"SignCert", R"({"api_version":3})", "Unsupported API version: 3"},
        {"SignCert", R"({"api_version":2,"csr":"00"})",
         "this build does not sign certificates, because the verification of quotes is not part of "
         "it"},
        {"SignCert", R"({"csr":1})",
         "invalid type: integer `1`, expected a string at line 1 column 8"},
    }));
    ServiceOptions options;
    options.quotes_enabled = row.quotes;
    Fixture f(options);
    HttpServerRequest request;
    request.method = "POST";
    request.target = "/prpc/" + row.method + "?json";
    request.path = "/prpc/" + row.method;
    request.query = "json";
    request.body = row.body;
    if (row.attested)
        request.client_certificate = "..\x06\x0A\x2B\x06\x01\x04\x01\x83\xE7\x3D\x01\x08..";
    const auto reply = f.send(std::move(request));
    CHECK(reply.status == 400);
    CHECK(reply.body == error_json(row.error));
    CHECK_THAT(f.send("GET", "/metrics").body,
               Catch::Contains("\ndstack_kms_attestation_requests_total 1\n") &&
                   Catch::Contains("\ndstack_kms_attestation_failures_total 1\n"));
}

TEST_CASE("which certificates carry an attestation") {
    const std::string arc = "\x06\x0A\x2B\x06\x01\x04\x01\x83\xE7\x3D\x01";
    CHECK_FALSE(carries_attestation(""));
    CHECK_FALSE(carries_attestation("xx" + arc));
    CHECK_FALSE(carries_attestation(arc + "\x03" + arc + "\x04"));
    CHECK(carries_attestation(arc + "\x03" + arc + "\x01"));
    CHECK(carries_attestation(arc + "\x08"));
}

TEST_CASE("ClearImageCache wants the admin token") {
    const std::string hash(runtime::as_text(test_support::hex(
        "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")));  // of "foo"
    Fixture with_token({}, true, hash);
    CHECK(with_token.send("GET", "/prpc/ClearImageCache?token=bar").body ==
          error_json("Invalid token"));
    CHECK(with_token.send("GET", "/prpc/ClearImageCache?token=foo").body ==
          error_json("this build keeps no image cache, so there is nothing to clear"));
    Fixture without;
    CHECK(without.send("GET", "/prpc/ClearImageCache").body == error_json("Invalid token"));
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
    Fixture f(options);
    const auto health = f.send("GET", "/health");
    CHECK(health.status == 200);
    CHECK(health.content_type == "text/plain; charset=utf-8");
    CHECK(health.body == "OK");
    std::string headers;
    for (const auto& header : health.headers) headers += header.name + ": " + header.value + "\n";
    CHECK(headers ==
          "server: Rocket\nx-content-type-options: nosniff\nx-frame-options: SAMEORIGIN\n"
          "permissions-policy: interest-cohort=()\nx-app-version: v1 (x)\n");
    const auto metrics = f.send("GET", "/metrics", "", {{"Accept", "application/json"}});
    CHECK(metrics.status == 404);
    CHECK(metrics.headers.size() == 5);
    const auto refused = f.send("GET", "nonsense");
    CHECK(refused.status == 400);
    CHECK(refused.close);
    CHECK(refused.headers.empty());
    CHECK(refused.body.empty());
    const auto unknown_verb = f.send("FOO", "/prpc/GetMeta");
    CHECK(unknown_verb.status == 400);
    CHECK(unknown_verb.headers.empty());
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
