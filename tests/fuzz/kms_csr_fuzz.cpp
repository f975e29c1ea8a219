// Any bytes as the signing request of SignCert: decoded completely, or refused with a sentence; a
// signature that nobody made never opens it.
#include "kms/rpc/csr.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const kms::ByteView bytes{data, size};
    for (const kms::CsrForm form : {kms::CsrForm::v1, kms::CsrForm::v2}) {
        const auto decoded = kms::decode_csr(form, bytes);
        if (!decoded && decoded.error().context.empty()) std::abort();
        if (decoded && decoded->request.public_key.size() > size) std::abort();
        if (kms::open_csr(form, bytes, bytes.first(size / 2))) std::abort();
    }
    return 0;
}
