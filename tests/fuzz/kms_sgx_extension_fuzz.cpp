// Any bytes as the SGX extension of a PCK certificate, and as a certificate.
#include "kms/evidence/sgx_extension.hpp"
#include "kms/verify/x509.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const runtime::ByteView bytes(data, size);
    if (const auto extension = kms::parse_sgx_extension(bytes); extension && size < 6 + 16)
        std::abort();
    if (const auto certificate = kms::x509::parse_certificate(bytes)) {
        (void)kms::x509::name_text(certificate->subject);
        if (certificate->extended_key_usage)
            (void)kms::x509::allows_server_auth(*certificate->extended_key_usage);
        if (certificate->crl_distribution_points)
            (void)kms::x509::first_crl_uri(*certificate->crl_distribution_points);
        (void)kms::x509::find_wrapped_extension(bytes, kms::sgx_extension_oid());
    }
    (void)kms::x509::PemChain::parse(runtime::as_text(bytes));
    return 0;
}
