// Attestations in every form: read, written, stripped, and what they say of the machine.
#include "kms/evidence/app_info.hpp"
#include "kms/evidence/evidence.hpp"
#include "kms/evidence/report_data.hpp"
#include "tests/support/attestation_vectors.hpp"

#include <algorithm>

using namespace test_support;
using kms::decode_attestation;

namespace {

std::string hex(runtime::ByteView bytes) {
    return runtime::to_hex(bytes);
}

std::string read_error(runtime::ByteView bytes) {
    const auto attestation = decode_attestation(bytes);
    return attestation ? "" : attestation.error().context;
}

kms::Attestation must_decode(runtime::ByteView bytes) {
    auto attestation = decode_attestation(bytes);
    if (!attestation) FAIL(attestation.error().context);
    return *attestation;
}

void check_app_info(const kms::AppInfo& info, const boost::json::value& expected) {
    CHECK(hex(info.app_id) == text_of(expected, "app_id"));
    CHECK(hex(info.compose_hash) == text_of(expected, "compose_hash"));
    CHECK(hex(info.instance_id) == text_of(expected, "instance_id"));
    CHECK(hex(info.device_id) == text_of(expected, "device_id"));
    CHECK(hex(info.mr_system) == text_of(expected, "mr_system"));
    CHECK(hex(info.mr_aggregated) == text_of(expected, "mr_aggregated"));
    CHECK(hex(info.os_image_hash) == text_of(expected, "os_image_hash"));
    CHECK(hex(info.key_provider_info) == text_of(expected, "key_provider_info"));
}

}  // namespace

TEST_CASE("malformed and unusual encodings: read or refused as recorded") {
    const auto folder = VectorFolder::shared("peer/encodings");
    if (!folder) return;
    // Refused by the original for a slip of its decoder; reading them does no harm.
    static const std::string_view kReadHere[] = {"keys-reordered", "stack-data-before-kind"};
    const boost::json::value rows = folder->json("decode.json");
    std::size_t seen = 0;
    for (const auto& row : rows.as_array()) {
        const std::string name = text_of(row, "name");
        INFO(name);
        const runtime::Bytes bytes = hex_of(row, "hex");
        const boost::json::value& expected = row.at("new");
        const bool lenient = std::ranges::find(kReadHere, name) != std::end(kReadHere);
        INFO(read_error(bytes));
        REQUIRE(decode_attestation(bytes).has_value() ==
                (lenient || text_of(expected, "result") == "ok"));
        ++seen;
        const auto* reencoded = expected.as_object().if_contains("reencoded");
        if (reencoded == nullptr) continue;
        const kms::Attestation attestation = must_decode(bytes);
        const bool is_v0 = attestation.form == kms::AttestationForm::v0;
        CHECK(hex(is_v0 ? encode_v0(attestation) : encode_v1(attestation)) ==
              reencoded->as_string());
    }
    CHECK(seen > 60);
}

TEST_CASE("every platform's evidence: read, written to the same bytes, stripped") {
    const auto folder = VectorFolder::shared("peer/encodings");
    if (!folder) return;
    const boost::json::value rows = folder->json("encode.json");
    for (const auto& row : rows.as_array()) {
        INFO(text_of(row, "name"));
        const boost::json::value& expect = row.at("expect");
        const auto file = [&](const boost::json::value& from,
                              std::string_view key) -> std::optional<runtime::Bytes> {
            const std::string path = text_or(from, key, "");
            if (path.empty()) return std::nullopt;
            return folder->bytes(path);
        };
        const auto v1 = file(expect, "v1");
        REQUIRE(v1.has_value());
        const kms::Attestation attestation = must_decode(*v1);
        CHECK(encode_v1(attestation) == *v1);
        const auto as_v0 = [](kms::Attestation a) {
            a.form = kms::AttestationForm::v0;
            return a;
        };
        if (const auto v0 = file(expect, "v0")) {
            CHECK(encode_v0(attestation) == *v0);
            const kms::Attestation again = must_decode(*v0);
            CHECK(encode_v0(again) == *v0);
        }
        const auto strip_new = kms::StripRule::keep_acpi_data;
        if (const auto stripped_v1 = file(expect, "v1_stripped"))
            CHECK(encode_v1(stripped(attestation, strip_new)) == *stripped_v1);
        if (const auto stripped_v0 = file(expect, "v0_stripped"))
            CHECK(encode_v0(stripped(as_v0(attestation), strip_new)) == *stripped_v0);
        if (const auto* old = row.as_object().if_contains("old");
            old != nullptr && old->is_object())
            if (const auto old_v0 = file(*old, "v0_stripped"))
                CHECK(encode_v0(stripped(attestation, kms::StripRule::rtmr3_only)) == *old_v0);
    }
}

