#include "kms/crypto/keccak.hpp"
#include "kms/crypto/leaf_certificate.hpp"
#include "kms/crypto/pem.hpp"
#include "kms/evidence/report_data.hpp"
#include "kms/onboard/key_evidence.hpp"
#include "kms/rpc/attested_peer.hpp"
#include "tests/support/faulty_file_system.hpp"
#include "tests/support/kms_node.hpp"

#include <set>

#include <boost/json/parse.hpp>

using namespace kms;
using namespace std::chrono_literals;
using keys::DirectoryState;
using test_support::KmsNode;
using test_support::must;
using Reply = test::FakeHttpClient::Reply;

namespace {

struct Two {
    explicit Two(KmsNode::Setup first = {}, KmsNode::Setup second = {})
        : source(io, clock, first), joiner(io, clock, second) {}

    /// Makes the first one a KMS.
    std::string start_source() {
        const auto made = source.bootstrap("kms.peer.test");
        if (!made) FAIL(made.error().text());
        return source.serve();
    }

    boost::asio::io_context io;
    test::ManualClock clock;
    KmsNode source, joiner;
};

struct One {
    explicit One(KmsNode::Setup setup = {}) : node(io, clock, setup) {}
    boost::asio::io_context io;
    test::ManualClock clock;
    KmsNode node;
};

std::vector<std::string> paths(const test::FakeHttpClient& http) {
    std::vector<std::string> list;
    for (const auto& asked : http.asked())
        list.push_back(asked.request.url.substr(asked.request.url.find('/', 8)));
    return list;
}

crypto::LeafCertificate leaf_of(const std::string& pem) {
    const auto der = must(crypto::first_pem_block(pem));
    return must(crypto::LeafCertificate::parse(der.view()));
}

std::string error_of(const auto& outcome) {
    REQUIRE_FALSE(outcome.has_value());
    return outcome.error().text();
}

}  // namespace

TEST_CASE("a bootstrap makes a whole, attested key set and tells it") {
    One f;
    const auto info = f.node.bootstrap("kms.peer.test");
    if (!info) FAIL(info.error().text());
    const keys::KeySet stored = f.node.stored();
    CHECK(info->ca_pubkey == runtime::as_text(crypto::spki_der(stored.root.ca_public_key())));
    CHECK(info->k256_pubkey == runtime::as_text(stored.root.k256_public_key()));
    CHECK(must(f.node.directory.bootstrap_info()) ==
          R"({"ca_pubkey":")" + runtime::to_hex(runtime::as_bytes(info->ca_pubkey)) +
              R"(","k256_pubkey":")" + runtime::to_hex(runtime::as_bytes(info->k256_pubkey)) +
              R"(","attestation":")" + runtime::to_hex(runtime::as_bytes(info->attestation)) +
              "\"}");
    // The agent was asked about the RPC key, then about the new public keys.
    CHECK(paths(f.node.agent_http) == std::vector<std::string>{"/Attest?json", "/Attest?json"});
    const auto asked = [&](std::size_t i) {
        return test_support::asked_report_data(f.node.agent_http.asked()[i].request.body);
    };
    const auto binding = ratls_report_data(crypto::spki_der(stored.rpc_key.public_point()));
    CHECK(asked(0) == Bytes(binding.begin(), binding.end()));
    Bytes statement(64);
    const auto hash = crypto::keccak256({runtime::as_bytes(
        "dstack-kms-genereted-keys-v1:" + runtime::to_hex(runtime::as_bytes(info->ca_pubkey)) +
        ";" + runtime::to_hex(runtime::as_bytes(info->k256_pubkey)) + ";")});
    std::ranges::copy(hash, statement.begin());
    CHECK(asked(1) == statement);

    // rpc.crt carries evidence that binds its key, in the older form.
    const auto leaf = leaf_of(stored.certificates.rpc);
    const auto evidence = evidence_of(leaf);
    REQUIRE(evidence.has_value());
    REQUIRE(*evidence != nullptr);
    CHECK((*evidence)->form == AttestationForm::quote_and_log);
    CHECK((*evidence)->report_data == Bytes(binding.begin(), binding.end()));
    CHECK(leaf.dns_names() == std::vector<std::string>{"kms.peer.test"});
}

TEST_CASE("keys that exist are never made again") {
    One f({.quotes = false});
    REQUIRE(f.node.bootstrap("kms.peer.test").has_value());
    const std::string root = f.node.stored().certificates.root_ca;
    CHECK(error_of(f.node.bootstrap("kms.peer.test")) == "KMS has already been bootstrapped");
    CHECK(error_of(f.node.onboard("https://127.0.0.1:1")) == "KMS has already been onboarded");
    CHECK(f.node.stored().certificates.root_ca == root);

    One partial({.quotes = false});
    REQUIRE(partial.node.bootstrap("kms.peer.test").has_value());
    REQUIRE(partial.node.real_files.remove_file(partial.node.directory.path() + "/rpc.crt")
                .has_value());
    CHECK_THAT(error_of(partial.node.bootstrap("x")), Catch::Contains("'rpc.crt' are missing"));
    CHECK_THAT(error_of(partial.node.onboard("https://127.0.0.1:1")),
               Catch::Contains("'rpc.crt' are missing"));
}

