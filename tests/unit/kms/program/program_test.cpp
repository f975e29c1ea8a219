#include "kms/crypto/pem.hpp"
#include "kms/keys/profiles.hpp"
#include "kms/onboard/onboard_service.hpp"
#include "kms/program/command_line.hpp"
#include "kms/program/inspect_certificate.hpp"
#include "tests/support/kms_node.hpp"

#include <catch2/catch.hpp>

using namespace kms;
using test_support::must;

namespace {

runtime::Result<CommandLine> parse(std::vector<std::string> words) {
    words.insert(words.begin(), "dstack-kms");
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    return parse_command_line(pointers);
}

runtime::HttpServerRequest request(const std::string& method, const std::string& target,
                                   std::string body = "") {
    runtime::HttpServerRequest made;
    made.method = method;
    made.target = target;
    made.path = target.substr(0, target.find('?'));
    if (target.find('?') != std::string::npos) made.query = target.substr(target.find('?') + 1);
    made.body = std::move(body);
    return made;
}

}  // namespace

TEST_CASE("the command line") {
    CHECK(must(parse({})).action == Action::serve);
    CHECK(must(parse({"-c", "a.toml"})).config_file == "a.toml");
    CHECK(must(parse({"-cb"})).config_file == "b");
    CHECK(must(parse({"--config=c", "--check"})).action == Action::check);
    CHECK(must(parse({"--print-config"})).action == Action::print_config);
    const auto inspect = must(parse({"inspect-cert", "x.crt"}));
    CHECK(inspect.action == Action::inspect_certificate);
    CHECK(inspect.certificate_file == "x.crt");
    for (const auto& bad : std::vector<std::vector<std::string>>{
             {"-c"}, {"--config"}, {"inspect-cert"}, {"--chekc"}, {"x"}})
        CHECK_FALSE(parse(bad).has_value());
}

TEST_CASE("a certificate is described for people") {
    const auto vectors = test_support::kms_vectors("certificates.json");
    const auto description = must(describe_certificate(test_support::text_at(
        test_support::kms_vectors("keys_and_env_pubkeys.json").at("keys"), "rpc_crt_pem")));
    CHECK_THAT(description, Catch::Contains("subject             CN = kms.peer.test\n") &&
                                Catch::Contains("issuer              O = Dstack, CN = Dstack KMS "
                                                "CA\n") &&
                                Catch::Contains("dns name            kms.peer.test\n") &&
                                Catch::Contains("special usage       kms:rpc\n") &&
                                Catch::Contains("app id              (none)\n") &&
                                Catch::Contains("attestation         (none)\n"));

    boost::asio::io_context io;
    test::ManualClock clock;
    test_support::KmsNode node(io, clock, {});
    REQUIRE(node.bootstrap("kms.peer.test").has_value());
    const auto attested = must(describe_certificate(node.stored().certificates.rpc));
    CHECK_THAT(attested,
               Catch::Contains("dstack-tdx, quote and event log; decoded only, not verified") &&
                   Catch::Contains("  binds this key    yes\n") &&
                   Catch::Contains("  app id            "
                                   "2222222222222222222222222222222222222222\n") &&
                   Catch::Contains("  event             app-id 2222"));
    for (const char* bad : {"", "nothing", "-----BEGIN X-----\nAAAA\n-----END X-----\n"})
        CHECK_FALSE(describe_certificate(bad).has_value());
}

TEST_CASE("foreign text in a certificate cannot reach a terminal") {
    const auto key = must(crypto::P256Key::generate());
    crypto::CertificateProfile profile;
    profile.subject = {{}, "x"};
    profile.public_key = key.public_point();
    profile.alt_names = {"\x1b[31mred"};
    profile.special_usage = "a\nb\x1b]0;t\x07";
    const auto pem =
        must(crypto::issue_certificate(profile, {crypto::encode_name({{}, "i"}), key},
                                       runtime::WallTime(std::chrono::hours(24 * 365 * 55))));
    const std::string description = must(describe_certificate(pem));
    CHECK(description.find('\x1b') == std::string::npos);
    CHECK(description.find('\x07') == std::string::npos);
    CHECK_THAT(description, Catch::Contains("special usage       a?b?]0;t?\n"));
}

TEST_CASE("the onboarding listener") {
    boost::asio::io_context io;
    test::ManualClock clock;
    test_support::KmsNode node(io, clock, {.quotes = false});
    int finished = 0;
    OnboardService service(node.onboarding, {}, [&finished] { ++finished; });
    const auto send = [&](runtime::HttpServerRequest asked) {
        return test::run(io, service.handle(asked, node.soon()));
    };
    const auto error = [](const std::string& text) {
        return "{\n  \"error\": \"" + text + "\"\n}";
    };

    const auto page = send(request("GET", "/"));
    CHECK(page.status == 200);
    CHECK(page.content_type == "text/html; charset=utf-8");
    CHECK_THAT(page.body, Catch::Contains("let stored = false") &&
                              Catch::Contains("width=device-width") &&
                              Catch::Contains("/prpc/Onboard."));
    for (const char* outside : {"src=", "href=", "@import", "url("})
        CHECK_THAT(page.body, !Catch::Contains(outside));  // self-contained
    std::string headers;
    REQUIRE(page.common_headers);
    for (const auto& header : *page.common_headers) headers += header.name + "\n";
    CHECK(headers == "server\nx-content-type-options\nx-frame-options\npermissions-policy\n");

    CHECK(send(request("GET", "/health")).body == "OK");
    CHECK(send(request("GET", "/metrics")).status == 404);
    CHECK(send(request("POST", "/finish")).status == 404);
    CHECK(send(request("GET", "/finish/")).status == 404);
    CHECK(send(request("GET", "/prpc/KMS.GetMeta")).body ==
          error("Service not found: KMS.GetMeta"));
    CHECK(send(request("GET", "/prpc/Onboard.Nope")).body == error("Service not found: Nope"));
    CHECK(send(request("POST", "/prpc/Onboard.Bootstrap?json", R"({"domain":1})")).body ==
          error("invalid type: integer `1`, expected a string at line 1 column 11"));
    CHECK(finished == 0);

    const auto made = send(request("GET", "/prpc/Onboard.Bootstrap?domain=kms.peer.test"));
    CHECK(made.status == 200);
    CHECK_THAT(made.body, Catch::StartsWith(R"({"ca_pubkey":"3059)") &&
                              Catch::EndsWith(R"(,"attestation":""})"));
    CHECK(send(request("POST", "/prpc/Bootstrap?json", "{}")).body ==
          error("KMS has already been bootstrapped"));
    const auto onboarded = send(request("POST", "/prpc/Onboard.Onboard", ""));
    CHECK(onboarded.status == 400);
    CHECK(onboarded.body ==
          "\x0A\x1EKMS has already been onboarded"
          "");
    CHECK_THAT(send(request("GET", "/")).body, Catch::Contains("let stored = true"));

    CHECK(send(request("GET", "/finish")).body == "OK");
    CHECK(finished == 1);
    CHECK(send(request("POST", "/prpc/Onboard.Finish?json")).body == "null");
    CHECK(send(request("POST", "/prpc/Finish")).body.empty());
    CHECK(finished == 3);
}
