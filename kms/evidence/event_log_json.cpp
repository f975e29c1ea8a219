// The JSON forms of events. Source: spec "attestation" sections 4.2 and 4.6.
#include "kms/evidence/base64.hpp"
#include "kms/evidence/event_log.hpp"
#include "kms/evidence/json_reader.hpp"
#include "kms/evidence/json_writer.hpp"

#include <limits>

namespace kms {
namespace {

constexpr auto kLargestU32 = std::numeric_limits<std::uint32_t>::max();

Result<EventVersion> read_version(JsonReader& reader) {
    TRY(const std::uint64_t version, reader.unsigned_integer(255));
    if (version < 1 || version > 2)
        return reader.error("unsupported event version " + std::to_string(version));
    return static_cast<EventVersion>(version);
}

Result<TdxEvent> read_tdx_event(JsonReader& reader) {
    static constexpr std::string_view kNames[] = {"imr",           "event_type", "digest",  "event",
                                                  "event_payload", "version",    "preimage"};
    TdxEvent event;
    TRY_VOID(read_members(reader, kNames, 0b11011, [&](std::size_t member) -> Result<void> {
        switch (member) {
            case 0: {
                TRY(const std::uint64_t imr, reader.unsigned_integer(kLargestU32));
                event.imr = static_cast<std::uint32_t>(imr);
                return {};
            }
            case 1: {
                TRY(const std::uint64_t type, reader.unsigned_integer(kLargestU32));
                event.event_type = static_cast<std::uint32_t>(type);
                return {};
            }
            case 2: {
                TRY(event.digest, hex_member(reader));
                return {};
            }
            case 3: {
                TRY(event.event, reader.text());
                return {};
            }
            case 4: {
                TRY(event.event_payload, hex_member(reader));
                return {};
            }
            case 5: {
                TRY(event.version, read_version(reader));
                return {};
            }
            default: {
                if (reader.peek() == JsonReader::Kind::null) return reader.null();
                TRY(event.preimage, reader.text());
                return {};
            }
        }
    }));
    return event;
}

}  // namespace

Result<TdxEvent> parse_tdx_event(std::string_view json) {
    JsonReader reader(json);
    TRY(auto event, read_tdx_event(reader));
    TRY_VOID(reader.finish());
    return event;
}

Result<std::vector<TdxEvent>> parse_event_log(std::string_view json) {
    JsonReader reader(json);
    std::vector<TdxEvent> log;
    TRY_VOID(reader.enter_array());
    for (;;) {
        TRY(const bool more, reader.next());
        if (!more) break;
        TRY(auto event, read_tdx_event(reader));
        log.push_back(std::move(event));
    }
    TRY_VOID(reader.finish());
    return log;
}

std::string to_json(const TdxEvent& event) {
    std::string out = "{\"imr\":" + std::to_string(event.imr) +
                      ",\"event_type\":" + std::to_string(event.event_type) + ",\"digest\":\"" +
                      runtime::to_hex(event.digest) + "\",\"event\":";
    append_json_string(out, event.event);
    out += ",\"event_payload\":\"" + runtime::to_hex(event.event_payload) + "\"";
    if (event.version != EventVersion::v1) out += ",\"version\":2";
    if (event.preimage) {
        out += ",\"preimage\":";
        append_json_string(out, *event.preimage);
    }
    return out + "}";
}

std::string to_json(std::span<const TdxEvent> log) {
    std::string out = "[";
    for (const TdxEvent& event : log) out += (out.size() > 1 ? "," : "") + to_json(event);
    return out + "]";
}

Result<RuntimeEvent> parse_runtime_event(std::string_view json) {
    static constexpr std::string_view kNames[] = {"event", "payload", "version"};
    JsonReader reader(json);
    RuntimeEvent event;
    TRY_VOID(
        read_members(reader, kNames, first_members(2), [&](std::size_t member) -> Result<void> {
            if (member == 0) {
                TRY(event.event, reader.text());
            } else if (member == 1) {
                TRY(const std::string_view text, reader.text());
                auto payload = from_base64(text);
                if (!payload) return reader.error(payload.error().context);
                event.payload = std::move(*payload);
            } else {
                TRY(event.version, read_version(reader));
            }
            return {};
        }));
    TRY_VOID(reader.finish());
    return event;
}

std::string to_json(const RuntimeEvent& event) {
    std::string out = "{\"event\":";
    append_json_string(out, event.event);
    out += ",\"payload\":\"" + to_base64(event.payload) + "\"";
    if (event.version != EventVersion::v1) out += ",\"version\":2";
    return out + "}";
}

}  // namespace kms
