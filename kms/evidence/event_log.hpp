/// Events of a trust domain: what firmware and guest measured, and what registers follow from it.
/// Source: spec "attestation" sections 4.2 to 4.6.
#pragma once

#include "kms/crypto/sha256.hpp"
#include "kms/evidence/report_body.hpp"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kms {

using Sha384 = std::array<std::uint8_t, 48>;

/// The type of all events that the guest itself emits.
inline constexpr std::uint32_t kRuntimeEventType = 0x08000001;

/// How the digest of a runtime event is computed: of its bytes joined by colons, or of canonical
/// JSON.
enum class EventVersion : std::uint8_t { v1 = 1, v2 = 2 };

/// One entry of a TDX event log.
struct TdxEvent {
    std::uint32_t imr = 0;  ///< index of the RTMR that it extends
    std::uint32_t event_type = 0;
    Bytes digest;  ///< may be empty: not recorded, or stripped
    std::string event;
    Bytes event_payload;
    EventVersion version = EventVersion::v1;
    std::optional<std::string> preimage;  ///< hex of the text whose digest a v2 event has

    bool is_runtime() const { return event_type == kRuntimeEventType; }
    friend bool operator==(const TdxEvent&, const TdxEvent&) = default;
};

/// An event that the guest emitted; each extends RTMR3.
struct RuntimeEvent {
    std::string event;
    Bytes payload;
    EventVersion version = EventVersion::v1;

    friend bool operator==(const RuntimeEvent&, const RuntimeEvent&) = default;
};

// Names with a meaning to the KMS.
inline constexpr std::string_view kBootMrDone = "boot-mr-done";
inline constexpr std::string_view kSystemReady = "system-ready";

Sha384 sha384(std::initializer_list<ByteView> parts);

/// What is hashed for the digest of such an event.
std::string event_preimage(std::string_view event, ByteView payload, EventVersion version);
/// The digest that extends RTMR3, and the one that extends a TPM's PCR 14.
Sha384 event_digest_sha384(const RuntimeEvent& event);
crypto::Hash event_digest_sha256(const RuntimeEvent& event);

/// Up to which event a replay goes: all of them, or until after the first "boot-mr-done".
enum class ReplayUntil { end, boot_mr_done };
/// RTMR3 as the runtime events make it.
Sha384 replay_runtime_events(std::span<const RuntimeEvent> events, ReplayUntil until);
/// PCR 14 of a TPM as the runtime events make it.
crypto::Hash replay_runtime_events_sha256(std::span<const RuntimeEvent> events, ReplayUntil until);

/// RTMR `imr` as the whole log makes it; digests of runtime events are recomputed, others taken as
/// recorded.
Sha384 replay_event_log(std::span<const TdxEvent> log, std::uint32_t imr);

/// All runtime events of a log, in its order, whatever register they name.
std::vector<RuntimeEvent> runtime_events_of(std::span<const TdxEvent> log);

/// The payload of the first event of that name before "system-ready", or nothing. Later events
/// belong to the application and are never consulted.
std::optional<ByteView> find_event(std::span<const RuntimeEvent> events, std::string_view name);
/// Of all of them, in order.
std::vector<ByteView> find_events(std::span<const RuntimeEvent> events, std::string_view name);

/// A JSON array of events (the `event_log` of a GetQuote answer). Errors (invalid_argument): not
/// such an array; a member missing, doubled or of another type; hex with an odd number of digits.
/// Unknown members are ignored.
Result<std::vector<TdxEvent>> parse_event_log(std::string_view json);
/// One object; the same rules.
Result<TdxEvent> parse_tdx_event(std::string_view json);
/// Compact JSON, members in the usual order.
std::string to_json(const TdxEvent& event);
std::string to_json(std::span<const TdxEvent> log);

/// One line of the guest's runtime event file: payload in base64. The same rules.
Result<RuntimeEvent> parse_runtime_event(std::string_view json);
std::string to_json(const RuntimeEvent& event);

}  // namespace kms
