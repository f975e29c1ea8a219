// V1 attestations: MessagePack. Source: spec "attestation" section 4.8.
#include "kms/evidence/evidence_v1.hpp"

#include "kms/evidence/evidence.hpp"
#include "kms/evidence/msgpack.hpp"

#include <limits>

namespace kms {
namespace {

using msgpack::Reader;
using Names = std::string_view[];

constexpr auto kLargestU32 = std::numeric_limits<std::uint32_t>::max();

Result<std::uint32_t> read_u32(Reader& reader) {
    TRY(const std::uint64_t value, reader.unsigned_integer(kLargestU32));
    return static_cast<std::uint32_t>(value);
}

Result<EventVersion> read_version(Reader& reader) {
    TRY(const std::uint32_t version, read_u32(reader));
    if (version < 1 || version > 2)
        return reader.error("unknown event log version: " + std::to_string(version));
    return static_cast<EventVersion>(version);
}

template <class T, class ReadItem>
Result<std::vector<T>> read_vector(Reader& reader, ReadItem read) {
    TRY(const std::size_t count, reader.array());
    std::vector<T> items;
    for (std::size_t i = 0; i < count; ++i) {
        TRY(auto item, read(reader));
        items.push_back(std::move(item));
    }
    return items;
}

/// Reads a member into a field: one line of the tables below.
template <class Field, class Read>
Result<void> into(Field& field, Read&& read) {
    auto value = read();
    if (!value) return std::move(value.error());
    field = std::move(*value);
    return {};
}

Result<TdxEvent> read_tdx_event(Reader& reader) {
    static constexpr Names kNames = {"imr",           "event_type", "digest",  "event",
                                     "event_payload", "version",    "preimage"};
    TdxEvent event;
    TRY_VOID(
        msgpack::read_members(reader, kNames, 0b11011, [&](std::size_t member) -> Result<void> {
            switch (member) {
                case 0:
                    return into(event.imr, [&] { return read_u32(reader); });
                case 1:
                    return into(event.event_type, [&] { return read_u32(reader); });
                case 2:
                    return into(event.digest, [&] { return reader.bytes(); });
                case 3:
                    return into(event.event, [&] { return reader.text(); });
                case 4:
                    return into(event.event_payload, [&] { return reader.bytes(); });
                case 5:
                    return into(event.version, [&] { return read_version(reader); });
                default:
                    if (reader.next_is_nil()) return reader.nil();
                    return into(event.preimage, [&] { return reader.text(); });
            }
        }));
    return event;
}

Result<RuntimeEvent> read_runtime_event(Reader& reader) {
    static constexpr Names kNames = {"event", "payload", "version"};
    RuntimeEvent event;
    TRY_VOID(msgpack::read_members(
        reader, kNames, first_members(2), [&](std::size_t member) -> Result<void> {
            if (member == 0) return into(event.event, [&] { return reader.text(); });
            if (member == 1) return into(event.payload, [&] { return reader.bytes(); });
            return into(event.version, [&] { return read_version(reader); });
        }));
    return event;
}

Result<PcrValue> read_pcr_value(Reader& reader) {
    static constexpr Names kNames = {"index", "algorithm", "value"};
    PcrValue pcr;
    TRY_VOID(msgpack::read_members(
        reader, kNames, first_members(3), [&](std::size_t member) -> Result<void> {
            if (member == 0) return into(pcr.index, [&] { return read_u32(reader); });
            if (member == 1) return into(pcr.algorithm, [&] { return reader.text(); });
            return into(pcr.value, [&] { return reader.bytes(); });
        }));
    return pcr;
}

Result<TpmEvent> read_tpm_event(Reader& reader) {
    static constexpr Names kNames = {"pcr_index", "digest"};
    TpmEvent event;
    TRY_VOID(msgpack::read_members(
        reader, kNames, first_members(2), [&](std::size_t member) -> Result<void> {
            if (member == 0) return into(event.pcr_index, [&] { return read_u32(reader); });
            return into(event.digest, [&] { return reader.bytes(); });
        }));
    return event;
}

constexpr std::string_view kTpmPlatforms[] = {"dstack", "gcp", "nitroenclave", "aws-ec2"};

Result<TpmPlatform> read_tpm_platform(Reader& reader) {
    TRY(const std::string_view name, reader.text());
    for (std::size_t i = 0; i < std::size(kTpmPlatforms); ++i)
        if (kTpmPlatforms[i] == name) return static_cast<TpmPlatform>(i);
    return reader.error("unknown variant `" + std::string(name) + "`");
}

Result<TpmQuote> read_tpm_quote(Reader& reader) {
    static constexpr Names kNames = {"message", "signature", "pcr_values",
                                     "ak_cert", "platform",  "event_log"};
    TpmQuote quote;
    TRY_VOID(msgpack::read_members(
        reader, kNames, first_members(6), [&](std::size_t member) -> Result<void> {
            switch (member) {
                case 0:
                    return into(quote.message, [&] { return reader.bytes(); });
                case 1:
                    return into(quote.signature, [&] { return reader.bytes(); });
                case 2:
                    return into(quote.pcr_values,
                                [&] { return read_vector<PcrValue>(reader, read_pcr_value); });
                case 3:
                    return into(quote.ak_certificate, [&] { return reader.bytes(); });
                case 4:
                    return into(quote.platform, [&] { return read_tpm_platform(reader); });
                default:
                    return into(quote.event_log,
                                [&] { return read_vector<TpmEvent>(reader, read_tpm_event); });
            }
        }));
    return quote;
}

/// The data of one kind must be a map: the members have no order there.
Result<void> expect_map(const Reader& reader) {
    if (!reader.next_is_map()) return reader.error("expected a map");
    return {};
}

Result<void> read_tdx_members(Reader& reader, TdxEvidence& tdx, TpmQuote* tpm) {
    static constexpr Names kNames = {"quote", "event_log", "tpm_quote"};
    return msgpack::read_members(
        reader, std::span(kNames).first(tpm != nullptr ? 3 : 2),
        first_members(tpm != nullptr ? 3 : 2), [&](std::size_t member) -> Result<void> {
            if (member == 0) return into(tdx.quote, [&] { return reader.bytes(); });
            if (member == 1)
                return into(tdx.event_log,
                            [&] { return read_vector<TdxEvent>(reader, read_tdx_event); });
            return into(*tpm, [&] { return read_tpm_quote(reader); });
        });
}

Result<Bytes> read_document(Reader& reader, std::string_view name) {
    Bytes document;
    TRY_VOID(msgpack::read_members(reader, std::span(&name, 1), first_members(1), [&](std::size_t) {
        return into(document, [&] { return reader.bytes(); });
    }));
    return document;
}

Result<SevSnpEvidence> read_sev_snp(Reader& reader) {
    static constexpr Names kNames = {"report", "cert_chain", "mr_config"};
    SevSnpEvidence evidence;
    TRY_VOID(msgpack::read_members(
        reader, kNames, first_members(3), [&](std::size_t member) -> Result<void> {
            if (member == 0) return into(evidence.report, [&] { return reader.bytes(); });
            if (member == 1)
                return into(evidence.certificates, [&] {
                    return read_vector<Bytes>(reader, [](Reader& item) { return item.bytes(); });
                });
            return into(evidence.mr_config, [&] { return reader.text(); });
        }));
    return evidence;
}

Result<PlatformEvidence> read_platform_data(Reader& reader, std::string_view kind) {
    TRY_VOID(expect_map(reader));
    if (kind == "tdx") {
        TdxEvidence evidence;
        TRY_VOID(read_tdx_members(reader, evidence, nullptr));
        return PlatformEvidence(std::move(evidence));
    }
    if (kind == "gcp-tdx") {
        GcpTdxEvidence evidence;
        TRY_VOID(read_tdx_members(reader, evidence.tdx, &evidence.tpm_quote));
        return PlatformEvidence(std::move(evidence));
    }
    if (kind == "nitro-enclave") {
        TRY(auto document, read_document(reader, "nsm_quote"));
        return PlatformEvidence(NitroEnclaveEvidence{std::move(document)});
    }
    if (kind == "aws-nitro-tpm") {
        TRY(auto document, read_document(reader, "attestation_doc"));
        return PlatformEvidence(NitroTpmEvidence{std::move(document)});
    }
    if (kind == "sev-snp") {
        TRY(auto evidence, read_sev_snp(reader));
        return PlatformEvidence(std::move(evidence));
    }
    return reader.error(
        "unknown variant `" + std::string(kind) +
        "`, expected one of `tdx`, `gcp-tdx`, `nitro-enclave`, `aws-nitro-tpm`, `sev-snp`");
}

Result<void> read_stack_data(Reader& reader, std::string_view kind, Attestation& attestation) {
    static constexpr Names kNames = {"report_data", "runtime_events", "config",
                                     "report_data_payload"};
    const bool is_pod = kind == "dstack-pod";
    if (!is_pod && kind != "dstack")
        return reader.error("unknown variant `" + std::string(kind) +
                            "`, expected `dstack` or `dstack-pod`");
    TRY_VOID(expect_map(reader));
    const unsigned members = is_pod ? 4 : 3;
    return msgpack::read_members(
        reader, std::span(kNames).first(members), first_members(members),
        [&](std::size_t member) -> Result<void> {
            switch (member) {
                case 0:
                    return into(attestation.report_data, [&] { return reader.bytes(); });
                case 1:
                    return into(attestation.runtime_events, [&] {
                        return read_vector<RuntimeEvent>(reader, read_runtime_event);
                    });
                case 2:
                    return into(attestation.config, [&] { return reader.text(); });
                default:
                    return into(attestation.report_data_payload, [&] { return reader.text(); });
            }
        });
}

/// {"kind": text, "data": ...}: finds both, then `read(reader of the data, kind)`.
template <class ReadData>
Result<void> read_tagged(Reader& reader, ReadData&& read) {
    static constexpr Names kNames = {"kind", "data"};
    std::string kind;
    std::optional<Reader> data;
    TRY_VOID(msgpack::read_members(reader, kNames, first_members(2),
                                   [&](std::size_t member) -> Result<void> {
                                       if (member == 0)
                                           return into(kind, [&] { return reader.text(); });
                                       data = reader;
                                       return reader.skip();
                                   }));
    return read(*data, kind);
}

void append_name(Bytes& out, std::string_view name) {
    msgpack::append_text(out, name);
}

void append_tdx_event(Bytes& out, const TdxEvent& event) {
    const bool is_v2 = event.version != EventVersion::v1;
    msgpack::append_map(out, 5U + (is_v2 ? 1U : 0U) + (event.preimage ? 1U : 0U));
    append_name(out, "imr");
    msgpack::append_unsigned(out, event.imr);
    append_name(out, "event_type");
    msgpack::append_unsigned(out, event.event_type);
    append_name(out, "digest");
    msgpack::append_binary(out, event.digest);
    append_name(out, "event");
    msgpack::append_text(out, event.event);
    append_name(out, "event_payload");
    msgpack::append_binary(out, event.event_payload);
    if (is_v2) {
        append_name(out, "version");
        msgpack::append_unsigned(out, 2);
    }
    if (event.preimage) {
        append_name(out, "preimage");
        msgpack::append_text(out, *event.preimage);
    }
}

void append_tdx_members(Bytes& out, const TdxEvidence& evidence) {
    append_name(out, "quote");
    msgpack::append_integers(out, evidence.quote);
    append_name(out, "event_log");
    msgpack::append_array(out, evidence.event_log.size());
    for (const TdxEvent& event : evidence.event_log) append_tdx_event(out, event);
}

void append_tpm_quote(Bytes& out, const TpmQuote& quote) {
    msgpack::append_map(out, 6);
    append_name(out, "message");
    msgpack::append_binary(out, quote.message);
    append_name(out, "signature");
    msgpack::append_binary(out, quote.signature);
    append_name(out, "pcr_values");
    msgpack::append_array(out, quote.pcr_values.size());
    for (const PcrValue& pcr : quote.pcr_values) {
        msgpack::append_map(out, 3);
        append_name(out, "index");
        msgpack::append_unsigned(out, pcr.index);
        append_name(out, "algorithm");
        msgpack::append_text(out, pcr.algorithm);
        append_name(out, "value");
        msgpack::append_binary(out, pcr.value);
    }
    append_name(out, "ak_cert");
    msgpack::append_binary(out, quote.ak_certificate);
    append_name(out, "platform");
    msgpack::append_text(out, kTpmPlatforms[static_cast<std::size_t>(quote.platform)]);
    append_name(out, "event_log");
    msgpack::append_array(out, quote.event_log.size());
    for (const TpmEvent& event : quote.event_log) {
        msgpack::append_map(out, 2);
        append_name(out, "pcr_index");
        msgpack::append_unsigned(out, event.pcr_index);
        append_name(out, "digest");
        msgpack::append_binary(out, event.digest);
    }
}

struct AppendPlatform {
    Bytes& out;

