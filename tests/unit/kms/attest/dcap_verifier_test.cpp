// The verifier of dstack-kms: simulated evidence, collateral from a simulated server, time by hand.
#include "kms/attest/trust.hpp"
#include "tests/support/temporary_directory.hpp"
#include "tests/unit/kms/attest/attest_fixture.hpp"

#include <fstream>

#include <boost/asio/detached.hpp>

using namespace attest_test;

TEST_CASE("simulated evidence is accepted, and collateral is fetched once") {
    Fixture f;
    for (int i = 0; i < 3; ++i) {
        const auto machine = f.verify();
        INFO(words(machine));
        REQUIRE(machine.has_value());
        CHECK(std::ranges::equal(machine->device, f.machine.machine().platform({}).ppid));
        CHECK(machine->tcb_status == "UpToDate");
    }
    CHECK(f.http.asked().size() == 4);
    CHECK(f.http.asked()[1].request.url ==
          "http://pccs.test/tdx/certification/v4/tcb?fmspc=53494D000001");
}

TEST_CASE("each fault of evidence is refused with a reason, in the protocol's words") {
    for (const auto& row : simulator::fault_rows()) {
        // The binding to a key is the caller's to compare.
        if (!row.stage || row.stage == Stage::key_binding) continue;
        INFO(row.name);
        Fixture f;
        f.machine.switches().faults.set(row.fault);
        const auto refused = f.verify();
        INFO(words(refused));
        REQUIRE(!refused.has_value());
        CHECK(refused.error().code == ErrorCode::unauthenticated);
        const bool is_dcap = row.stage >= Stage::root_crl && row.stage <= Stage::attributes;
        CHECK(refused.error().context.starts_with("Failed to get collateral: ") == is_dcap);
    }
}

TEST_CASE("a collateral server that gives no good answer is a sentence, and is asked again later") {
    struct Row {
        WireFault fault;
        std::string_view word;
    };
    for (const Row& row : {Row{WireFault::unavailable, "status 503"},
                           Row{WireFault::html, "header"}, Row{WireFault::no_headers, "header"}}) {
        INFO(to_string(row.fault));
        Fixture f;
        f.machine.switches().pccs = row.fault;
        const auto failed = f.verify();
        REQUIRE(!failed.has_value());
        CHECK(failed.error().code == ErrorCode::unavailable);
        INFO(failed.error().context);
        CHECK(failed.error().context.find(row.word) != std::string::npos);
        CHECK(failed.error().context.find("http://pccs.test") != std::string::npos);
        // At once: the same answer without another question.
        const std::size_t asked = f.http.asked().size();
        CHECK(!f.verify().has_value());
        CHECK(f.http.asked().size() == asked);
        // Recovery at the first good answer.
        f.machine.switches().pccs = WireFault::none;
        f.clock.advance(3s);
        CHECK(f.verify().has_value());
    }
}

TEST_CASE("with collateral held, a silent server is not noticed") {
    Fixture f;
    REQUIRE(f.verify().has_value());
    f.hangs = true;
    CHECK(f.verify().has_value());
    // Past the time at which it is fetched anew in the background.
    f.clock.advance(24h);
    CHECK(f.verify().has_value());
    CHECK(f.http.asked().size() == 5);
}

TEST_CASE("without collateral each caller waits for its own deadline, on one fetch") {
    Fixture f;
    f.hangs = true;
    std::vector<std::string> ends;
    const auto ask = [&f, &ends](std::chrono::seconds span) {
        boost::asio::co_spawn(
            f.io,
            f.verifier->verify(f.evidence(), "192.0.2.1",
                               runtime::Deadline::after(f.clock.now(), span)),
            [&ends, span](std::exception_ptr, const Result<VerifiedMachine>& result) {
                ends.push_back(std::to_string(span.count()) + ": " +
                               (result ? "accepted" : std::string(to_string(result.error().code))));
            });
    };
    ask(5s);
    ask(10s);
    // Until both wait: the question to the worker comes back by itself.
    f.settle();
    CHECK(f.http.asked().size() == 1);
    f.clock.advance(5s);
    test::run_ready(f.io);
    CHECK(ends == std::vector<std::string>{"5: deadline exceeded"});
    f.clock.advance(5s);
    test::run_ready(f.io);
    CHECK(ends.size() == 2);
    CHECK(ends.back() == "10: deadline exceeded");
    f.clock.advance(60s);
    test::run_ready(f.io);
    CHECK(f.http.in_flight() == 0);
}

