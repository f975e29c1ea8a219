#include "kms/keys/refresh.hpp"

#include "kms/keys/profiles.hpp"

#include <utility>

namespace kms::keys {
namespace {

/// Whether a CA certificate should be made anew: it ends soon, or has another name than the
/// certificates that its key is going to sign will give as their issuer.
Result<bool> is_due(std::string_view pem, const crypto::Subject& name, WallTime now) {
    TRY(const crypto::CertificateFacts facts, crypto::read_certificate(pem));
    return facts.not_after < std::chrono::floor<std::chrono::seconds>(now) + kCaRenewalSpan ||
           facts.subject_name != crypto::encode_name(name);
}

Result<std::string> domain_of(const KeyDirectory& directory, const KeySet& keys,
                              const std::string& configured_domain) {
    if (!configured_domain.empty()) return configured_domain;
    if (keys.domain.has_value()) return *keys.domain;
    return Error{ErrorCode::not_found,
                 "no domain is known for rpc.crt; set core.onboard.auto_bootstrap_domain or write "
                 "the domain to '" +
                     directory.path() + "/" + std::string(file_name(KeyFile::rpc_domain)) + "'"};
}

/// Puts the CA certificates that are due into `renewed`.
Result<void> renew_ca_certificates(const KeySet& keys, Certificates& renewed, WallTime now) {
    TRY(const bool temp_ca_due, is_due(renewed.temp_ca, temp_ca_subject(), now));
    if (temp_ca_due) {
        TRY(renewed.temp_ca, temp_ca_certificate(keys.temp_ca_key, now));
    }
    TRY(const bool root_ca_due, is_due(renewed.root_ca, root_ca_subject(), now));
    if (root_ca_due) {
        TRY(renewed.root_ca, keys.root.certify(root_ca_profile(keys.root.ca_public_key()), now));
    }
    return {};
}

Result<std::string> new_rpc_certificate(const KeySet& keys, const std::string& domain,
                                        crypto::AttestationExtension attestation, WallTime now) {
    return keys.root.certify(
        rpc_profile(keys.rpc_key.public_point(), domain, std::move(attestation)), now);
}

/// Stores what differs; the answer names the files.
Result<std::vector<std::string>> store_changed(KeyDirectory& directory, const Certificates& before,
                                               const Certificates& after) {
    std::vector<std::string> changed;
    const auto store = [&](KeyFile file, const std::string& old_text,
                           const std::string& new_text) -> Result<void> {
        if (old_text == new_text) return {};
        TRY_VOID(directory.replace_certificate(file, new_text));
        changed.emplace_back(file_name(file));
        return {};
    };
    TRY_VOID(store(KeyFile::temp_ca_certificate, before.temp_ca, after.temp_ca));
    TRY_VOID(store(KeyFile::root_ca_certificate, before.root_ca, after.root_ca));
    TRY_VOID(store(KeyFile::rpc_certificate, before.rpc, after.rpc));
    return changed;
}

}  // namespace

Result<Certificates> renewed_certificates(const KeySet& keys, const std::string& domain,
                                          crypto::AttestationExtension attestation, WallTime now) {
    Certificates renewed = keys.certificates;
    TRY_VOID(renew_ca_certificates(keys, renewed, now));
    TRY(renewed.rpc, new_rpc_certificate(keys, domain, std::move(attestation), now));
    return renewed;
}

Result<std::vector<std::string>> refresh_certificates(KeyDirectory& directory, KeySet& keys,
                                                      const std::string& configured_domain,
                                                      crypto::AttestationExtension attestation,
                                                      WallTime now) {
    TRY(const std::string domain, domain_of(directory, keys, configured_domain));
    TRY(Certificates renewed, renewed_certificates(keys, domain, std::move(attestation), now));
    TRY(auto changed, store_changed(directory, keys.certificates, renewed));
    keys.certificates = std::move(renewed);
    keys.rpc_certificate_problem.reset();
    return changed;
}

Result<std::vector<std::string>> refresh_ca_certificates(KeyDirectory& directory, KeySet& keys,
                                                         WallTime now) {
    Certificates renewed = keys.certificates;
    TRY_VOID(renew_ca_certificates(keys, renewed, now));
    TRY(auto changed, store_changed(directory, keys.certificates, renewed));
    keys.certificates = std::move(renewed);
    return changed;
}

Result<std::string> refresh_rpc_certificate(KeyDirectory& directory, const KeySet& keys,
                                            const std::string& configured_domain,
                                            crypto::AttestationExtension attestation,
                                            WallTime now) {
    TRY(const std::string domain, domain_of(directory, keys, configured_domain));
    TRY(std::string certificate, new_rpc_certificate(keys, domain, std::move(attestation), now));
    TRY_VOID(directory.replace_certificate(KeyFile::rpc_certificate, certificate));
    return certificate;
}

}  // namespace kms::keys
