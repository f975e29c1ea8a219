// Events: digests, replays, JSON forms, the boot log.
#include "kms/evidence/event_log.hpp"

#include "kms/evidence/ccel.hpp"
#include "tests/support/attestation_vectors.hpp"

using namespace test_support;

namespace {

kms::EventVersion version_of(const boost::json::value& event) {
    const auto* found = event.as_object().if_contains("version");
    return found != nullptr && found->is_int64() && found->as_int64() == 2 ? kms::EventVersion::v2
                                                                           : kms::EventVersion::v1;
}

runtime::Bytes payload_of(const boost::json::value& event) {
    if (const auto* repeat = event.as_object().if_contains("payload_repeat"))
        return runtime::Bytes(repeat->at(1).to_number<std::size_t>(),
                              runtime::from_hex(std::string(repeat->at(0).as_string()))->at(0));
    return hex_of(event, "payload");
}

std::vector<kms::RuntimeEvent> events_of(const boost::json::value& list) {
    std::vector<kms::RuntimeEvent> events;
    for (const auto& event : list.as_array())
        events.push_back({text_of(event, "event"), payload_of(event), version_of(event)});
    return events;
}

std::string hex(runtime::ByteView bytes) {
    return runtime::to_hex(bytes);
}

}  // namespace

TEST_CASE("what is hashed of a runtime event, and both digests") {
    const boost::json::value rows = VectorFolder::own("dstack").json("event-digests.json");
    for (const auto& row : rows.as_array()) {
        const kms::RuntimeEvent event{text_of(row, "name"), hex_of(row, "payload"),
                                      version_of(row)};
        INFO(event.event);
        const std::string preimage = kms::event_preimage(event.event, event.payload, event.version);
        CHECK(hex(runtime::as_bytes(preimage)) == text_of(row, "preimage"));
        CHECK(hex(kms::event_digest_sha384(event)) == text_of(row, "sha384"));
        CHECK(hex(kms::event_digest_sha256(event)) == text_of(row, "sha256"));
    }
}

TEST_CASE("replays of recorded event lists, with awkward names and long payloads") {
    const auto folder = VectorFolder::shared("peer/encodings");
    if (!folder) return;
    const boost::json::value rows = folder->json("events.json");
    for (const auto& row : rows.as_array()) {
        INFO(text_of(row, "name"));
        const auto events = events_of(row.at("events"));
        const boost::json::value& expect = row.at("expect");
        using kms::ReplayUntil;
        CHECK(hex(kms::replay_runtime_events(events, ReplayUntil::end)) ==
              text_of(expect, "rtmr3"));
        CHECK(hex(kms::replay_runtime_events(events, ReplayUntil::boot_mr_done)) ==
              text_of(expect, "rtmr3_boot"));
        CHECK(hex(kms::replay_runtime_events_sha256(events, ReplayUntil::end)) ==
              text_of(expect, "pcr14_sha256"));
        CHECK(hex(kms::replay_runtime_events_sha256(events, ReplayUntil::boot_mr_done)) ==
              text_of(expect, "pcr14_sha256_boot"));
    }
}

TEST_CASE("the whole log of a real machine replays to its quote, in all registers") {
    for (const char* name : {"dstack/quote-report", "dstack/tdx-lite"}) {
        const auto folder = VectorFolder::shared(name);
        if (!folder) return;
        INFO(name);
        const auto log = kms::parse_event_log(folder->text("event_log.json"));
        REQUIRE(log.has_value());
        const boost::json::value expected = folder->json("expected.json");
        for (std::uint32_t imr = 0; imr < 4; ++imr)
            CHECK(hex(kms::replay_event_log(*log, imr)) ==
                  text_of(expected.at("replay"), "rtmr" + std::to_string(imr)));
        CHECK(hex(kms::replay_runtime_events(kms::runtime_events_of(*log),
                                             kms::ReplayUntil::boot_mr_done)) ==
              text_of(expected, "rtmr3_to_boot_mr_done"));
    }
}

TEST_CASE("JSON forms of events") {
    const auto folder = VectorFolder::shared("peer/encodings");
    if (!folder) return;
    const boost::json::value rows = folder->json("json.json");
    std::size_t seen = 0;
    for (const auto& row : rows.as_array()) {
        const std::string type = text_of(row, "type");
        const std::string text = text_of(row, "text");
        const bool expect_ok = row.at("expect").as_object().if_contains("ok") != nullptr;
        INFO(text_of(row, "name"));
        std::optional<std::string> written;
        std::string error;
        const auto take = [&](auto result) {
            if (result)
                written = kms::to_json(*result);
            else
                error = result.error().context;
        };
        if (type == "tdx_event")
            take(kms::parse_tdx_event(text));
        else if (type == "tdx_event_log")
            take(kms::parse_event_log(text));
        else if (type == "runtime_event")
            take(kms::parse_runtime_event(text));
        else
            continue;
        INFO(error);
        REQUIRE(written.has_value() == expect_ok);
        if (expect_ok) CHECK(*written == text_of(row.at("expect"), "ok"));
        ++seen;
    }
    CHECK(seen > 20);
}

