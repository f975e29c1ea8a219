/// Evidence that a key of this KMS lives on this machine: asked of the guest agent, and checked to
/// be an answer to the question. Source: spec "kms-protocol" sections 4.6 and 7.3.
#pragma once

#include "kms/crypto/certificate.hpp"
#include "kms/crypto/k256.hpp"
#include "kms/guest/guest_agent.hpp"

#include <string>

namespace kms {

/// What goes into the certificate of `key`. Errors: "Failed to get quote" (the agent gave none),
/// "Invalid attestation" (it cannot be read, or binds something else), each with its cause.
runtime::Task<runtime::Result<crypto::AttestationExtension>> certificate_evidence(
    GuestAgent& agent, crypto::P256Point key, runtime::Deadline deadline);

/// An attestation that binds the public keys of a new KMS; errors as above.
runtime::Task<runtime::Result<runtime::Bytes>> bootstrap_evidence(GuestAgent& agent,
                                                                  crypto::P256Point ca_key,
                                                                  crypto::K256PublicKey k256_key,
                                                                  runtime::Deadline deadline);

/// The text whose Keccak-256 the latter binds. Pure.
std::string bootstrap_statement(const crypto::P256Point& ca_key,
                                const crypto::K256PublicKey& k256_key);

}  // namespace kms
