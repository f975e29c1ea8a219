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
    crypto::CertificateProfile profile = ca_profile({"Dstack", "Dstack App CA"}, key, 0);
    profile.app_id = Bytes(app.bytes.begin(), app.bytes.end());
    profile.special_usage = "app:ca";
    return profile;
}

}  // namespace kms::keys
