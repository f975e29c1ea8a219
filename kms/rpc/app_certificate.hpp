/// The certificate chain that SignCert answers with. Pure. Source: spec "kms-protocol"
/// sections 3.2, 3.3 and 6.6.
#pragma once

#include "kms/keys/key_set.hpp"
#include "kms/rpc/csr.hpp"

#include <string>
#include <vector>

namespace kms {

/// Leaf, App CA and root CA as PEM. `app_id` comes from the verified `evidence`, never from the
/// request. Errors: "Failed to sign certificate" with its causes.
tl::expected<std::vector<std::string>, RpcError> app_certificate_chain(
    const keys::KeySet& keys, const CertificateRequest& request, const Attestation& evidence,
    ByteView app_id, runtime::WallTime now);

/// How evidence travels inside of a certificate: a plain TDX quote with its whole event log, or the
/// attestation with a stripped one.
crypto::AttestationExtension attestation_extension(const Attestation& evidence);

/// The payload of extension .9: a msgpack array of eight byte strings, made from the evidence
/// alone. Errors (invalid_argument): the configuration in it cannot be read.
Result<Bytes> app_info_extension(const Attestation& evidence);

}  // namespace kms
