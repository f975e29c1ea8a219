// V0 attestations: SCALE. Source: spec "attestation" section 4.7.
#include "kms/evidence/evidence.hpp"
#include "kms/evidence/scale.hpp"

namespace kms {
namespace {

using runtime::Reader;

constexpr std::size_t kReportDataSize = 64;

Result<Bytes> read_bytes(Reader& reader) {
    TRY(const ByteView found, scale::bytes(reader));
    return Bytes(found.begin(), found.end());
}
Result<std::string> read_text(Reader& reader) {
    TRY(const std::string_view found, scale::text(reader));
    return std::string(found);
}

/// `read(reader)` once for each item of a vector.
template <class T, class ReadItem>
Result<std::vector<T>> read_vector(Reader& reader, std::size_t item_size, ReadItem read) {
    TRY(const std::size_t count, scale::count(reader, item_size));
    std::vector<T> items;
    items.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        TRY(auto item, read(reader));
        items.push_back(std::move(item));
    }
    return items;
}

Result<TdxEvent> read_tdx_event(Reader& reader) {
    TdxEvent event;
    TRY(event.imr, reader.u32_le());
    TRY(event.event_type, reader.u32_le());
    TRY(event.digest, read_bytes(reader));
    TRY(event.event, read_text(reader));
    TRY(event.event_payload, read_bytes(reader));
    return event;
}

Result<RuntimeEvent> read_runtime_event(Reader& reader) {
    RuntimeEvent event;
    TRY(event.event, read_text(reader));
    TRY(event.payload, read_bytes(reader));
    return event;
}

Result<TdxEvidence> read_tdx(Reader& reader) {
    TdxEvidence evidence;
    TRY(evidence.quote, read_bytes(reader));
    TRY(evidence.event_log, read_vector<TdxEvent>(reader, 11, read_tdx_event));
    return evidence;
}

Result<PcrValue> read_pcr_value(Reader& reader) {
    PcrValue pcr;
    TRY(pcr.index, reader.u32_le());
    TRY(pcr.algorithm, read_text(reader));
    TRY(pcr.value, read_bytes(reader));
    return pcr;
}

Result<TpmEvent> read_tpm_event(Reader& reader) {
    TpmEvent event;
    TRY(event.pcr_index, reader.u32_le());
    TRY(event.digest, read_bytes(reader));
    return event;
}

Result<TpmQuote> read_tpm_quote(Reader& reader) {
    TpmQuote quote;
    TRY(quote.message, read_bytes(reader));
    TRY(quote.signature, read_bytes(reader));
    TRY(quote.pcr_values, read_vector<PcrValue>(reader, 6, read_pcr_value));
    TRY(quote.ak_certificate, read_bytes(reader));
    TRY(const std::uint8_t platform, reader.u8());
    if (platform > static_cast<std::uint8_t>(TpmPlatform::aws_ec2))
        return Error{ErrorCode::invalid_argument,
                     "unknown TPM platform " + std::to_string(platform)};
    quote.platform = static_cast<TpmPlatform>(platform);
    TRY(quote.event_log, read_vector<TpmEvent>(reader, 5, read_tpm_event));
    return quote;
}

Result<PlatformEvidence> read_platform(Reader& reader) {
    TRY(const std::uint8_t variant, reader.u8());
    switch (variant) {
        case 0: {
            TRY(auto evidence, read_tdx(reader));
            return PlatformEvidence(std::move(evidence));
        }
        case 1: {
            GcpTdxEvidence evidence;
            TRY(evidence.tdx, read_tdx(reader));
            TRY(evidence.tpm_quote, read_tpm_quote(reader));
            return PlatformEvidence(std::move(evidence));
        }
        case 2: {
            NitroEnclaveEvidence evidence;
            TRY(evidence.document, read_bytes(reader));
            return PlatformEvidence(std::move(evidence));
        }
        case 3: {
            SevSnpEvidence evidence;
            TRY(evidence.report, read_bytes(reader));
            TRY(evidence.certificates, read_vector<Bytes>(reader, 1, read_bytes));
            TRY(evidence.mr_config, read_text(reader));
            return PlatformEvidence(std::move(evidence));
        }
        case 4: {
            NitroTpmEvidence evidence;
            TRY(evidence.document, read_bytes(reader));
            return PlatformEvidence(std::move(evidence));
        }
        default:
            return Error{ErrorCode::invalid_argument,
                         "unknown kind of quote " + std::to_string(variant)};
    }
}

void append_tdx(Bytes& out, const TdxEvidence& evidence) {
    scale::append_bytes(out, evidence.quote);
    scale::append_compact(out, evidence.event_log.size());
    for (const TdxEvent& event : evidence.event_log) {
        scale::append_u32(out, event.imr);
        scale::append_u32(out, event.event_type);
        scale::append_bytes(out, event.digest);
        scale::append_text(out, event.event);
        scale::append_bytes(out, event.event_payload);
    }
}

struct AppendPlatform {
    Bytes& out;

