// Any bytes as a revocation list: one that was read can be searched, and does not list what it does
// not hold.
#include "kms/verify/x509.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto list = kms::x509::parse_revocation_list({data, size});
    if (!list) return 0;
    constexpr std::uint8_t kSerial[] = {0x01, 0x02, 0x03};
    (void)list->lists(kSerial);
    return 0;
}
