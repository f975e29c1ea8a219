// What the original programs answered: attested requests, the mock generator's quote, fetched
// collateral.
#include "kms/verify/attestation.hpp"
#include "kms/verify/x509.hpp"
#include "kms/verify/x509_time.hpp"
#include "tests/unit/kms/verify/quote_cases.hpp"

#include <set>

using namespace test_support;

namespace {

runtime::Bytes dstack_oid(std::uint8_t n) {
    return {0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xe7, 0x3d, 0x01, n};
}

struct ClientCertificate {
    runtime::Bytes spki;
    runtime::Result<kms::Attestation> attestation;
};

/// As a handler does it; the error is the text that the original answers with.
ClientCertificate read_client(const std::string& pem) {
    const auto chain = kms::x509::PemChain::parse(pem);
    REQUIRE(chain.has_value());
    REQUIRE(chain->size() >= 1);
    const auto certificate = kms::x509::parse_certificate((*chain)[0]);
    REQUIRE(certificate.has_value());
    ClientCertificate client;
    client.spki.assign(certificate->key.spki.begin(), certificate->key.spki.end());
    using kms::x509::find_wrapped_extension;
    const runtime::Error none{runtime::ErrorCode::unauthenticated, "No attestation provided"};
    const auto whole = find_wrapped_extension((*chain)[0], dstack_oid(8));
    const auto quote = find_wrapped_extension((*chain)[0], dstack_oid(1));
    const auto log = find_wrapped_extension((*chain)[0], dstack_oid(2));
    if (whole)
        client.attestation = kms::decode_attestation(*whole);
    else if (quote && log)
        client.attestation = kms::attestation_of_quote_and_log(*quote, runtime::as_text(*log));
    else
        client.attestation = none;
    return client;
}

std::string invalid_quote(const kms::Refusal& refusal) {
    return "invalid quote: " +
           (is_quote_stage(refusal.stage) ? "failed to verify TDX quote: " : std::string()) +
           refusal.reason;
}

/// The original refuses what its own stripping makes, and takes only forms that were known when it
/// was made.
const std::set<std::string> kAcceptedHere = {"v1-events-v2-stripped",
                                             "v1-events-v2-stripped-preimage"};

}  // namespace

TEST_CASE("attested requests: verdict, words and boot info as the original gave them") {
    const auto folder = VectorFolder::shared("peer/kms-requests");
    if (!folder) return;
    const boost::json::value expected = folder->json("expected.json");
    std::size_t released = 0;
    std::size_t refused = 0;
    for (const char* generation : {"N", "E"}) {
        const std::string pki = std::string("pki-") + generation + "/";
        const auto anchor = kms::TrustAnchor::create(folder->bytes(pki + "root.der"));
        REQUIRE(anchor.has_value());
        kms::PlatformCache cache(4);
        for (const auto& [key, row] : expected.as_object()) {
            const auto* answer = row.as_object().if_contains(generation);
            if (answer == nullptr) continue;
            const std::string name(key);
            const std::string request = name.substr(0, name.find('@'));
            INFO(generation << " " << name);
            const std::string collateral = name.find('@') == std::string::npos
                                               ? "collateral.json"
                                               : "collateral-outofdate.json";
            const auto held = kms::VerifiedCollateral::create(
                collateral_of(folder->text(pki + collateral)), *anchor, 1767225600);
            REQUIRE(held.has_value());
            const auto client =
                read_client(folder->text("requests/" + request + "/client-" + generation + ".crt"));
            const bool is_new = std::string(generation) == "N";
            const std::string error = text_or(answer->at("answer"), "error", "");
            if (!client.attestation) {
                CHECK(!error.empty());
                continue;
            }
            if (auto binding = kms::check_key_binding(*client.attestation, client.spki); !binding) {
                ++refused;
                if (is_new) CHECK(error == invalid_quote(binding.error()));
                CHECK(!error.empty());
                continue;
            }
            const auto verdict =
                kms::verify_attestation(*client.attestation, *held, 1767225600, &cache);
            if (!verdict) {
                ++refused;
                INFO(verdict.error().reason);
                if (is_new) CHECK(error == invalid_quote(verdict.error()));
                CHECK(!error.empty());
                continue;
            }
            const boost::json::value body = folder->json("requests/" + request + "/body.json");
            const auto info = decode_app_info(*client.attestation, kms::AppInfoAt::run_time,
                                              verdict->quote.ppid, text_or(body, "vm_config", ""));
            if (!info) {
                if (is_new)
                    CHECK(error == "App not allowed: decode app info: " + info.error().context);
                CHECK(!error.empty());
                continue;
            }
            const auto& asked = answer->at("auth").as_array();
            if (asked.empty()) continue;  // refused later, or earlier, by a handler
            const boost::json::value& question = asked.at(0).at("body");
            CHECK(runtime::to_hex(info->app_id) == text_of(question, "appId"));
            CHECK(runtime::to_hex(info->compose_hash) == text_of(question, "composeHash"));
            CHECK(runtime::to_hex(info->instance_id) == text_of(question, "instanceId"));
            CHECK(runtime::to_hex(info->device_id) == text_of(question, "deviceId"));
            CHECK(runtime::to_hex(info->mr_system) == text_of(question, "mrSystem"));
            CHECK(runtime::to_hex(info->mr_aggregated) == text_of(question, "mrAggregated"));
            CHECK(runtime::to_hex(info->os_image_hash) == text_of(question, "osImageHash"));
            CHECK(runtime::to_hex(info->key_provider_info) == text_of(question, "keyProviderInfo"));
            CHECK(to_string(verdict->quote.tcb.status) == text_of(question, "tcbStatus"));
            std::vector<std::string> advisories;
            for (const auto& id : question.at("advisoryIds").as_array())
                advisories.emplace_back(id.as_string());
            CHECK(verdict->quote.tcb.advisory_ids == advisories);
            ++released;
        }
    }
    CHECK(released >= 25);
    CHECK(refused >= 10);
}

