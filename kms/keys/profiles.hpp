/// The certificates a KMS makes, one function per row of the table in spec "kms-protocol"
/// section 3.2.
#pragma once

#include "kms/crypto/certificate.hpp"
#include "kms/keys/root_keys.hpp"

#include <string>

namespace kms::keys {

crypto::Subject temp_ca_subject();
crypto::Subject root_ca_subject();

crypto::CertificateProfile temp_ca_profile(const crypto::P256Point& key);
crypto::CertificateProfile root_ca_profile(const crypto::P256Point& key);
/// `domain` becomes the CN and the subject alternative name.
crypto::CertificateProfile rpc_profile(const crypto::P256Point& key, const std::string& domain,
                                       crypto::AttestationExtension attestation);
/// The self-signed certificate of the temp CA, as PEM; errors as crypto::issue_certificate.
Result<std::string> temp_ca_certificate(const crypto::P256Key& key, WallTime now);
crypto::CertificateProfile app_ca_profile(const crypto::P256Point& key, AppId app);

}  // namespace kms::keys