    void operator()(const TdxEvidence& evidence) const { append_tdx(out, evidence); }
    void operator()(const GcpTdxEvidence& evidence) const {
        append_tdx(out, evidence.tdx);
        const TpmQuote& quote = evidence.tpm_quote;
        scale::append_bytes(out, quote.message);
        scale::append_bytes(out, quote.signature);
        scale::append_compact(out, quote.pcr_values.size());
        for (const PcrValue& pcr : quote.pcr_values) {
            scale::append_u32(out, pcr.index);
            scale::append_text(out, pcr.algorithm);
            scale::append_bytes(out, pcr.value);
        }
        scale::append_bytes(out, quote.ak_certificate);
        out.push_back(static_cast<std::uint8_t>(quote.platform));
        scale::append_compact(out, quote.event_log.size());
        for (const TpmEvent& event : quote.event_log) {
            scale::append_u32(out, event.pcr_index);
            scale::append_bytes(out, event.digest);
        }
    }
    void operator()(const NitroEnclaveEvidence& evidence) const {
        scale::append_bytes(out, evidence.document);
    }
    void operator()(const SevSnpEvidence& evidence) const {
        scale::append_bytes(out, evidence.report);
        scale::append_compact(out, evidence.certificates.size());
        for (const Bytes& certificate : evidence.certificates)
            scale::append_bytes(out, certificate);
        scale::append_text(out, evidence.mr_config);
    }
    void operator()(const NitroTpmEvidence& evidence) const {
        scale::append_bytes(out, evidence.document);
    }
};

}  // namespace

Result<Attestation> decode_attestation_v0(Reader& reader) {
    TRY(const std::uint8_t version, reader.u8());
    if (version != 0) return Error{ErrorCode::invalid_argument, "Unknown attestation wire format"};
    Attestation attestation;
    TRY(attestation.platform, read_platform(reader));
    TRY(attestation.runtime_events, read_vector<RuntimeEvent>(reader, 2, read_runtime_event));
    TRY(const ByteView report_data, reader.take(kReportDataSize));
    attestation.report_data.assign(report_data.begin(), report_data.end());
    TRY(attestation.config, read_text(reader));
    return attestation;
}

Bytes encode_v0(const Attestation& attestation) {
    Bytes out = {0, static_cast<std::uint8_t>(attestation.platform.index())};
    std::visit(AppendPlatform{out}, attestation.platform);
    scale::append_compact(out, attestation.runtime_events.size());
    for (const RuntimeEvent& event : attestation.runtime_events) {
        scale::append_text(out, event.event);
        scale::append_bytes(out, event.payload);
    }
    Bytes report_data = attestation.report_data;
    report_data.resize(kReportDataSize);
    out.insert(out.end(), report_data.begin(), report_data.end());
    scale::append_text(out, attestation.config);
    return out;
}

}  // namespace kms