TEST_CASE("an event log cut or bent is refused") {
    const std::string good =
        R"([{"imr":3,"event_type":134217729,"digest":"00ff","event":"a\u00e9\n","event_payload":"ab","version":2,"preimage":"7b"}])";
    const auto parsed = kms::parse_event_log(good);
    REQUIRE(parsed.has_value());
    CHECK(parsed->at(0).event == "a\xc3\xa9\n");
    CHECK(kms::parse_event_log(kms::to_json(*parsed)) == *parsed);
    for (std::size_t size = 0; size < good.size(); ++size)
        CHECK(!kms::parse_event_log(good.substr(0, size)));
    for (const char* bad : {"[,]", "[{}]", "[{\"imr\":3.0}]", "[{\"imr\":-1}]", "[1]", "[[1,2]] x",
                            "[[3,1,\"\",\"\",\"\"],]", "{\"a\":1}",
                            "[[3,1,\"\",\"\",\"\",1,null,0]]", "[[3,1,\"\",\"\\ud800\",\"\"]]",
                            "[[3,1,\"\",\"\x01\",\"\"]]", "[[3,1,\"\",\"\xff\",\"\"]]",
                            "[[03,1,\"\",\"\",\"\"]]", "[[4294967296,1,\"\",\"\",\"\"]]"}) {
        INFO(bad);
        CHECK(!kms::parse_event_log(bad));
    }
    CHECK(kms::parse_event_log("[[3,1,\"\",\"\\ud83d\\udca1\",\"\"]]")->at(0).event ==
          "\xf0\x9f\x92\xa1");
}

TEST_CASE("lookups end at system-ready and take the first") {
    const std::vector<kms::RuntimeEvent> events = {
        {"app-id", {1}, {}}, {"init-script-hash", {5}, {}}, {"init-script-hash", {6}, {}},
        {"app-id", {2}, {}}, {"system-ready", {}, {}},      {"late", {3}, {}}};
    REQUIRE(kms::find_event(events, "app-id").has_value());
    CHECK((*kms::find_event(events, "app-id"))[0] == 1);
    CHECK(kms::find_events(events, "init-script-hash").size() == 2);
    CHECK(!kms::find_event(events, "late").has_value());
    CHECK(!kms::find_event(events, "absent").has_value());
}

TEST_CASE("the boot log of firmware") {
    const auto folder = VectorFolder::shared("dstack/ccel-dstack");
    if (!folder) return;
    const runtime::Bytes table = folder->bytes("ccel.bin");
    const boost::json::value expected = folder->json("expected.json");
    const auto log = kms::parse_ccel(table);
    REQUIRE(log.has_value());
    std::size_t at = 0;
    for (const auto& event : expected.at("events").as_array()) {
        if (event.at("tcg_index").to_number<std::int64_t>() == 0) continue;
        REQUIRE(at < log->size());
        CHECK(log->at(at).imr == event.at("imr").to_number<std::uint32_t>());
        CHECK(log->at(at).event_type == event.at("event_type").to_number<std::uint32_t>());
        CHECK(hex(log->at(at).digest) == text_of(event.at("digests").at(0), "hash"));
        CHECK(hex(log->at(at).event_payload) == text_of(event, "event"));
        ++at;
    }
    CHECK(at == log->size());
    std::vector<std::string> named;
    for (const kms::TdxEvent& event : *log)
        if (!event.event.empty()) named.push_back(event.event);
    CHECK(named == std::vector<std::string>{"acpi-loader", "acpi-rsdp", "acpi-tables"});
    // The end mark is where the table is filled with ff: cut before it, there is none.
    std::size_t end = table.size();
    while (end > 0 && table[end - 1] == 0xff) --end;
    for (std::size_t size = 0; size < end + 4; size += 97)
        CHECK(!kms::parse_ccel(runtime::ByteView(table).first(size)).has_value());
}

TEST_CASE("a boot log's records that are not as they must be") {
    const auto record = [](std::uint32_t index, std::uint32_t digests, std::uint16_t algorithm) {
        runtime::Bytes bytes(4 + 4 + 20, 0);
        const auto u32 = [&](std::uint32_t value) {
            for (unsigned shift = 0; shift < 32; shift += 8)
                bytes.push_back(static_cast<std::uint8_t>(value >> shift));
        };
        u32(0);
        u32(index);
        u32(7);
        u32(digests);
        for (std::uint32_t i = 0; i < digests; ++i) {
            bytes.push_back(static_cast<std::uint8_t>(algorithm));
            bytes.push_back(0);
            bytes.insert(bytes.end(),
                         algorithm == 4     ? 20
                         : algorithm == 0xb ? 32
                         : algorithm == 0xd ? 64
                                            : 48,
                         0xaa);
        }
        u32(1);
        bytes.push_back(0x55);
        u32(0xffffffff);
        return bytes;
    };
    CHECK(kms::parse_ccel(record(1, 1, 0xc))->size() == 1);
    CHECK(kms::parse_ccel(record(1, 1, 4))->at(0).digest.size() == 20);
    CHECK(kms::parse_ccel(record(1, 1, 0xb))->at(0).digest.size() == 32);
    CHECK(kms::parse_ccel(record(1, 1, 0xd))->at(0).digest.size() == 64);
    CHECK(kms::parse_ccel(record(0, 2, 0xc))->empty());
    CHECK(!kms::parse_ccel(record(1, 2, 0xc)).has_value());
    CHECK(!kms::parse_ccel(record(1, 0, 0xc)).has_value());
    CHECK(!kms::parse_ccel(record(1, 1, 0x12)).has_value());
}
