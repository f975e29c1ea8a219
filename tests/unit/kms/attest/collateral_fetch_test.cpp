// Fetching collateral: the recorded exchanges of testdata/attestation/pcs, URL for URL, and what
// else can come from a server.
#include "kms/attest/dcap_verifier.hpp"
#include "kms/attest/held_collateral.hpp"
#include "kms/attest/pccs_fetch.hpp"
#include "tests/support/attestation_vectors.hpp"
#include "tests/support/fake_http_client.hpp"
#include "tests/support/manual_clock.hpp"

#include <algorithm>
#include <cctype>

using namespace kms;
using namespace std::chrono_literals;
using namespace test_support;
using Reply = test::FakeHttpClient::Reply;

namespace {

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

struct Fixture {
    Result<Collateral> fetch(const std::string& base_url, const runtime::Bytes& quote) {
        return test::run(io, fetch_for_quote(http, {collateral_base_url(base_url), "/roots.pem"},
                                             quote, runtime::Deadline::after(clock.now(), 10s)));
    }
    boost::asio::io_context io;
    test::ManualClock clock;
    test::FakeHttpClient http{clock};
};

}  // namespace

TEST_CASE("recorded exchanges with PCCS and PCS: the same requests, and the same collateral") {
    const auto folder = VectorFolder::shared("pcs");
    if (!folder) return;
    const boost::json::value all = folder->json("scenarios.json");
    std::size_t built = 0, failed = 0;
    for (const auto& row : all.at("scenarios").as_array()) {
        INFO(text_of(row, "name") << ": " << text_of(row, "why"));
        Fixture f;
        std::vector<std::string> expected;
        for (const auto& exchange : row.at("exchanges").as_array()) {
            expected.push_back(text_of(exchange, "url"));
            test::FakeHttpClient::Headers headers;
            for (const auto& [name, value] : exchange.at("headers").as_object())
                headers.emplace_back(lower(std::string(name)), std::string(value.as_string()));
            f.http.add(Reply::ok(folder->text(text_of(exchange, "body_file")),
                                 exchange.at("status").to_number<unsigned>(), headers));
        }
        const auto fetched =
            f.fetch(text_of(row, "base_url"), folder->bytes(text_of(row, "quote")));
        std::vector<std::string> asked;
        for (const auto& one : f.http.asked()) {
            asked.push_back(one.request.url);
            CHECK(one.request.method == "GET");
            CHECK(one.request.use_proxy_from_environment);
            CHECK(one.request.tls.ca_file == "/roots.pem");
            CHECK(one.request.tls.verify_peer);
            CHECK(one.request.tls.verify_name);
        }
        const std::string file = text_or(row, "collateral", "");
        if (!file.empty()) {
            if (!fetched) FAIL(fetched.error().context);
            CHECK(asked == expected);
            const auto wanted = parse_collateral(folder->text(file));
            REQUIRE(wanted.has_value());
            CHECK(to_json(*fetched) == to_json(*wanted));
            ++built;
        } else {
            REQUIRE(!fetched.has_value());
            REQUIRE(asked.size() <= expected.size());
            CHECK(std::equal(asked.begin(), asked.end(), expected.begin()));
            CHECK(!fetched.error().context.empty());
            ++failed;
        }
    }
    CHECK(built >= 7);
    CHECK(failed >= 6);
}

TEST_CASE("a kept connection that the server has ended is no answer: the request is sent again") {
    const auto folder = VectorFolder::shared("pcs");
    if (!folder) return;
    const boost::json::value all = folder->json("scenarios.json");
    const auto& row = all.at("scenarios").at(0);
    Fixture f;
    f.http.add(Reply::fault(runtime::HttpFault::closed).on_reused_connection());
    for (const auto& exchange : row.at("exchanges").as_array()) {
        test::FakeHttpClient::Headers headers;
        for (const auto& [name, value] : exchange.at("headers").as_object())
            headers.emplace_back(lower(std::string(name)), std::string(value.as_string()));
        f.http.add(Reply::ok(folder->text(text_of(exchange, "body_file")), 200, headers));
    }
    const auto fetched = f.fetch("https://pccs.test", folder->bytes(text_of(row, "quote")));
    CHECK(fetched.has_value());
    REQUIRE(f.http.asked().size() == 5);
    CHECK(!f.http.asked()[0].request.new_connection);
    CHECK(f.http.asked()[1].request.new_connection);
    CHECK(f.http.asked()[0].request.url == f.http.asked()[1].request.url);
}

