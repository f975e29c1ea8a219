/// Which collateral judges a quote: read from the quote itself, before anything in it is trusted.
/// Pure. Source: spec "attestation" sections 2.2 and 2.3.
#pragma once

#include "kms/evidence/quote.hpp"
#include "kms/evidence/sgx_extension.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace kms {

struct CollateralQuery {
    TeeType tee = TeeType::tdx;
    Fmspc fmspc{};
    bool processor_ca = false;  ///< which of Intel's two PCK CAs; otherwise the platform CA
    friend auto operator<=>(const CollateralQuery&, const CollateralQuery&) = default;
};

/// What names a platform whose certificate is not in its quote (section 2.4).
struct PckRequest {
    Bytes qe_id;           ///< 16 bytes
    Bytes encrypted_ppid;  ///< 256 or 384
    Bytes cpu_svn;         ///< 16
    Bytes pce_svn;         ///< 2, little-endian
    Bytes pce_id;          ///< 2
    friend auto operator<=>(const PckRequest&, const PckRequest&) = default;
};
/// Nothing when the quote brings its own PCK chain. Errors (invalid_argument): "Failed to decode
/// quote: ...", or certification data of another kind.
Result<std::optional<PckRequest>> pck_request(ByteView quote);

/// `chain`: the PCK chain (PEM) when the quote does not bring it. Errors (invalid_argument):
/// "Failed to decode quote: ...", or a PCK chain that cannot be read.
Result<CollateralQuery> collateral_query(ByteView quote, const std::string* chain = nullptr);

/// The base URL without what people copy along with it: slashes at its end, and the path of either
/// service.
std::string collateral_base_url(std::string_view url);

inline constexpr std::string_view kIntelPcs = "https://api.trustedservices.intel.com";

}  // namespace kms
