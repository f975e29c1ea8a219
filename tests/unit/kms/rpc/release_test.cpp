// What the release of keys does when something that it rests on fails: no key, a sentence in time,
// and nobody else notices.
#include "kms/crypto/pem.hpp"
#include "kms/evidence/report_data.hpp"
#include "kms/keys/profiles.hpp"
#include "kms/rpc/app_certificate.hpp"
#include "tests/support/mock_evidence.hpp"
#include "tests/unit/kms/service_fixture.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

using namespace kms;
using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::HttpFault;
using runtime::HttpServerReply;
using test_support::must;
using Reply = test::FakeHttpClient::Reply;

namespace {

/// DER of a client certificate with good evidence.
const std::string& attested_certificate() {
    static const std::string kDer = [] {
        const auto key = must(crypto::P256Key::generate());
        const auto binding = ratls_report_data(crypto::spki_der(key.public_point()));
        const auto pem = must(crypto::issue_certificate(
            keys::ra_tls_profile(key.public_point(),
                                 attestation_extension(test_support::mock_evidence(binding))),
            {crypto::encode_name(keys::temp_ca_subject()), key},
            runtime::WallTime(24h * 365 * 55)));
        return std::string(must(crypto::first_pem_block(pem)).text());
    }();
    return kDer;
}

runtime::HttpServerRequest attested(const std::string& method) {
    runtime::HttpServerRequest request;
    request.method = "POST";
    request.target = "/prpc/" + method + "?json";
    request.path = "/prpc/" + method;
    request.query = "json";
    request.body = "{}";
    request.client_certificate = attested_certificate();
    return request;
}

ServiceFixture::Setup webhook_mode() {
    return {.dev = false, .authority = AuthorityKind::webhook, .accepts_quotes = true};
}

runtime::Task<void> answer_into(KmsService& service, test::ManualClock& clock,
                                runtime::HttpServerRequest request,
                                std::optional<HttpServerReply>* into) {
    *into = co_await service.handle(request, Deadline::after(clock.now(), 60s));
}

/// Starts a call and lets it run until it waits.
void start(ServiceFixture& f, const std::string& method, std::optional<HttpServerReply>& into) {
    boost::asio::co_spawn(f.io, answer_into(f.service, f.clock, attested(method), &into),
                          boost::asio::detached);
    test::run_ready(f.io);
}

}  // namespace

TEST_CASE("an attested machine gets its keys when the webhook says so, and only then") {
    struct Row {
        Reply reply;
        bool released;
        const char* words;
    };
    const Row rows[] = {
        {Reply::ok(R"({"isAllowed":true,"gatewayAppId":"g","reason":""})"), true, "\"g\""},
        {Reply::ok(R"({"isAllowed":false,"gatewayAppId":"g","reason":"no"})"), false,
         "Boot denied: no"},
        {Reply::ok(R"({"isAllowed":true,"gatewayAppId":"g"})"), false, "reason"},
        {Reply::ok(R"({"isAllowed":1,"gatewayAppId":"g","reason":""})"), false, "isAllowed"},
        {Reply::ok(R"({"isAllowed":true,"gatewayAppId":"g","reason":""})", 500), false,
         "Failed to check boot auth"},
        {Reply::ok(std::string(300 * 3, '\xE2'), 500), false, "Failed to check boot auth"},
        {Reply::ok("<html>"), false, "not JSON"},
        {Reply::ok(""), false, "not JSON"},
        {Reply::ok("", 302), false, "Failed to check boot auth"},
        {Reply::fault(HttpFault::cannot_connect), false, "cannot connect"},
        {Reply::fault(HttpFault::cannot_resolve), false, "cannot resolve"},
        {Reply::fault(HttpFault::closed), false, "closed"},
        {Reply::fault(HttpFault::malformed), false, "malformed"},
        {Reply::fault(HttpFault::too_large), false, "too large"},
        {Reply::fault(HttpFault::busy), false, "busy"},
    };
    for (const char* method : {"GetAppKey", "GetKmsKey"}) {
        for (const Row& row : rows) {
            INFO(method << ": " << row.words);
            ServiceFixture f(webhook_mode());
            f.http.add(row.reply);
            const auto reply = f.send(attested(method));
            CHECK(reply.status == (row.released ? 200U : 400U));
            CHECK(reply.secret == row.released);
            if (!row.released || std::string(method) == "GetAppKey")
                CHECK_THAT(reply.body, Catch::Contains(row.words));
            CHECK((reply.body.find("k256_key") != std::string::npos) == row.released);
            CHECK(f.http.asked().size() == 1);  // asked once, never again
        }
    }
}

