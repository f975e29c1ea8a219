/// The certificates a KMS makes, one function per row of the table in spec "kms-protocol"
/// section 3.2.
#pragma once

#include "kms/crypto/certificate.hpp"
#include "kms/keys/root_keys.hpp"

#include <optional>
#include <string>
#include <vector>

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
/// Special usage "app:ca"; made anew for every answer of SignCert.
crypto::CertificateProfile app_ca_profile(const crypto::P256Point& key, AppId app);
crypto::Subject app_ca_subject();

/// What an application asks to have in its certificate, beyond its key.
struct AppCertificateRequest {
    crypto::Subject subject;
    std::vector<std::string> alt_names;
    bool server_auth = false;
    bool client_auth = false;
    std::optional<crypto::sys_seconds> not_before, not_after;
};
/// Issuer: the App CA of the same application.
crypto::CertificateProfile app_profile(const crypto::P256Point& key, AppId app,
                                       AppCertificateRequest request,
                                       crypto::AttestationExtension attestation,
                                       std::optional<Bytes> app_info);
/// The client certificate of a machine that asks a KMS for keys. Issuer: the temp CA.
crypto::CertificateProfile ra_tls_profile(const crypto::P256Point& key,
                                          crypto::AttestationExtension attestation);

}  // namespace kms::keys