TEST_CASE("a name that no certificate can have is refused before anything is made") {
    for (const std::string domain : {"", "\xC3\xA9.test", "a b", "a\n"}) {
        One f;
        CHECK_THAT(error_of(f.node.bootstrap(domain)),
                   Catch::StartsWith("Failed to generate keys\n\nCaused by:\n    not a domain"));
        CHECK_THAT(error_of(test::run(f.io, f.node.onboarding.onboard("https://127.0.0.1:1", domain,
                                                                      f.node.soon()))),
                   Catch::StartsWith("Failed to onboard\n\nCaused by:\n    not a domain"));
        CHECK(f.node.agent_http.asked().empty());
        CHECK(f.node.state() == DirectoryState::empty);
    }
}

TEST_CASE("an agent that gives no evidence for these keys ends a bootstrap without keys") {
    struct Row {
        Reply reply;
        const char* words;
    };
    const Row rows[] = {
        {Reply::fault(runtime::HttpFault::cannot_connect), "Failed to get quote"},
        {Reply::ok("{}", 500), "Failed to get quote"},
        {Reply::ok(R"({"attestation":"ff"})"), "Invalid attestation"},
        {Reply::ok(test_support::mock_attest_answer(Bytes(64, 9))), "answered another question"},
    };
    for (const Row& row : rows) {
        INFO(row.words);
        One f;
        f.node.agent_http.add(row.reply);
        CHECK_THAT(error_of(f.node.bootstrap("kms.peer.test")),
                   Catch::StartsWith("Failed to generate keys") && Catch::Contains(row.words));
        CHECK(f.node.state() == DirectoryState::empty);
    }
}

TEST_CASE("a bootstrap that must be allowed asks first") {
    One f({.asks_about_itself = true});
    f.node.allowed = false;
    CHECK_THAT(
        error_of(f.node.bootstrap("kms.peer.test")),
        Catch::StartsWith("KMS is not allowed to bootstrap") && Catch::Contains("not today"));
    CHECK(f.node.state() == DirectoryState::empty);
    f.node.allowed = true;
    CHECK(f.node.bootstrap("kms.peer.test").has_value());
    CHECK(paths(f.node.webhook_http) == std::vector<std::string>{"/bootAuth/kms", "/bootAuth/kms"});
}

TEST_CASE("a KMS gets the keys of another one that proved itself, over TLS") {
    Two f;
    const std::string url = f.start_source();
    const auto key = f.joiner.onboard(url + "/");
    if (!key) FAIL(key.error().text());
    const keys::KeySet ours = f.joiner.stored();
    const keys::KeySet theirs = f.source.stored();
    CHECK(*key == theirs.root.k256_public_key());
    CHECK(ours.root.ca_public_key() == theirs.root.ca_public_key());
    CHECK(ours.root.k256_public_key() == theirs.root.k256_public_key());
    CHECK(ours.temp_ca_key.public_point() == theirs.temp_ca_key.public_point());
    CHECK(ours.rpc_key.public_point() != theirs.rpc_key.public_point());
    CHECK(ours.domain == "kms2.peer.test");
    CHECK_FALSE(f.joiner.directory.bootstrap_info().has_value());
    CHECK(leaf_of(ours.certificates.rpc).carries_attestation());

    // Each asked about the other, once.
    CHECK(paths(f.source.webhook_http) == std::vector<std::string>{"/bootAuth/kms"});
    CHECK(paths(f.joiner.webhook_http) == std::vector<std::string>{"/bootAuth/kms"});
    // A certificate of the older form names no image; the joiner's own is told instead.
    CHECK_THAT(f.joiner.webhook_http.asked()[0].request.body,
               Catch::Contains("\"osImageHash\":\"5555"));
    CHECK(f.joiner.verifier.asked >= 1);
    // A KMS of KMS: the new one is a source, too.
    KmsNode third(f.io, f.clock, {});
    CHECK(third.onboard(f.joiner.serve()).has_value());
}