TEST_CASE("app info of recorded machines, at both times") {
    const auto folder = VectorFolder::shared("peer/encodings");
    if (!folder) return;
    const boost::json::value rows = folder->json("encode.json");
    std::size_t compared = 0;
    for (const auto& row : rows.as_array()) {
        const auto* old = row.as_object().if_contains("old");
        if (old == nullptr || !old->is_object() ||
            old->as_object().if_contains("app_info") == nullptr)
            continue;
        const kms::Attestation attestation =
            must_decode(folder->bytes(text_of(row.at("expect"), "v1")));
        if (!std::holds_alternative<kms::TdxEvidence>(attestation.platform) &&
            !std::holds_alternative<kms::GcpTdxEvidence>(attestation.platform))
            continue;
        INFO(text_of(row, "name"));
        const std::string vm_config = text_or(row.at("input"), "vm_config", "");
        for (const char* at : {"boottime", "runtime"}) {
            INFO(at);
            const auto* expected = old->at("app_info").as_object().if_contains(at);
            if (expected == nullptr || expected->as_object().if_contains("json_text") == nullptr)
                continue;
            const auto info =
                decode_app_info(attestation,
                                at == std::string("boottime") ? kms::AppInfoAt::boot_time
                                                              : kms::AppInfoAt::run_time,
                                {}, vm_config);
            if (!info) FAIL(info.error().context);
            check_app_info(*info, boost::json::parse(text_of(*expected, "json_text")));
            ++compared;
        }
    }
    CHECK(compared > 20);
}

TEST_CASE("app info of real machines") {
    for (const char* name : {"dstack/quote-report", "dstack/tdx-lite"}) {
        const auto folder = VectorFolder::shared(name);
        if (!folder) return;
        INFO(name);
        const boost::json::value expected = folder->json("expected.json");
        const auto attestation = kms::attestation_of_quote_and_log(
            folder->bytes(text_of(expected, "quote")), folder->text("event_log.json"));
        if (!attestation) FAIL(attestation.error().context);
        const std::string vm_config = folder->text("vm_config.json");
        for (const bool verified : {false, true})
            for (const bool boot : {false, true}) {
                const auto info = decode_app_info(
                    *attestation, boot ? kms::AppInfoAt::boot_time : kms::AppInfoAt::run_time,
                    verified ? hex_of(expected, "ppid") : runtime::Bytes(), vm_config);
                if (!info) FAIL(info.error().context);
                check_app_info(*info, expected.at("app_info")
                                          .at(boot ? "boottime" : "runtime")
                                          .at(verified ? "verified" : "unverified"));
            }
    }
}

TEST_CASE("V0 attestations of real machines") {
    for (const char* name : {"dstack/attestation-v0-tdx", "dstack/attestation-v0-tdx-lite"}) {
        const auto folder = VectorFolder::shared(name);
        if (!folder) return;
        INFO(name);
        const boost::json::value expected = folder->json("expected.json");
        const runtime::Bytes bytes = folder->bytes("attestation.bin");
        const kms::Attestation attestation = must_decode(bytes);
        CHECK(encode_v0(attestation) == bytes);
        CHECK(hex(attestation.report_data) == text_of(expected, "report_data"));
        CHECK(attestation.config == text_of(expected, "config"));
        CHECK(attestation.runtime_events.size() == expected.at("runtime_events").as_array().size());
        const auto& tdx = std::get<kms::TdxEvidence>(attestation.platform);
        CHECK(tdx.event_log.size() == expected.at("event_log").as_array().size());
        CHECK(hex(kms::replay_runtime_events(attestation.runtime_events, kms::ReplayUntil::end)) ==
              text_of(expected, "rtmr3_replay"));
    }
    const auto folder = VectorFolder::shared("../kms/upstream");
    if (!folder) return;
    CHECK(!decode_attestation(folder->bytes("attestation-prerelease-gcp-tdx.bin")).has_value());
    CHECK(must_decode(folder->bytes("attestation-v0-nitro.bin")).platform.index() == 2);
    CHECK(must_decode(folder->bytes("attestation-v0-sev-snp.bin")).platform.index() == 3);
}

