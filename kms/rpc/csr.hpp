/// The certificate signing request of the protocol (not PKCS#10): what an application wants in its
/// certificate, with the evidence that its key lives in a trusted environment. Pure. Source: spec
/// "kms-protocol" section 6.6.
#pragma once

#include "kms/evidence/evidence.hpp"
#include "kms/keys/profiles.hpp"
#include "kms/rpc/rpc_error.hpp"

#include <string>
#include <vector>

#include <tl/expected.hpp>

namespace kms {

struct CertificateRequest {
    std::string confirm;
    Bytes public_key;  ///< SubjectPublicKeyInfo; bytes behind it are possible and judged later
    keys::AppCertificateRequest certificate;
    bool wants_attestation = false;  ///< extension .1 and .2, or .8
    bool wants_app_info = false;     ///< extension .9
    Attestation attestation;
};

/// Which wire form `api_version` of SignCert stands for. Version 2 has two layouts, told apart by
/// their content.
enum class CsrForm { v1, v2 };

/// A request that was only decoded. Of version 1 the evidence is still a quote and its log.
struct DecodedCsr {
    CertificateRequest request;
    ByteView quote, event_log;  ///< of version 1; borrowed
};
/// Errors (invalid_argument): the member that cannot be read, and why; bytes behind the end.
Result<DecodedCsr> decode_csr(CsrForm form, ByteView bytes);

/// Decodes, verifies the signature over the bytes, and checks the confirmation, in this order, then
/// makes the attestation of a version 1 request. Errors: "Failed to parse csr", "Failed to verify
/// csr signature" and "Failed to upgrade csr v1 to v2", each with its causes. The attestation is
/// not verified.
tl::expected<CertificateRequest, RpcError> open_csr(CsrForm form, ByteView bytes,
                                                    ByteView signature);

/// What errors begin with when the bytes are no request of that form.
inline constexpr std::string_view kCannotParseCsr = "Failed to parse csr";
/// The word that every request must hold.
inline constexpr std::string_view kCsrConfirmation = "please sign cert:";

}  // namespace kms
