#include "kms/evidence/evidence.hpp"

#include "kms/evidence/evidence_v1.hpp"
#include "kms/evidence/report_data.hpp"

#include <algorithm>

namespace kms {
namespace {

constexpr std::uint8_t kV0Tag = 0x00;
constexpr std::uint32_t kRuntimeImr = 3;
constexpr std::uint32_t kAcpiDataType = 10;

bool is_msgpack_map(std::uint8_t marker) {
    return (marker & 0xf0U) == 0x80U || marker == 0xde || marker == 0xdf;
}

bool is_acpi_data(const TdxEvent& event) {
    return event.imr == 0 && event.event_type == kAcpiDataType &&
           runtime::as_text(event.event_payload) == "ACPI DATA";
}

void strip(std::vector<TdxEvent>& log, bool keep_acpi_data) {
    std::erase_if(log, [&](const TdxEvent& event) {
        return event.imr != kRuntimeImr && !(keep_acpi_data && is_acpi_data(event));
    });
    for (TdxEvent& event : log) {
        if (event.is_runtime())
            event.digest.clear();
        else if (!(keep_acpi_data && is_acpi_data(event)))
            event.event_payload.clear();
    }
}

}  // namespace

bool fits_payload(const Attestation& attestation) {
    if (!attestation.report_data_payload) return true;
    const auto expected =
        report_data(kTagAppData, runtime::as_bytes(*attestation.report_data_payload), "sha512");
    return expected && std::ranges::equal(attestation.report_data, *expected);
}

std::string_view attestation_mode(const PlatformEvidence& platform) {
    constexpr std::string_view kModes[] = {"dstack-tdx", "dstack-gcp-tdx", "dstack-nitro-enclave",
                                           "dstack-amd-sev-snp", "dstack-aws-nitro-tpm"};
    return kModes[platform.index()];
}

Result<Attestation> decode_attestation(ByteView bytes) {
    if (bytes.empty()) return Error{ErrorCode::invalid_argument, "Empty attestation bytes"};
    if (bytes.size() > kLargestAttestation)
        return Error{ErrorCode::invalid_argument, "attestation of " + std::to_string(bytes.size()) +
                                                      " bytes, more than " +
                                                      std::to_string(kLargestAttestation)};
    if (is_msgpack_map(bytes[0])) return decode_attestation_v1(bytes);
    if (bytes[0] != kV0Tag)
        return Error{ErrorCode::invalid_argument, "Unknown attestation wire format"};
    runtime::Reader reader(bytes);
    auto attestation = decode_attestation_v0(reader);
    if (!attestation)
        return std::move(attestation.error())
            .within("Failed to decode legacy VersionedAttestation");
    if (!reader.at_end())
        return Error{
            ErrorCode::invalid_argument,
            "Trailing bytes after legacy VersionedAttestation: " + std::to_string(reader.left())};
    return attestation;
}

Result<Attestation> attestation_of_quote_and_log(ByteView quote, std::string_view event_log_json) {
    auto log = parse_event_log(event_log_json);
    if (!log) return std::move(log.error()).within("Failed to parse tdx_event_log");
    const auto parsed = parse_quote(quote);
    if (!parsed) return Error(parsed.error()).within("Invalid TDX quote");
    const TdReport* report = parsed->td_report();
    if (report == nullptr) return Error{ErrorCode::invalid_argument, "Invalid TDX report"};
    Attestation attestation;
    attestation.form = AttestationForm::quote_and_log;
    attestation.runtime_events = runtime_events_of(*log);
    attestation.report_data.assign(report->report_data().begin(), report->report_data().end());
    attestation.platform = TdxEvidence{Bytes(quote.begin(), quote.end()), std::move(*log)};
    return attestation;
}

Bytes encode_attestation(const Attestation& attestation) {
    const bool needs_v1 = std::ranges::any_of(
        attestation.runtime_events,
        [](const RuntimeEvent& event) { return event.version != EventVersion::v1; });
    return needs_v1 ? encode_v1(attestation) : encode_v0(attestation);
}

Attestation stripped(Attestation attestation, StripRule rule) {
    if (auto* tdx = std::get_if<TdxEvidence>(&attestation.platform))
        strip(tdx->event_log, rule == StripRule::keep_acpi_data);
    else if (auto* gcp = std::get_if<GcpTdxEvidence>(&attestation.platform))
        strip(gcp->tdx.event_log, false);
    return attestation;
}

}  // namespace kms
