#include "kms/keys/profiles.hpp"

#include <utility>

namespace kms::keys {
namespace {

crypto::CertificateProfile ca_profile(crypto::Subject subject, const crypto::P256Point& key,
                                      unsigned path_length) {
    crypto::CertificateProfile profile;
    profile.subject = std::move(subject);
    profile.public_key = key;
    profile.ca_path_length = path_length;
    return profile;
}

}  // namespace

crypto::Subject temp_ca_subject() {
    return {"Dstack", "Dstack Client Temp CA"};
}
crypto::Subject root_ca_subject() {
    return {"Dstack", "Dstack KMS CA"};
}

crypto::Subject app_ca_subject() {
    return {"Dstack", "Dstack App CA"};
}

crypto::CertificateProfile temp_ca_profile(const crypto::P256Point& key) {
    return ca_profile(temp_ca_subject(), key, 0);
}

Result<std::string> temp_ca_certificate(const crypto::P256Key& key, WallTime now) {
    return crypto::issue_certificate(temp_ca_profile(key.public_point()),
                                     {crypto::encode_name(temp_ca_subject()), key}, now);
}

crypto::CertificateProfile root_ca_profile(const crypto::P256Point& key) {
    return ca_profile(root_ca_subject(), key, 1);
}

crypto::CertificateProfile rpc_profile(const crypto::P256Point& key, const std::string& domain,
                                       crypto::AttestationExtension attestation) {
    crypto::CertificateProfile profile;
    profile.subject = {{}, domain};
    profile.public_key = key;
    profile.alt_names = {domain};
    profile.special_usage = "kms:rpc";
    profile.attestation = std::move(attestation);
    return profile;
}

crypto::CertificateProfile app_ca_profile(const crypto::P256Point& key, AppId app) {
    crypto::CertificateProfile profile = ca_profile(app_ca_subject(), key, 0);
    profile.app_id = Bytes(app.bytes.begin(), app.bytes.end());
    profile.special_usage = "app:ca";
    return profile;
}

crypto::CertificateProfile app_profile(const crypto::P256Point& key, AppId app,
                                       AppCertificateRequest request,
                                       crypto::AttestationExtension attestation,
                                       std::optional<Bytes> app_info) {
    crypto::CertificateProfile profile;
    profile.subject = std::move(request.subject);
    profile.public_key = key;
    profile.alt_names = std::move(request.alt_names);
    profile.server_auth = request.server_auth;
    profile.client_auth = request.client_auth;
    profile.app_id = Bytes(app.bytes.begin(), app.bytes.end());
    profile.app_info = std::move(app_info);
    profile.special_usage = "app:custom";
    profile.attestation = std::move(attestation);
    profile.not_before = request.not_before;
    profile.not_after = request.not_after;
    return profile;
}

crypto::CertificateProfile ra_tls_profile(const crypto::P256Point& key,
                                          crypto::AttestationExtension attestation) {
    crypto::CertificateProfile profile;
    profile.subject = {{}, "RA-TLS TEMP Cert"};
    profile.public_key = key;
    profile.attestation = std::move(attestation);
    return profile;
}

}  // namespace kms::keys
