#include "kms/evidence/ccel.hpp"

namespace kms {
namespace {

constexpr std::uint32_t kEndMark = 0xffffffff;
constexpr std::uint32_t kAcpiDataType = 10;
constexpr std::size_t kSha1Size = 20;

Result<std::size_t> digest_size(std::uint16_t algorithm) {
    switch (algorithm) {
        case 0x4:
            return kSha1Size;
        case 0xb:
            return std::size_t{32};
        case 0xc:
            return std::size_t{48};
        case 0xd:
            return std::size_t{64};
        default:
            return Error{ErrorCode::invalid_argument,
                         "unknown digest algorithm " + std::to_string(algorithm)};
    }
}

Result<TdxEvent> read_event(runtime::Reader& reader, std::uint32_t index) {
    TdxEvent event;
    event.imr = index - 1;
    TRY(event.event_type, reader.u32_le());
    TRY(const std::uint32_t count, reader.u32_le());
    ByteView digest;
    for (std::uint32_t i = 0; i < count; ++i) {
        TRY(const std::uint16_t algorithm, reader.u16_le());
        TRY(const std::size_t size, digest_size(algorithm));
        TRY(digest, reader.take(size));
    }
    TRY(const std::uint32_t size, reader.u32_le());
    TRY(const ByteView payload, reader.take(size));
    if (index != 0 && count != 1)
        return Error{ErrorCode::invalid_argument,
                     "an event has " + std::to_string(count) + " digests instead of one"};
    event.digest.assign(digest.begin(), digest.end());
    event.event_payload.assign(payload.begin(), payload.end());
    return event;
}

/// The loader, the root pointer and the tables are told apart by their order only.
void name_acpi_events(std::span<TdxEvent> log) {
    constexpr std::string_view kNames[] = {"acpi-loader", "acpi-rsdp", "acpi-tables"};
    std::size_t named = 0;
    for (TdxEvent& event : log)
        if (named < std::size(kNames) && event.imr == 0 && event.event_type == kAcpiDataType &&
            runtime::as_text(event.event_payload) == "ACPI DATA")
            event.event = kNames[named++];
}

}  // namespace

Result<std::vector<TdxEvent>> parse_ccel(ByteView table) {
    runtime::Reader reader(table);
    // The first record only says which form follows.
    TRY_VOID(reader.take(4 + 4 + kSha1Size));
    TRY(const std::uint32_t size, reader.u32_le());
    TRY_VOID(reader.take(size));
    std::vector<TdxEvent> log;
    for (;;) {
        TRY(const std::uint32_t index, reader.u32_le());
        if (index == kEndMark) break;
        TRY(auto event, read_event(reader, index));
        if (index != 0) log.push_back(std::move(event));
    }
    name_acpi_events(log);
    return log;
}

}  // namespace kms
