#include "kms/evidence/quote.hpp"

#include <optional>

namespace kms {
namespace {

using runtime::Reader;

constexpr std::size_t kHeaderSize = 48;
constexpr std::uint32_t kLargestSection = 1024 * 1024;

enum class BodyType : std::uint16_t { enclave = 1, td10 = 2, td15 = 3 };

Error bad(std::string_view what) {
    return Error{ErrorCode::invalid_argument, std::string(what)};
}

template <std::size_t N>
Result<FixedView<N>> take(Reader& reader) {
    TRY(const ByteView bytes, reader.take(N));
    return FixedView<N>(bytes.data(), N);
}

/// A length field and as many bytes.
Result<ByteView> take_section(Reader& reader) {
    TRY(const std::uint32_t length, reader.u32_le());
    if (length > kLargestSection) return bad("Data length exceeds maximum");
    return reader.take(length);
}

Result<QuoteHeader> parse_header(Reader& reader) {
    TRY(const ByteView bytes, reader.take(kHeaderSize));
    Reader fields(bytes);
    TRY(const std::uint16_t version, fields.u16_le());
    TRY(const std::uint16_t key_type, fields.u16_le());
    TRY(const std::uint32_t tee_type, fields.u32_le());
    TRY(const std::uint16_t qe_svn, fields.u16_le());
    TRY(const std::uint16_t pce_svn, fields.u16_le());
    return QuoteHeader{.version = version,
                       .attestation_key_type = key_type,
                       .tee_type = tee_type,
                       .qe_svn = qe_svn,
                       .pce_svn = pce_svn,
                       .qe_vendor_id = FixedView<16>(bytes.data() + 12, 16),
                       .user_data = FixedView<20>(bytes.data() + 28, 20)};
}

/// Which body follows the header; reads the descriptor of version 5.
Result<BodyType> parse_body_type(Reader& reader, const QuoteHeader& header) {
    const bool is_sgx = header.tee_type == static_cast<std::uint32_t>(TeeType::sgx);
    switch (header.version) {
        case 3:
            if (!is_sgx) return bad("Invalid TEE type");
            return BodyType::enclave;
        case 4:
            if (!is_sgx && header.tee_type != static_cast<std::uint32_t>(TeeType::tdx))
                return bad("Invalid TEE type");
            return is_sgx ? BodyType::enclave : BodyType::td10;
        case 5: {
            TRY(const std::uint16_t type, reader.u16_le());
            TRY_VOID(reader.take(4));  // the body's size, which its type already tells
            if (type < 1 || type > 3) return bad("Unsupported quote body type");
            return static_cast<BodyType>(type);
        }
        default:
            return bad("Unsupported quote version");
    }
}

using Body = std::variant<EnclaveReport, TdReport>;

Result<Body> parse_body(Reader& reader, BodyType type) {
    switch (type) {
        case BodyType::enclave: {
            TRY(const auto bytes, take<EnclaveReport::kSize>(reader));
            return Body(EnclaveReport(bytes));
        }
        case BodyType::td10: {
            TRY(const auto bytes, take<TdReport::kSize10>(reader));
            return Body(TdReport(bytes));
        }
        case BodyType::td15: {
            TRY(const auto bytes, take<TdReport::kSize15>(reader));
            return Body(TdReport(bytes));
        }
    }
    return bad("Unsupported quote body type");
}

struct QeCertification {
    EnclaveReport report;
    FixedView<64> signature;
    ByteView authentication_data;
    CertificationData certification;
};

Result<QeCertification> parse_qe_certification(Reader& reader) {
    TRY(const auto report, take<EnclaveReport::kSize>(reader));
    TRY(const auto signature, take<64>(reader));
    TRY(const std::uint16_t authentication_length, reader.u16_le());
    TRY(const ByteView authentication_data, reader.take(authentication_length));
    TRY(const std::uint16_t type, reader.u16_le());
    TRY(const ByteView data, take_section(reader));
    return QeCertification{EnclaveReport(report), signature, authentication_data, {type, data}};
}

}  // namespace

FixedView<64> Quote::report_data() const {
    if (const TdReport* report = td_report()) return report->report_data();
    return enclave_report()->report_data();
}

Result<Quote> parse_quote(ByteView bytes) {
    Reader reader(bytes);
    TRY(const QuoteHeader header, parse_header(reader));
    TRY(const BodyType body_type, parse_body_type(reader, header));
    TRY(const Body body, parse_body(reader, body_type));
    const ByteView signed_bytes = bytes.first(reader.offset());

    TRY(const ByteView section, take_section(reader));
    Reader signatures(section);
    TRY(const auto signature, take<64>(signatures));
    TRY(const auto attestation_key, take<64>(signatures));
    // Versions 4 and 5 wrap what follows once more; the wrapper's type has no effect.
    std::optional<Reader> wrapped;
    if (header.version != 3) {
        TRY_VOID(signatures.u16_le());
        TRY(const ByteView inner, take_section(signatures));
        wrapped.emplace(inner);
    }
    TRY(const auto qe, parse_qe_certification(wrapped ? *wrapped : signatures));
    return Quote{.header = header,
                 .body = body,
                 .signed_bytes = signed_bytes,
                 .signature = signature,
                 .attestation_key = attestation_key,
                 .qe_report = qe.report,
                 .qe_report_signature = qe.signature,
                 .qe_authentication_data = qe.authentication_data,
                 .certification = qe.certification};
}

Result<TdReport> td_report_of(ByteView quote) {
    TRY(const Quote parsed, parse_quote(quote));
    if (const TdReport* report = parsed.td_report()) return *report;
    return bad("Invalid TDX report");
}

}  // namespace kms
