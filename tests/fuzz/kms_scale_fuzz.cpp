// Any bytes as SCALE: V0 attestations without their end, as they stand inside of a signing request.
#include "kms/evidence/evidence.hpp"
#include "kms/evidence/scale.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    runtime::Reader numbers({data, size});
    while (const auto number = kms::scale::compact(numbers)) {
        kms::Bytes written;
        kms::scale::append_compact(written, *number);
        if (numbers.offset() < written.size()) std::abort();  // longer than what was read
    }
    runtime::Reader reader({data, size});
    const auto attestation = kms::decode_attestation_v0(reader);
    if (!attestation) return 0;
    const kms::Bytes written = encode_v0(*attestation);
    // SCALE has one form for each value, so writing gives the bytes that were read.
    if (!std::equal(written.begin(), written.end(), data, data + reader.offset())) std::abort();
    return 0;
}
