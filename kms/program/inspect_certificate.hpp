/// "dstack-kms inspect-cert": what a certificate says to the protocol, for people. Pure.
#pragma once

#include "launcher/runtime/result.hpp"

#include <string>
#include <string_view>

namespace kms {

/// Describes the first certificate of a PEM text, one fact per line. Evidence is decoded, not
/// verified, and the text says so. Errors (invalid_argument): no certificate.
runtime::Result<std::string> describe_certificate(std::string_view pem);

}  // namespace kms