TEST_CASE("an attestation cut anywhere, or with a byte too many, is refused") {
    const auto folder = VectorFolder::own("dstack/mock-attestations");
    for (const char* name : {"v0-tdx-old-events.bin", "v1-tdx-mixed-events.bin"}) {
        INFO(name);
        runtime::Bytes bytes = folder.bytes(name);
        REQUIRE(decode_attestation(bytes).has_value());
        std::size_t read = 0;
        for (std::size_t size = 0; size < bytes.size(); ++size)
            if (decode_attestation(runtime::ByteView(bytes).first(size))) ++read;
        CHECK(read == 0);
        bytes.push_back(0);
        CHECK(!decode_attestation(bytes).has_value());
    }
    CHECK(read_error({}) == "Empty attestation bytes");
    CHECK(read_error(runtime::Bytes{0x90}) == "Unknown attestation wire format");
    CHECK(!decode_attestation(runtime::Bytes(kms::kLargestAttestation + 1, 0)).has_value());
}

TEST_CASE("V1 only when an event of version 2 needs it") {
    kms::Attestation attestation;
    attestation.report_data.assign(64, 1);
    attestation.runtime_events = {{"a", {1, 2}, kms::EventVersion::v1}};
    CHECK(encode_attestation(attestation)[0] == 0);
    attestation.runtime_events.push_back({"b", {}, kms::EventVersion::v2});
    const auto bytes = encode_attestation(attestation);
    CHECK(bytes[0] == 0x83);
    CHECK(must_decode(bytes).runtime_events == attestation.runtime_events);
}

TEST_CASE("report data by tag and hash") {
    const auto folder = VectorFolder::shared("peer/encodings");
    if (!folder) return;
    const boost::json::value rows = folder->json("report-data.json");
    for (const auto& row : rows.as_array()) {
        INFO(text_of(row, "tag") << " " << text_of(row, "hash"));
        const auto made =
            kms::report_data(text_of(row, "tag"), hex_of(row, "content"), text_of(row, "hash"));
        const auto* expected = row.at("result").as_object().if_contains("report_data");
        REQUIRE(made.has_value() == (expected != nullptr));
        if (expected != nullptr) CHECK(hex(*made) == expected->as_string());
    }
}

TEST_CASE("the VM configuration") {
    const auto folder = VectorFolder::shared("peer/encodings");
    if (!folder) return;
    const boost::json::value rows = folder->json("json.json");
    for (const auto& row : rows.as_array()) {
        if (text_of(row, "type") != "vm_config") continue;
        INFO(text_of(row, "name"));
        const auto hash = kms::os_image_hash_of(text_of(row, "text"));
        const auto* ok = row.at("expect").as_object().if_contains("ok");
        REQUIRE(hash.has_value() == (ok != nullptr));
        if (ok == nullptr)
            CHECK(hash.error().context ==
                  "Failed to parse vm config: " + text_of(row.at("expect"), "error"));
        else
            CHECK(hex(*hash) ==
                  text_of(boost::json::parse(std::string(ok->as_string())), "os_image_hash"));
    }
    // The words travel to clients; as recorded in the exchanges of attested requests.
    struct Row {
        const char* text;
        const char* error;
    };
    static const Row kRows[] = {
        {"{", "EOF while parsing an object at line 1 column 1"},
        {"", "EOF while parsing a value at line 1 column 0"},
        {" ", "EOF while parsing a value at line 1 column 1"},
        {"not json", "expected ident at line 1 column 2"},
        {"xyz", "expected value at line 1 column 1"},
        {"{\"os_image_hash\":null}", "invalid type: null, expected a string at line 1 column 21"},
        {"null", "invalid type: null, expected struct VmConfig at line 1 column 4"},
        {"{\"os_image_hash\":\"0x05\"}", "Invalid character 'x' at position 1 at line 1 column 23"},
        {"{\"os_image_hash\":\"abc\"}", "Odd number of digits at line 1 column 22"},
        {"{\"cpu_count\":4294967296}",
         "invalid value: integer `4294967296`, expected u32 at line 1 column 23"},
        {"{\"memory_size\":2.0}",
         "invalid type: floating point `2.0`, expected u64 at line 1 column 18"},
        {"{}x", "trailing characters at line 1 column 3"},
    };
    for (const Row& row : kRows) {
        INFO(row.text);
        const auto hash = kms::os_image_hash_of(row.text);
        REQUIRE(!hash.has_value());
        CHECK(hash.error().context == std::string("Failed to parse vm config: ") + row.error);
    }
    CHECK(kms::os_image_hash_of("[]").has_value());
}
