// Whole attestations: verdict, stage and app info, cold and warm; what binds them to a key.
#include "kms/verify/attestation.hpp"

#include "kms/evidence/report_data.hpp"
#include "tests/unit/kms/verify/quote_cases.hpp"

using namespace test_support;

namespace {

std::string hex(runtime::ByteView bytes) {
    return runtime::to_hex(bytes);
}

std::string stage_of(const kms::Verdict<kms::VerifiedAttestation>& verdict) {
    return verdict ? "ok" : std::string(to_string(verdict.error().stage));
}

}  // namespace

TEST_CASE("attestations: verdict, stage and app info, cold and warm") {
    const auto folder = VectorFolder::own("dstack/mock-attestations");
    const boost::json::value rows = folder.json("cases.json");
    kms::PlatformCache cache(8);
    for (const auto& row : rows.as_array()) {
        INFO(text_of(row, "name") << ": " << text_of(row, "why"));
        const boost::json::value& expect = row.at("expect");
        const runtime::Bytes bytes = folder.bytes(text_of(row, "attestation"));
        const auto attestation = kms::decode_attestation(bytes);
        if (text_or(expect, "stage", "") == "decode") {
            CHECK(!attestation.has_value());
            continue;
        }
        REQUIRE(attestation.has_value());
        const auto anchor = kms::TrustAnchor::create(folder.bytes(text_of(row, "root")));
        REQUIRE(anchor.has_value());
        const auto now = row.at("now").to_number<std::int64_t>();
        const auto held = kms::VerifiedCollateral::create(
            collateral_of(folder.text(text_of(row, "collateral"))), *anchor, now);
        REQUIRE(held.has_value());
        for (int run = 0; run < 2; ++run) {
            const auto verdict =
                kms::verify_attestation(*attestation, *held, now, run == 0 ? nullptr : &cache);
            CHECK(stage_of(verdict) == text_or(expect, "stage", "ok"));
            if (!verdict) continue;
            CHECK(to_string(verdict->quote.tcb.status) == text_of(expect, "status"));
            CHECK(kms::check_report_data_payload(*attestation).has_value());
            for (const bool boot : {false, true}) {
                const auto info = decode_app_info(
                    *attestation, boot ? kms::AppInfoAt::boot_time : kms::AppInfoAt::run_time,
                    verdict->quote.ppid, "");
                if (!info) FAIL(info.error().context);
                const boost::json::value& expected =
                    expect.at("app_info").at(boot ? "boottime" : "runtime");
                CHECK(hex(info->app_id) == text_of(expected, "app_id"));
                CHECK(hex(info->compose_hash) == text_of(expected, "compose_hash"));
                CHECK(hex(info->instance_id) == text_of(expected, "instance_id"));
                CHECK(hex(info->device_id) == text_of(expected, "device_id"));
                CHECK(hex(info->mr_system) == text_of(expected, "mr_system"));
                CHECK(hex(info->mr_aggregated) == text_of(expected, "mr_aggregated"));
                CHECK(hex(info->os_image_hash) == text_of(expected, "os_image_hash"));
                CHECK(hex(info->key_provider_info) == text_of(expected, "key_provider_info"));
            }
        }
        if (const auto* spki = row.as_object().if_contains("ratls_spki_der")) {
            runtime::Bytes key = *runtime::from_hex(std::string(spki->as_string()));
            CHECK(kms::check_key_binding(*attestation, key).has_value());
            key.back() = static_cast<std::uint8_t>(key.back() ^ 1U);
            const auto other = kms::check_key_binding(*attestation, key);
            REQUIRE(!other.has_value());
            CHECK(other.error().stage == kms::Stage::key_binding);
            CHECK(other.error().reason == "report data mismatch");
        }
    }
}

TEST_CASE("a pod's report data must be the hash of its payload") {
    kms::Attestation pod;
    pod.report_data_payload = "hello";
    const auto made = kms::report_data("app-data", runtime::as_bytes("hello"), "");
    REQUIRE(made.has_value());
    pod.report_data.assign(made->begin(), made->end());
    CHECK(kms::check_report_data_payload(pod).has_value());
    pod.report_data[0] = static_cast<std::uint8_t>(pod.report_data[0] ^ 1U);
    const auto verdict = kms::check_key_binding(pod, {});
    REQUIRE(!verdict.has_value());
    CHECK(verdict.error().stage == kms::Stage::report_data_payload);
    pod.report_data.pop_back();
    CHECK(!kms::check_report_data_payload(pod).has_value());
}

TEST_CASE("evidence of a platform that is not verified here is refused, never accepted") {
    for (const kms::PlatformEvidence& platform :
         {kms::PlatformEvidence(kms::GcpTdxEvidence{}),
          kms::PlatformEvidence(kms::NitroEnclaveEvidence{}),
          kms::PlatformEvidence(kms::SevSnpEvidence{}),
          kms::PlatformEvidence(kms::NitroTpmEvidence{})}) {
        kms::Attestation attestation;
        attestation.platform = platform;
        const auto verdict = kms::check_quote_content(attestation);
        REQUIRE(!verdict.has_value());
        CHECK(verdict.error().stage == kms::Stage::platform);
        CHECK(!kms::quote_of(attestation).has_value());
    }
}

TEST_CASE("a version 2 event may be stripped but not wrong") {
    const auto folder = VectorFolder::own("dstack/mock-attestations");
    auto attestation = kms::decode_attestation(folder.bytes("v1-tdx-new-events.bin"));
    REQUIRE(attestation.has_value());
    REQUIRE(kms::check_quote_content(*attestation).has_value());
    auto& log = std::get<kms::TdxEvidence>(attestation->platform).event_log;
    const auto v2 = std::ranges::find_if(log, [](const kms::TdxEvent& event) {
        return event.is_runtime() && event.version == kms::EventVersion::v2;
    });
    REQUIRE(v2 != log.end());
    const kms::TdxEvent whole = *v2;
    struct Row {
        const char* name;
        bool keep_digest;
        bool keep_preimage;
        bool damage;
        const char* stage;
    };
    static const Row kRows[] = {
        {"stripped of its digest", false, true, false, "ok"},
        {"stripped of its preimage", true, false, false, "ok"},
        {"stripped of both", false, false, false, "ok"},
        {"with another digest", true, false, true, "preimage"},
        {"with another preimage", false, true, true, "preimage"},
    };
    for (const Row& row : kRows) {
        INFO(row.name);
        *v2 = whole;
        if (!row.keep_digest) v2->digest.clear();
        if (!row.keep_preimage) v2->preimage.reset();
        if (row.damage && row.keep_digest)
            v2->digest[0] = static_cast<std::uint8_t>(v2->digest[0] ^ 1U);
        if (row.damage && row.keep_preimage) v2->preimage->append("20");
        const auto verdict = kms::check_quote_content(*attestation);
        CHECK((verdict ? "ok" : std::string(to_string(verdict.error().stage))) == row.stage);
    }
}
