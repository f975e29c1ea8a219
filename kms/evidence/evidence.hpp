/// What a machine shows to prove itself, in every form in which it arrives. Decoding gives values
/// and no verdict; see kms/verify for that. Source: spec "attestation" sections 4.6 to 4.9, spec
/// "kms-protocol" sections 4.1 to 4.5.
#pragma once

#include "kms/evidence/event_log.hpp"
#include "kms/evidence/quote.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace kms {

/// An Intel TDX guest.
struct TdxEvidence {
    Bytes quote;
    std::vector<TdxEvent> event_log;
    friend bool operator==(const TdxEvidence&, const TdxEvidence&) = default;
};

struct PcrValue {
    std::uint32_t index = 0;
    std::string algorithm;
    Bytes value;
    friend bool operator==(const PcrValue&, const PcrValue&) = default;
};
struct TpmEvent {
    std::uint32_t pcr_index = 0;
    Bytes digest;
    friend bool operator==(const TpmEvent&, const TpmEvent&) = default;
};
enum class TpmPlatform : std::uint8_t { dstack = 0, gcp = 1, nitro_enclave = 2, aws_ec2 = 3 };
struct TpmQuote {
    Bytes message;
    Bytes signature;
    std::vector<PcrValue> pcr_values;
    Bytes ak_certificate;
    TpmPlatform platform = TpmPlatform::dstack;
    std::vector<TpmEvent> event_log;
    friend bool operator==(const TpmQuote&, const TpmQuote&) = default;
};
/// An Intel TDX guest of Google's cloud, with the quote of its virtual TPM.
struct GcpTdxEvidence {
    TdxEvidence tdx;
    TpmQuote tpm_quote;
    friend bool operator==(const GcpTdxEvidence&, const GcpTdxEvidence&) = default;
};
/// An AWS Nitro enclave: a COSE_Sign1 document.
struct NitroEnclaveEvidence {
    Bytes document;
    friend bool operator==(const NitroEnclaveEvidence&, const NitroEnclaveEvidence&) = default;
};
/// An AMD SEV-SNP guest.
struct SevSnpEvidence {
    Bytes report;
    std::vector<Bytes> certificates;
    std::string mr_config;
    friend bool operator==(const SevSnpEvidence&, const SevSnpEvidence&) = default;
};
/// An AWS instance with NitroTPM.
struct NitroTpmEvidence {
    Bytes document;
    friend bool operator==(const NitroTpmEvidence&, const NitroTpmEvidence&) = default;
};

/// The index is the variant number on the wire.
using PlatformEvidence = std::variant<TdxEvidence, GcpTdxEvidence, NitroEnclaveEvidence,
                                      SevSnpEvidence, NitroTpmEvidence>;

/// "dstack-tdx", "dstack-gcp-tdx", "dstack-nitro-enclave", "dstack-amd-sev-snp",
/// "dstack-aws-nitro-tpm".
std::string_view attestation_mode(const PlatformEvidence& platform);

/// In which form the attestation arrived.
enum class AttestationForm { v0, v1, quote_and_log };

struct Attestation {
    AttestationForm form = AttestationForm::v0;
    PlatformEvidence platform;
    std::vector<RuntimeEvent> runtime_events;
    Bytes report_data;  ///< what the sender says was quoted; only verification looks at its length
    std::string config;
    std::optional<std::string>
        report_data_payload;  ///< only of a V1 attestation of kind "dstack-pod"

    friend bool operator==(const Attestation&, const Attestation&) = default;
};
/// Whether a pod's report data is the hash of its payload; true when there is no payload.
bool fits_payload(const Attestation& attestation);

/// Longer attestations are refused before anything is read.
inline constexpr std::size_t kLargestAttestation = 10 * 1024 * 1024;

/// Decodes V0 (SCALE, first byte 00) or V1 (MessagePack, first byte 80 to 8f, de or df). Errors
/// (invalid_argument): "Unknown attestation wire format", anything that the form forbids, and bytes
/// after its end.
Result<Attestation> decode_attestation(ByteView bytes);
/// The same for V0 without its end: the rest of `reader` belongs to the caller (a V0 attestation
/// inside a CSR).
Result<Attestation> decode_attestation_v0(runtime::Reader& reader);

/// From a quote and its JSON event log (certificate extensions .1 and .2). Runtime events are taken
/// from the log, report data from the quote. Errors (invalid_argument): "Failed to parse
/// tdx_event_log", "Invalid TDX quote", "Invalid TDX report", each with its cause.
Result<Attestation> attestation_of_quote_and_log(ByteView quote, std::string_view event_log_json);

/// V0 carries no event version: every event reads back as version 1.
Bytes encode_v0(const Attestation& attestation);
Bytes encode_v1(const Attestation& attestation);
/// V0 unless some runtime event has version 2.
Bytes encode_attestation(const Attestation& attestation);

/// Which events of a log travel inside a certificate.
enum class StripRule {
    rtmr3_only,      ///< events of RTMR3 only
    keep_acpi_data,  ///< and the three "ACPI DATA" events of RTMR0, on plain TDX
};
/// Drops what a certificate does not carry: other registers' events, digests of runtime events,
/// payloads of the others.
Attestation stripped(Attestation attestation, StripRule rule);

}  // namespace kms