    void begin(std::string_view kind, std::size_t members) const {
        msgpack::append_map(out, 2);
        append_name(out, "kind");
        msgpack::append_text(out, kind);
        append_name(out, "data");
        msgpack::append_map(out, members);
    }
    void operator()(const TdxEvidence& evidence) const {
        begin("tdx", 2);
        append_tdx_members(out, evidence);
    }
    void operator()(const GcpTdxEvidence& evidence) const {
        begin("gcp-tdx", 3);
        append_tdx_members(out, evidence.tdx);
        append_name(out, "tpm_quote");
        append_tpm_quote(out, evidence.tpm_quote);
    }
    void operator()(const NitroEnclaveEvidence& evidence) const {
        begin("nitro-enclave", 1);
        append_name(out, "nsm_quote");
        msgpack::append_integers(out, evidence.document);
    }
    void operator()(const SevSnpEvidence& evidence) const {
        begin("sev-snp", 3);
        append_name(out, "report");
        msgpack::append_integers(out, evidence.report);
        append_name(out, "cert_chain");
        msgpack::append_array(out, evidence.certificates.size());
        for (const Bytes& certificate : evidence.certificates)
            msgpack::append_integers(out, certificate);
        append_name(out, "mr_config");
        msgpack::append_text(out, evidence.mr_config);
    }
    void operator()(const NitroTpmEvidence& evidence) const {
        begin("aws-nitro-tpm", 1);
        append_name(out, "attestation_doc");
        msgpack::append_integers(out, evidence.document);
    }
};

void append_stack(Bytes& out, const Attestation& attestation) {
    msgpack::append_map(out, 2);
    append_name(out, "kind");
    msgpack::append_text(out, attestation.report_data_payload ? "dstack-pod" : "dstack");
    append_name(out, "data");
    msgpack::append_map(out, attestation.report_data_payload ? 4 : 3);
    append_name(out, "report_data");
    msgpack::append_integers(out, attestation.report_data);
    append_name(out, "runtime_events");
    msgpack::append_array(out, attestation.runtime_events.size());
    for (const RuntimeEvent& event : attestation.runtime_events) {
        const bool is_v2 = event.version != EventVersion::v1;
        msgpack::append_map(out, is_v2 ? 3 : 2);
        append_name(out, "event");
        msgpack::append_text(out, event.event);
        append_name(out, "payload");
        msgpack::append_binary(out, event.payload);
        if (!is_v2) continue;
        append_name(out, "version");
        msgpack::append_unsigned(out, 2);
    }
    append_name(out, "config");
    msgpack::append_text(out, attestation.config);
    if (!attestation.report_data_payload) return;
    append_name(out, "report_data_payload");
    msgpack::append_text(out, *attestation.report_data_payload);
}

}  // namespace

Result<Attestation> decode_attestation_v1(ByteView bytes) {
    static constexpr Names kNames = {"version", "platform", "stack"};
    Attestation attestation;
    attestation.form = AttestationForm::v1;
    std::uint64_t version = 0;
    Reader reader(bytes);
    auto read = msgpack::read_members(
        reader, kNames, first_members(3), [&](std::size_t member) -> Result<void> {
            if (member == 0)
                return into(version, [&] {
                    return reader.unsigned_integer(std::numeric_limits<std::uint64_t>::max());
                });
            if (member == 1)
                return read_tagged(reader, [&](Reader& data, std::string_view kind) {
                    return into(attestation.platform,
                                [&] { return read_platform_data(data, kind); });
                });
            return read_tagged(reader, [&](Reader& data, std::string_view kind) {
                return read_stack_data(data, kind, attestation);
            });
        });
    if (!read) return std::move(read.error()).within("failed to decode attestation from msgpack");
    if (reader.left() != 0)
        return Error{ErrorCode::invalid_argument,
                     "trailing bytes after attestation msgpack: " + std::to_string(reader.left())};
    if (version != 1)
        return Error{ErrorCode::invalid_argument,
                     "unsupported attestation version: expected 1, got " + std::to_string(version)};
    return attestation;
}

Bytes encode_v1(const Attestation& attestation) {
    Bytes out;
    msgpack::append_map(out, 3);
    append_name(out, "version");
    msgpack::append_unsigned(out, 1);
    append_name(out, "platform");
    std::visit(AppendPlatform{out}, attestation.platform);
    append_name(out, "stack");
    append_stack(out, attestation);
    return out;
}

}  // namespace kms
