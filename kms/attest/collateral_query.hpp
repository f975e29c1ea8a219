/// Which collateral judges a quote: read from the quote itself, before anything in it is trusted.
/// Pure. Source: spec "attestation" sections 2.2 and 2.3.
#pragma once

#include "kms/evidence/quote.hpp"
#include "kms/evidence/sgx_extension.hpp"

#include <string>
#include <string_view>

namespace kms {

struct CollateralQuery {
    TeeType tee = TeeType::tdx;
    Fmspc fmspc{};
    bool processor_ca = false;  ///< which of Intel's two PCK CAs; otherwise the platform CA
    friend auto operator<=>(const CollateralQuery&, const CollateralQuery&) = default;
};

/// Errors (invalid_argument): "Failed to decode quote: ...", or a PCK chain that cannot be read.
Result<CollateralQuery> collateral_query(ByteView quote);

/// The base URL without what people copy along with it: slashes at its end, and the path of either
/// service.
std::string collateral_base_url(std::string_view url);

inline constexpr std::string_view kIntelPcs = "https://api.trustedservices.intel.com";

}  // namespace kms
