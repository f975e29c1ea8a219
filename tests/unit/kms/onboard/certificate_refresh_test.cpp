#include "kms/onboard/certificate_refresh.hpp"

#include "kms/crypto/leaf_certificate.hpp"
#include "kms/crypto/pem.hpp"
#include "tests/support/kms_node.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

using namespace kms;
using namespace std::chrono_literals;
using test_support::must;
using Reply = test::FakeHttpClient::Reply;

namespace {

struct Fixture {
    Fixture()
        : node(io, clock, {.quotes = false}),
          keys((made(), node.stored())),
          refresh({.directory = node.directory,
                   .keys = keys,
                   .agent = node.agent,
                   .clock = clock,
                   .workers = node.workers},
                  {.configured_domain = {}, .attempt_limit = 10s, .retry = 5s}) {}

    void made() {
        const auto info = node.bootstrap("kms.peer.test");
        if (!info) FAIL(info.error().text());
    }
    void start() {
        boost::asio::co_spawn(io, refresh.run([this] { ++done; }), boost::asio::detached);
        test::run_ready(io);
    }
    std::string stored() const { return node.stored().certificates.rpc; }
    /// Runs until the certificate is stored by the worker.
    void settle() {
        const auto limit = std::chrono::steady_clock::now() + 10s;
        while (done == 0 && std::chrono::steady_clock::now() < limit) {
            io.restart();
            io.run_one_until(limit);
        }
    }

    boost::asio::io_context io;
    test::ManualClock clock;
    test_support::KmsNode node;
    keys::KeySet keys;
    CertificateRefresh refresh;
    int done = 0;
};

bool is_attested(const std::string& pem) {
    const auto der = must(crypto::first_pem_block(pem));
    return must(crypto::LeafCertificate::parse(der.view())).carries_attestation();
}

}  // namespace

TEST_CASE("rpc.crt is made anew with evidence; keys and other files stay") {
    Fixture f;
    REQUIRE_FALSE(is_attested(f.stored()));
    const std::string root = f.node.stored().certificates.root_ca;
    CHECK(f.refresh.awaited().empty());
    f.start();
    f.settle();
    CHECK(f.done == 1);
    CHECK(is_attested(f.stored()));
    CHECK(f.node.stored().certificates.root_ca == root);
    CHECK(f.node.stored().rpc_key.public_point() == f.keys.rpc_key.public_point());
    CHECK(f.refresh.awaited().empty());
}

TEST_CASE("an agent that hangs, refuses or lies is asked again, and meanwhile it is told") {
    Fixture f;
    const std::string before = f.stored();
    f.node.agent_http.add(Reply::hang());
    f.node.agent_http.add(Reply::fault(runtime::HttpFault::cannot_connect));
    f.node.agent_http.add(Reply::ok(test_support::mock_attest_answer(runtime::Bytes(64, 1))));
    f.start();
    CHECK(f.refresh.awaited() == "a quote for rpc.crt from the guest agent at unix:/agent.sock");
    CHECK(f.node.agent_http.in_flight() == 1);
    f.clock.advance(10s);
    test::run_ready(f.io);
    CHECK_THAT(f.refresh.awaited(), Catch::Contains("timed out"));
    CHECK(f.refresh.failures() == 1);
    CHECK(f.node.agent_http.asked().size() == 1);
    f.clock.advance(5s);
    test::run_ready(f.io);
    CHECK_THAT(f.refresh.awaited(), Catch::Contains("cannot connect"));
    f.clock.advance(5s);
    test::run_ready(f.io);
    CHECK_THAT(f.refresh.awaited(), Catch::Contains("answered another question"));
    CHECK(f.stored() == before);
    CHECK(f.done == 0);
    f.clock.advance(5s);
    f.settle();
    CHECK(f.done == 1);
    CHECK(f.refresh.failures() == 3);
    CHECK(is_attested(f.stored()));
    CHECK(f.refresh.awaited().empty());
}

TEST_CASE("a directory that cannot be written keeps its certificate") {
    Fixture f;
    const std::string before = f.stored();
    // Another process holds the directory.
    const auto lock = must(f.node.real_files.lock(f.node.directory.path()));
    const auto refreshed = test::run(f.io, f.refresh.attempt(f.node.soon()));
    REQUIRE_FALSE(refreshed.has_value());
    CHECK(f.stored() == before);
}