TEST_CASE("whatever else a server does is an error of its kind that names it") {
    const auto folder = VectorFolder::shared("pcs");
    if (!folder) return;
    const runtime::Bytes quote = folder->bytes("quotes/base.bin");
    struct Row {
        runtime::HttpFault fault;
        ErrorCode code;
    };
    for (const Row& row : {Row{runtime::HttpFault::cannot_connect, ErrorCode::unavailable},
                           Row{runtime::HttpFault::cannot_resolve, ErrorCode::unavailable},
                           Row{runtime::HttpFault::closed, ErrorCode::unavailable},
                           Row{runtime::HttpFault::malformed, ErrorCode::unavailable},
                           Row{runtime::HttpFault::too_large, ErrorCode::unavailable},
                           Row{runtime::HttpFault::timed_out, ErrorCode::deadline_exceeded},
                           Row{runtime::HttpFault::busy, ErrorCode::resource_exhausted}}) {
        Fixture f;
        f.http.add(Reply::fault(row.fault));
        const auto fetched = f.fetch("https://pccs.test", quote);
        REQUIRE(!fetched.has_value());
        CHECK(fetched.error().code == row.code);
        CHECK_THAT(fetched.error().context, Catch::Contains("https://pccs.test/sgx"));
        CHECK(f.http.asked().size() == 1);
    }
    Fixture f;
    const auto unreadable = f.fetch("https://pccs.test", runtime::Bytes(100, 7));
    REQUIRE(!unreadable.has_value());
    CHECK(unreadable.error().code == ErrorCode::invalid_argument);
    CHECK(f.http.asked().empty());
}

namespace {

/// The client that the store owns, while the test keeps the peer.
class Borrowed final : public runtime::HttpClient {
  public:
    explicit Borrowed(runtime::HttpClient& peer) : peer_(peer) {}
    runtime::Task<runtime::HttpExchange> exchange(runtime::HttpClientRequest request,
                                                  runtime::Deadline deadline) override {
        return peer_.exchange(std::move(request), deadline);
    }

  private:
    runtime::HttpClient& peer_;
};

}  // namespace

TEST_CASE("a quote that only names its platform is verified with the chain that its server gives") {
    const auto folder = VectorFolder::shared("pcs");
    if (!folder) return;
    const boost::json::value all = folder->json("scenarios.json");
    for (const auto& row : all.at("scenarios").as_array()) {
        if (text_of(row, "name") != "pccs-pckcert") continue;
        Fixture f;
        for (const auto& exchange : row.at("exchanges").as_array()) {
            test::FakeHttpClient::Headers headers;
            for (const auto& [name, value] : exchange.at("headers").as_object())
                headers.emplace_back(lower(std::string(name)), std::string(value.as_string()));
            f.http.add(Reply::ok(folder->text(text_of(exchange, "body_file")), 200, headers));
        }
        const auto anchor =
            TrustAnchor::create(VectorFolder::own("dcap-mock").bytes("roots/vector-root.der"));
        REQUIRE(anchor.has_value());
        runtime::Workers workers(1, 16);
        DcapVerifier verifier(
            f.clock, workers,
            std::make_unique<HeldCollateral>(
                f.io.get_executor(), f.clock, workers, std::make_unique<Borrowed>(f.http), *anchor,
                HeldCollateralOptions{.server = {"https://pccs.test", ""}}));
        auto evidence = std::make_shared<Attestation>();
        evidence->platform = TdxEvidence{folder->bytes(text_of(row, "quote")), {}};
        for (int time = 0; time < 2; ++time) {
            const auto verdict =
                test::run(f.io, verifier.verify(evidence, "192.0.2.1",
                                                runtime::Deadline::after(f.clock.now(), 10s)));
            // The quote is genuine; what a bare quote lacks are the events behind its register.
            REQUIRE(!verdict.has_value());
            CHECK_THAT(verdict.error().context, Catch::StartsWith("RTMR3 mismatch"));
            CHECK(f.http.asked().size() == 5);
        }
        return;
    }
    FAIL("the recording is not there");
}