TEST_CASE("a source that does not prove itself, or is not allowed, gives no keys") {
    SECTION("its certificate carries no evidence") {
        Two f({.quotes = false});
        CHECK(
            error_of(f.joiner.onboard(f.start_source())) ==
            "Failed to onboard\n\nCaused by:\n    0: Failed to validate attestation\n    1: Source "
            "KMS certificate does not contain attestation");
        CHECK(f.joiner.state() == DirectoryState::empty);
    }
    SECTION("unless that was switched off") {
        Two f({.quotes = false}, {.verify_source = false});
        CHECK(f.joiner.onboard(f.start_source()).has_value());
    }
    SECTION("its evidence is refused") {
        Two f;
        f.joiner.verifier.refuses = true;
        CHECK(error_of(f.joiner.onboard(f.start_source())) ==
              "Failed to onboard\n\nCaused by:\n    0: Failed to validate attestation\n    1: "
              "refused by the test");
        CHECK(f.joiner.state() == DirectoryState::empty);
    }
    SECTION("the joiner's authorisation service refuses it") {
        Two f;
        const std::string url = f.start_source();
        f.joiner.allowed = false;
        CHECK_THAT(error_of(f.joiner.onboard(url)),
                   Catch::Contains("Source KMS is not allowed for onboarding") &&
                       Catch::Contains("Boot denied: not today"));
        CHECK(f.joiner.state() == DirectoryState::empty);
    }
    SECTION("it refuses the joiner") {
        Two f;
        const std::string url = f.start_source();
        f.source.allowed = false;
        CHECK_THAT(error_of(f.joiner.onboard(url)),
                   Catch::Contains("Request failed with status=400 Bad Request, error=") &&
                       Catch::Contains("Boot denied: not today"));
        CHECK(f.joiner.state() == DirectoryState::empty);
    }
    SECTION("nobody is there") {
        Two f;
        CHECK_THAT(error_of(f.joiner.onboard("https://127.0.0.1:1")),
                   Catch::StartsWith("Failed to onboard\n\nCaused by:\n    0: Failed to send "
                                     "request\n    1: no answer from https://127.0.0.1:1"));
    }
    SECTION("it is no KMS at all") {
        Two f;
        f.start_source();
        CHECK_THAT(error_of(f.joiner.onboard("http://127.0.0.1:" +
                                             std::to_string(f.source.server->port()))),
                   Catch::Contains("Failed to send request"));
    }
}

TEST_CASE("without quotes keys come from whoever answers, as configured") {
    Two f({.quotes = false}, {.quotes = false});
    CHECK(f.joiner.onboard(f.start_source()).has_value());
    CHECK(paths(f.joiner.agent_http) == std::vector<std::string>{"/Info?json"});
    CHECK(f.joiner.webhook_http.asked().empty());
}

TEST_CASE("two at once: the second is told, and only one set is stored") {
    One f;
    f.node.agent_http.add(Reply::hang());
    std::optional<tl::expected<BootstrapInfo, RpcError>> first;
    boost::asio::co_spawn(f.io, f.node.onboarding.bootstrap("a.test", f.node.soon()),
                          [&](std::exception_ptr, tl::expected<BootstrapInfo, RpcError> outcome) {
                              first = std::move(outcome);
                          });
    test::run_ready(f.io);
    CHECK(error_of(f.node.bootstrap("b.test")) == "another bootstrap or onboarding is under way");
    CHECK(error_of(f.node.onboard("https://127.0.0.1:1")) ==
          "another bootstrap or onboarding is under way");
    f.clock.advance(10s);  // the agent had its time
    test::run_ready(f.io);
    REQUIRE(first.has_value());
    CHECK_THAT(error_of(*first), Catch::Contains("timed out"));
    CHECK(f.node.bootstrap("c.test").has_value());
}

TEST_CASE("a disk that fills up during onboarding leaves no keys or the whole set") {
    std::size_t failed = 0;
    for (int step = 0;; ++step) {
        INFO("full from step " << step);
        keys::PosixFileSystem real;
        test_support::FaultyFileSystem faulty(
            real, test_support::FaultyFileSystem::Fault::disk_full, step);
        Two f({.quotes = false}, {.quotes = false, .files = &faulty});
        const std::string url = f.start_source();
        const auto outcome = f.joiner.onboard(url);
        if (outcome) break;
        ++failed;
        CHECK_THAT(error_of(outcome), Catch::StartsWith("Failed to store keys"));
        keys::KeyDirectory again(real, f.joiner.directory.path());
        const auto state = must(again.inspect()).state;
        CHECK((state == DirectoryState::empty || state == DirectoryState::interrupted));
        // The next start goes on: with the source's keys, or with nothing.
        const auto opened = keys::open_keys(again, "", f.clock.wall_now());
        CHECK(opened.has_value() == (state == DirectoryState::interrupted));
        if (opened)
            CHECK(opened->keys.root.ca_public_key() == f.source.stored().root.ca_public_key());
    }
    CHECK(failed > 20);
}