TEST_CASE("what the original refuses and we accept is what the specification says") {
    const auto folder = VectorFolder::shared("peer/kms-requests");
    if (!folder) return;
    const auto anchor = kms::TrustAnchor::create(folder->bytes("pki-N/root.der"));
    REQUIRE(anchor.has_value());
    const auto held = kms::VerifiedCollateral::create(
        collateral_of(folder->text("pki-N/collateral.json")), *anchor, 1767225600);
    REQUIRE(held.has_value());
    const boost::json::value expected = folder->json("expected.json");
    std::set<std::string> accepted;
    for (const auto& [key, row] : expected.as_object()) {
        const std::string name(key);
        const auto* answer = row.as_object().if_contains("N");
        if (answer == nullptr || name.find('@') != std::string::npos) continue;
        if (!text_or(answer->at("answer"), "error", "").starts_with("invalid quote")) continue;
        const auto client = read_client(folder->text("requests/" + name + "/client-N.crt"));
        if (client.attestation && kms::check_key_binding(*client.attestation, client.spki) &&
            kms::verify_attestation(*client.attestation, *held, 1767225600, nullptr))
            accepted.insert(name);
    }
    CHECK(accepted == kAcceptedHere);
}

TEST_CASE("the quote of the field's mock generator") {
    const auto folder = VectorFolder::shared("peer/mock-generator");
    if (!folder) return;
    const auto anchor = kms::TrustAnchor::create(folder->bytes("root.der"));
    REQUIRE(anchor.has_value());
    const kms::Collateral collateral = collateral_of(folder->text("collateral.json"));
    const auto issued = boost::json::parse(collateral.tcb_info).at("issueDate").as_string();
    const auto now = kms::x509::parse_rfc3339(std::string(issued));
    REQUIRE(now.has_value());
    const auto verdict =
        kms::verify_quote(folder->bytes("quote.bin"), collateral, *anchor, *now + 86400);
    CHECK(summary(verdict) == "ok UpToDate");
    CHECK(outcome(kms::verify_quote(folder->bytes("quote.bin"), collateral,
                                    kms::TrustAnchor::intel(), *now)) == "root_crl");
}

TEST_CASE("collateral as it is fetched") {
    const auto folder = VectorFolder::shared("pcs");
    if (!folder) return;
    const boost::json::value scenarios = folder->json("scenarios.json");
    const auto anchor =
        kms::TrustAnchor::create(VectorFolder::own("dcap-mock").bytes("roots/vector-root.der"));
    REQUIRE(anchor.has_value());
    std::size_t verified = 0;
    for (const auto& row : scenarios.at("scenarios").as_array()) {
        const std::string file = text_or(row, "collateral", "");
        if (file.empty()) continue;
        INFO(text_of(row, "name"));
        const kms::Collateral collateral = collateral_of(folder->text(file));
        CHECK(kms::parse_collateral(to_json(collateral)) == collateral);
        const auto verdict =
            kms::verify_quote(folder->bytes(text_of(row, "quote")), collateral, *anchor,
                              scenarios.at("now").to_number<std::int64_t>());
        CHECK(summary(verdict).starts_with("ok "));
        ++verified;
    }
    CHECK(verified >= 5);
}
