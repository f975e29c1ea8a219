/// The boot log that firmware leaves in the ACPI table CCEL. Source: TCG PC Client firmware
/// profile, "crypto agile" form; spec "attestation" section 4.1.
#pragma once

#include "kms/evidence/event_log.hpp"

namespace kms {

/// The events of the table, those with register index 0 left out. Errors (invalid_argument): an
/// unknown algorithm, an event with another number of digests than one, or no end mark before the
/// end of the bytes.
Result<std::vector<TdxEvent>> parse_ccel(ByteView table);

}  // namespace kms