TEST_CASE("what a machine says of itself before it may join") {
    One f;
    f.node.webhook_http.add(Reply::ok(
        R"({"status":"ok","kmsContractAddr":"0xc","gatewayAppId":"","appImplementation":"","chainId":1,"ethRpcUrl":"http://r"})"));
    const auto info = test::run(f.io, f.node.onboarding.machine_info(f.node.soon()));
    if (!info) FAIL(info.error().text());
    CHECK(info->attestation_mode == "dstack-tdx");
    CHECK(runtime::to_hex(info->device_id) ==
          "e3a4469307c912c35f6820ac8cc7aba3a699e71397c20797e2d517299d3025a7");
    CHECK(runtime::to_hex(info->ppid) == "af61fcd5a8e0fc46ec8407719bbfde26");
    CHECK(runtime::to_hex(info->os_image_hash) == "55");
    CHECK(info->kms_contract_address == "0xc");
    CHECK(info->eth_rpc_url == "http://r");
    CHECK(paths(f.node.agent_http) == std::vector<std::string>{"/Attest?json", "/Info?json"});
    // A webhook that does not answer is no reason not to.
    One silent;
    silent.node.webhook_http.add(Reply::fault(runtime::HttpFault::cannot_connect));
    const auto without =
        test::run(silent.io, silent.node.onboarding.machine_info(silent.node.soon()));
    REQUIRE(without.has_value());
    CHECK(without->kms_contract_address.empty());
}

TEST_CASE("the requests to a source are those that the original sends") {
    const auto text = test_support::shared_kms_text("peer/onboard_E.json");
    if (!text) return;
    std::size_t played = 0;
    const auto recorded = boost::json::parse(*text);
    for (const auto& one : recorded.at("cases").as_array()) {
        const std::string name = test_support::text_at(one, "name");
        if (!name.ends_with("client-traffic")) continue;
        INFO(name);
        boost::asio::io_context io;
        test::ManualClock clock;
        test::FakeHttpClient http(clock);
        KmsNode source(io, clock, {.quotes = false});
        REQUIRE(source.bootstrap("kms.peer.test").has_value());
        const std::string url = source.serve();
        const keys::KeySet keys = source.stored();
        http.handle([&](const auto& request) {
            runtime::HttpServerRequest asked;
            asked.method = "POST";
            asked.path = request.url.substr(request.url.find("/prpc"));
            asked.path.resize(asked.path.find('?'));
            asked.target = asked.path + "?json";
            asked.query = "json";
            asked.body = request.body;
            return Reply::ok(
                test::run(source.io, source.service->handle(asked, source.soon())).body);
        });
        const bool quotes = name.find("quotes-on") != std::string::npos;
        KmsNode joiner(io, clock, {.quotes = quotes, .verify_source = false, .http = &http});
        joiner.agent_http.handle([](const auto& request) {
            if (request.url.ends_with("/Attest?json"))
                return Reply::ok(test_support::mock_attest_answer(
                    test_support::asked_report_data(request.body)));
            return Reply::ok(R"({"vm_config":"{\"os_image_hash\":\")" + std::string(64, '5') +
                             R"(\"}"})");
        });
        const auto key = joiner.onboard("https://127.0.0.1:18430/prpc");
        if (!key) FAIL(key.error().text());

        const auto& expected = one.at("source_requests").as_array();
        REQUIRE(http.asked().size() == expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const auto& ours = http.asked()[i].request;
            const std::string head = test_support::text_at(expected[i], "request_head");
            CHECK(head.starts_with(ours.method + " " + ours.url.substr(ours.url.find("/prpc")) +
                                   " HTTP/1.1\r\n"));
            CHECK(ours.body == test_support::text_at(expected[i], "request_body"));
            CHECK(ours.headers ==
                  std::vector<std::pair<std::string, std::string>>{{"accept", "*/*"}});
            const auto& certificate = expected[i].at("client_cert_der_hex");
            CHECK(ours.tls.client_certificate_pem.empty() == certificate.is_null());
            if (certificate.is_null()) continue;
            const Bytes der = test_support::hex(std::string(certificate.as_string()));
            const auto theirs = must(crypto::LeafCertificate::parse(der));
            const auto mine = leaf_of(ours.tls.client_certificate_pem);
            CHECK(Bytes(mine.subject().begin(), mine.subject().end()) ==
                  Bytes(theirs.subject().begin(), theirs.subject().end()));
            for (const auto extension :
                 {crypto::CustomExtension::tdx_quote, crypto::CustomExtension::tdx_event_log,
                  crypto::CustomExtension::attestation, crypto::CustomExtension::app_id,
                  crypto::CustomExtension::special_usage})
                CHECK(must(mine.payload(extension)).has_value() ==
                      must(theirs.payload(extension)).has_value());
        }
        ++played;
    }
    CHECK(played == 2);
}
