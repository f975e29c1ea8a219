// Any bytes as an attestation, V0 (SCALE) and V1 (MessagePack): what is read is written to
// something that reads back the same.
#include "kms/evidence/app_info.hpp"
#include "kms/verify/attestation.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto attestation = kms::decode_attestation({data, size});
    if (!attestation) return 0;
    const bool is_v0 = attestation->form == kms::AttestationForm::v0;
    const auto again =
        kms::decode_attestation(is_v0 ? encode_v0(*attestation) : encode_v1(*attestation));
    if (!again || *again != *attestation) std::abort();
    (void)kms::check_key_binding(*attestation, {});
    (void)kms::check_quote_content(*attestation);
    (void)kms::decode_app_info(*attestation, kms::AppInfoAt::run_time, {}, {});
    return 0;
}
