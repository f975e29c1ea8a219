/// From a peer's certificate to a machine whose evidence was verified. Source: spec "kms-protocol"
/// sections 2.3, 2.4 and 4.8.
#pragma once

#include "kms/authorize/key_authority.hpp"
#include "kms/crypto/leaf_certificate.hpp"
#include "kms/rpc/rpc_error.hpp"

#include <optional>

#include <tl/expected.hpp>

namespace kms {

/// The evidence in a certificate; null when it carries none. Pure. Errors in the protocol's words:
/// a broken extension, or evidence that cannot be decoded.
tl::expected<SharedAttestation, RpcError> evidence_of(const crypto::LeafCertificate& certificate);

/// Verifies evidence and its binding to the key with this SubjectPublicKeyInfo. Errors: what
/// follows "invalid quote" in the protocol, such as "report data mismatch".
runtime::Task<tl::expected<AttestedCaller, RpcError>> verify_evidence(SharedAttestation evidence,
                                                                      Bytes spki,
                                                                      QuoteVerifier& verifier,
                                                                      runtime::Deadline deadline);

/// Whoever presents this certificate (DER; may be empty): nobody when there is none, when it cannot
/// be read, or when it carries no evidence.
runtime::Task<tl::expected<std::optional<AttestedCaller>, RpcError>> attested_peer(
    std::string certificate_der, QuoteVerifier& verifier, runtime::Deadline deadline);

}  // namespace kms
