/// What the body of a quote may say of itself. Source: spec "attestation" section 3.14.
#pragma once

#include "kms/verify/verify.hpp"

namespace kms {

/// Stage attributes.
Verdict<void> check_attributes(const Quote& quote, const VerifyOptions& options);

}  // namespace kms
