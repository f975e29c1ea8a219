/// Dates: the two forms inside of certificates, and the one inside of Intel's JSON.
#pragma once

#include "kms/crypto/der.hpp"
#include "kms/verify/x509.hpp"

#include <optional>
#include <string_view>

namespace kms::x509 {

/// UTCTime or GeneralizedTime, with seconds and "Z". Errors (invalid_argument): "BadDerTime" for
/// anything else.
Result<UnixSeconds> take_time(crypto::der::Peeler& fields);

/// RFC 3339, any offset; fractions of a second are cut off. Nothing for anything else.
std::optional<UnixSeconds> parse_rfc3339(std::string_view text);
/// "2026-01-01T00:00:00Z".
std::string to_rfc3339(UnixSeconds time);

}  // namespace kms::x509
