/// The V1 half of decode_attestation().
#pragma once

#include "kms/evidence/evidence.hpp"

namespace kms {

/// The whole of `bytes` as a V1 attestation; the first byte was looked at before.
Result<Attestation> decode_attestation_v1(ByteView bytes);

}  // namespace kms
