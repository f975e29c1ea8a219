/// Quotes of versions 3, 4 and 5, taken apart without copying and without a verdict. Source: spec
/// "attestation" section 1.
#pragma once

#include "kms/evidence/report_body.hpp"

#include <variant>

namespace kms {

enum class TeeType : std::uint32_t { sgx = 0, tdx = 0x81 };

struct QuoteHeader {
    std::uint16_t version;  ///< 3, 4 or 5
    std::uint16_t
        attestation_key_type;  ///< 2: ECDSA on P-256; whatever it says, the layout is read as that
    std::uint32_t tee_type;    ///< a TeeType; version 5 may carry any number
    std::uint16_t qe_svn;
    std::uint16_t pce_svn;
    FixedView<16> qe_vendor_id;
    FixedView<20> user_data;
};

/// What the quoting enclave says about the platform; `data` is borrowed. Type 5 is the PCK chain as
/// PEM text.
struct CertificationData {
    std::uint16_t type;
    ByteView data;
};
inline constexpr std::uint16_t kEncryptedPpid2048 = 2;
inline constexpr std::uint16_t kEncryptedPpid3072 = 3;
inline constexpr std::uint16_t kPckChainPem = 5;

/// All views borrow the bytes that parse_quote() was given.
struct Quote {
    QuoteHeader header;
    std::variant<EnclaveReport, TdReport> body;
    ByteView signed_bytes;          ///< header, body descriptor (version 5) and body
    FixedView<64> signature;        ///< r | s, big-endian
    FixedView<64> attestation_key;  ///< x | y, big-endian
    EnclaveReport qe_report;
    FixedView<64> qe_report_signature;
    ByteView qe_authentication_data;
    CertificationData certification;

    /// Null when the body is that of an enclave.
    const TdReport* td_report() const { return std::get_if<TdReport>(&body); }
    const EnclaveReport* enclave_report() const { return std::get_if<EnclaveReport>(&body); }
    FixedView<64> report_data() const;
};

/// Takes a quote apart. Bytes after its end are ignored. Errors (invalid_argument): another
/// version, a TEE type that the version does not know, an unknown body, a length above 1 MiB, or an
/// end that comes too early.
Result<Quote> parse_quote(ByteView bytes);

/// looks at. Errors (invalid_argument): as parse_quote, and "Invalid TDX report" for an enclave's
/// quote.
Result<TdReport> td_report_of(ByteView quote);

}  // namespace kms