TEST_CASE("a webhook that hangs costs its own callers only, and no longer than its limit") {
    ServiceFixture f(webhook_mode());
    f.http.handle([](const auto&) { return Reply::hang(); });
    std::optional<HttpServerReply> waiting;
    start(f, "GetAppKey", waiting);
    CHECK(f.http.in_flight() == 1);
    for (const char* method : {"GetTempCaCert", "GetAppEnvEncryptPubKey"})
        CHECK(f.send("GET", std::string("/prpc/") + method).status == 200);
    CHECK_FALSE(waiting.has_value());
    f.clock.advance(9'999ms);
    test::run_ready(f.io);
    CHECK_FALSE(waiting.has_value());
    f.clock.advance(1ms);
    test::run_ready(f.io);
    REQUIRE(waiting.has_value());
    CHECK(waiting->status == 400);
    CHECK_THAT(waiting->body, Catch::Contains("timed out"));
    CHECK(f.http.in_flight() == 0);
}

TEST_CASE("evidence that is refused stops whatever needs a caller, before anything else") {
    ServiceFixture f(webhook_mode());
    f.accepting.refuses = true;
    for (const char* method : {"GetAppKey", "GetKmsKey"})
        CHECK(f.send(attested(method)).body ==
              "{\n  \"error\": \"invalid quote\\n\\nCaused by:\\n    refused by the test\"\n}");
    CHECK(f.http.asked().empty());
    CHECK(f.accepting.asked == 2);
    // What needs nobody to be attested asks no verifier, whatever it is shown.
    for (const char* method : {"GetMeta", "GetTempCaCert"})
        CHECK(f.send(attested(method)).status == 200);
    CHECK(f.accepting.asked == 2);
    // Without evidence the same methods work.
    CHECK(f.send("GET", "/prpc/GetTempCaCert").status == 200);
}

TEST_CASE("a program that cannot verify releases nothing, and says why in one sentence") {
    ServiceFixture f({.dev = false, .authority = AuthorityKind::webhook});
    for (const char* method : {"GetAppKey", "GetKmsKey"}) {
        const auto reply = f.send(attested(method));
        CHECK(reply.status == 400);
        CHECK_THAT(reply.body,
                   Catch::Contains("this build does not release keys, because the verification of "
                                   "quotes is not part of it"));
    }
    CHECK(f.http.asked().empty());
}

TEST_CASE("an image that cannot be checked stops the release, after the decision") {
    auto setup = webhook_mode();
    setup.checks_images = true;
    ServiceFixture f(setup);
    f.http.handle([](const auto&) {
        return Reply::ok(R"({"isAllowed":true,"gatewayAppId":"g","reason":""})");
    });
    const auto reply = f.send(attested("GetAppKey"));
    CHECK(reply.status == 400);
    CHECK_THAT(
        reply.body,
        Catch::Contains(R"(App not allowed\n\nCaused by:\n    0: Failed to verify os image )"
                        R"(hash\n    1: Failed to verify os image hash\n    2: this build)"));
    CHECK(f.http.asked().size() == 1);
}

TEST_CASE("few quotes are verified at a time; the rest is told at once") {
    class Endless final : public QuoteVerifier {
      public:
        explicit Endless(runtime::Clock& clock) : clock_(clock) {}
        runtime::Task<Result<VerifiedMachine>> verify(SharedAttestation, std::string,
                                                      Deadline deadline) override {
            co_await clock_.sleep_until(deadline.at());
            co_return Error{ErrorCode::deadline_exceeded, "too slow"};
        }

      private:
        runtime::Clock& clock_;
    };
    ServiceFixture f(webhook_mode());
    Endless endless(f.clock);
    KmsParts parts{.keys = f.keys,
                   .admin_token_hash = {},
                   .meta = f.meta,
                   .release = {.verifier = endless, .authority = f.authority},
                   .image_cache_dir = {}};
    ServiceOptions options;
    options.verifications = 1;
    KmsService service(std::move(parts), f.clock, f.workers, options);
    std::optional<HttpServerReply> first;
    boost::asio::co_spawn(f.io, answer_into(service, f.clock, attested("GetAppKey"), &first),
                          boost::asio::detached);
    test::run_ready(f.io);
    CHECK_FALSE(first.has_value());
    std::optional<HttpServerReply> second;
    boost::asio::co_spawn(f.io, answer_into(service, f.clock, attested("GetAppKey"), &second),
                          boost::asio::detached);
    test::run_ready(f.io);
    REQUIRE(second.has_value());
    CHECK_THAT(second->body, Catch::Contains("too many quotes are being verified"));
    // Whoever asks for what everybody may know waits for no verification.
    for (const char* method : {"GetMeta", "GetTempCaCert", "NoSuch"}) {
        std::optional<HttpServerReply> other;
        boost::asio::co_spawn(f.io, answer_into(service, f.clock, attested(method), &other),
                              boost::asio::detached);
        test::run_ready(f.io);
        REQUIRE(other.has_value());
        CHECK(other->status == (std::string_view(method) == "NoSuch" ? 400 : 200));
    }
    f.clock.advance(30s);  // the verification's own limit
    test::run_ready(f.io);
    REQUIRE(first.has_value());
    CHECK_THAT(first->body, Catch::Contains("too slow"));
}
