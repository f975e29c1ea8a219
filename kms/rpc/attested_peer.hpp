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

/// Verifies evidence and its binding to the key with this SubjectPublicKeyInfo. `asker` as
/// QuoteVerifier has it. Errors: what follows "invalid quote" in the protocol, such as "report data
/// mismatch".
runtime::Task<tl::expected<AttestedCaller, RpcError>> verify_evidence(SharedAttestation evidence,
                                                                      Bytes spki,
                                                                      QuoteVerifier& verifier,
                                                                      std::string asker,
                                                                      runtime::Deadline deadline);

/// Whoever presents this certificate (DER; may be empty): nobody when there is none, when it cannot
/// be read, or when it carries no evidence.
runtime::Task<tl::expected<std::optional<AttestedCaller>, RpcError>> attested_peer(
    std::string certificate_der, QuoteVerifier& verifier, std::string asker,
    runtime::Deadline deadline);

/// What is wrong with a presented certificate without asking whether its evidence is genuine:
/// evidence that cannot be decoded, or that is not bound to the certificate's key. Costs a hash.
/// For methods that need nobody to be attested. The errors are those of attested_peer().
tl::expected<void, RpcError> check_presented(std::string_view certificate_der);

}  // namespace kms
