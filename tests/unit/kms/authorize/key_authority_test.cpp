#include "kms/authorize/key_authority.hpp"

#include "kms/authorize/self_authorization.hpp"
#include "tests/support/mock_evidence.hpp"
#include "tests/unit/kms/service_fixture.hpp"

using namespace kms;
using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::ErrorCode;
using Reply = test::FakeHttpClient::Reply;

namespace {

ServiceFixture::Setup asking_about_itself() {
    return {.dev = false,
            .authority = AuthorityKind::webhook,
            .accepts_quotes = true,
            .asks_about_itself = true};
}

void play_agent(ServiceFixture& f) {
    f.agent_http.handle([](const auto& request) {
        return Reply::ok(
            test_support::mock_attest_answer(test_support::asked_report_data(request.body)));
    });
}

Reply decision(bool allowed, const std::string& reason = "") {
    return Reply::ok(R"({"isAllowed":)" + std::string(allowed ? "true" : "false") +
                     R"(,"gatewayAppId":"g","reason":")" + reason + "\"}");
}

}  // namespace

TEST_CASE("who decides, by configuration") {
    struct Row {
        AuthorityKind kind;
        bool allowed, asked;
    };
    const Row rows[] = {
        {AuthorityKind::webhook, true, true},
        {AuthorityKind::everybody, true, false},
        {AuthorityKind::none_allowing, true, false},
        {AuthorityKind::none_refusing, false, false},
    };
    for (const Row& row : rows) {
        ServiceFixture f({.dev = false, .authority = row.kind});
        f.http.handle([](const auto&) { return decision(true); });
        const auto got = test::run(f.io, f.authority.decide(BootKind::app, BootInfo{},
                                                            Deadline::after(f.clock.now(), 60s)));
        CHECK((got.has_value() && got->allowed) == row.allowed);
        CHECK(f.http.asked().size() == (row.asked ? 1U : 0U));
        if (!row.allowed) CHECK(got.error().code == ErrorCode::unauthenticated);
    }
    // An authority of the webhook without a client asks nobody and allows nobody.
    ServiceFixture f;
    KeyAuthority lost(AuthorityKind::webhook, nullptr, "");
    CHECK_FALSE(
        test::run(f.io, lost.decide(BootKind::app, BootInfo{}, Deadline::after(f.clock.now(), 60s)))
            .has_value());
}

TEST_CASE(
    "a KMS that must ask about itself does so for each trusted call, and once for its evidence") {
    ServiceFixture f(asking_about_itself());
    play_agent(f);
    f.http.handle([](const auto&) { return decision(true); });
    for (const char* method : {"GetTempCaCert", "GetAppEnvEncryptPubKey"})
        CHECK(f.send("GET", std::string("/prpc/") + method).status == 200);
    CHECK(f.agent_http.asked().size() == 1);
    CHECK(test_support::asked_report_data(f.agent_http.asked()[0].request.body) ==
          runtime::Bytes(64));
    CHECK(f.http.asked().size() == 2);
    for (const auto& asked : f.http.asked()) CHECK(asked.request.url.ends_with("/bootAuth/kms"));
    CHECK(f.send("GET", "/prpc/GetMeta").status == 200);
    CHECK(f.http.asked().size() == 2);
}

TEST_CASE("a KMS that is not allowed, or cannot ask, gives nothing that needs trust") {
    struct Row {
        Reply webhook, agent;
        const char* words;
    };
    const Reply good = Reply::ok(test_support::mock_attest_answer(runtime::Bytes(64)));
    const Row rows[] = {
        {decision(false, "not you"), good, "KMS is not allowed: not you"},
        {Reply::fault(runtime::HttpFault::cannot_connect), good, "cannot connect"},
        {Reply::ok("{}"), good, "isAllowed"},
        {decision(true), Reply::fault(runtime::HttpFault::cannot_connect), "guest agent"},
        {decision(true), Reply::ok(test_support::mock_attest_answer(runtime::Bytes(64, 1))),
         "another question"},
    };
    for (const Row& row : rows) {
        INFO(row.words);
        ServiceFixture f(asking_about_itself());
        f.http.handle([&](const auto&) { return row.webhook; });
        f.agent_http.handle([&](const auto&) { return row.agent; });
        for (const char* method :
             {"GetTempCaCert", "GetAppEnvEncryptPubKey", "GetAppKey", "GetKmsKey", "SignCert"}) {
            const auto reply = f.send("GET", std::string("/prpc/") + method);
            CHECK(reply.status == 400);
            CHECK_THAT(reply.body, Catch::Contains("KMS self authorization failed") &&
                                       Catch::Contains(row.words));
        }
        CHECK(f.send("GET", "/prpc/GetMeta").status == 200);
    }
}