TEST_CASE("collateral is fetched anew before it expires, and expired collateral is not used") {
    Fixture f;
    REQUIRE(f.verify().has_value());
    f.hangs = true;
    f.clock.advance(24h * 31);
    const auto limit = std::chrono::steady_clock::now() + 10s;
    std::optional<Result<VerifiedMachine>> end;
    boost::asio::co_spawn(
        f.io,
        f.verifier->verify(f.evidence(), "192.0.2.1", runtime::Deadline::after(f.clock.now(), 5s)),
        [&end](std::exception_ptr, Result<VerifiedMachine> result) { end = std::move(result); });
    while (f.clock.sleepers() < 2 && !end && std::chrono::steady_clock::now() < limit) {
        f.io.restart();
        f.io.run_one_until(limit);
    }
    f.clock.advance(60s);
    test::run_ready(f.io);
    REQUIRE(end.has_value());
    CHECK(!end->has_value());
}

TEST_CASE("the root of the simulator is trusted only as the specification allows it") {
    const test_support::TemporaryDirectory directory;
    const auto write = [&](const std::string& name, std::string_view text) {
        const std::string path = directory / name;
        std::ofstream(path, std::ios::binary) << text;
        return path;
    };
    simulator::Simulator simulated(seed(), {});
    const std::string pem = write("root.pem", simulated.root_pem());
    const auto pki = simulator::make_pki(seed(), {}, {});
    const std::string der = write("root.der", runtime::as_text(pki.root));
    const std::string two = write("two.pem", simulated.root_pem() + simulated.root_pem());
    const std::string leaf = write("leaf.der", runtime::as_text(pki.pck));
    const std::string trailing =
        write("trailing.der", std::string(runtime::as_text(pki.root)) + "x");

    AttestationConfig config;
    const auto intel = trust_anchor(config, ExternalAnchors::allowed);
    REQUIRE(intel.has_value());
    CHECK(intel->fingerprint() == TrustAnchor::intel().fingerprint());

    config.tdx_root = pem;
    const auto unsaid = trust_anchor(config, ExternalAnchors::allowed);
    REQUIRE(!unsaid.has_value());
    CHECK(unsaid.error().context.find("insecure_allow_external_trust_anchors") !=
          std::string::npos);

    config.external_anchors = true;
    const auto production = trust_anchor(config, ExternalAnchors::refused);
    REQUIRE(!production.has_value());
    CHECK(production.error().context.find("Intel's root only") != std::string::npos);

    for (const std::string& file : {pem, der}) {
        config.tdx_root = file;
        const auto trusted = trust_anchor(config, ExternalAnchors::allowed);
        REQUIRE(trusted.has_value());
        CHECK(trusted->fingerprint() == anchor().fingerprint());
    }
    for (const std::string& file : {two, leaf, trailing, directory / "missing"}) {
        INFO(file);
        config.tdx_root = file;
        CHECK(!trust_anchor(config, ExternalAnchors::allowed).has_value());
    }
}

TEST_CASE("base URLs lose what people copy along with them") {
    for (const auto& [given, wanted] : std::initializer_list<std::pair<std::string, std::string>>{
             {"http://a:8081", "http://a:8081"},
             {"http://a:8081///", "http://a:8081"},
             {"https://a/sgx/certification/v4/", "https://a"},
             {"https://a/tdx/certification/v4", "https://a"},
             {"https://a/x/tdx/certification/v4", "https://a/x"}}) {
        CHECK(collateral_base_url(given) == wanted);
    }
}
