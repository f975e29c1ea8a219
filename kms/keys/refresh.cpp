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

}  // namespace

Result<Certificates> renewed_certificates(const KeySet& keys, const std::string& domain,
                                          crypto::AttestationExtension attestation, WallTime now) {
    Certificates renewed = keys.certificates;
    TRY(const bool temp_ca_due, is_due(renewed.temp_ca, temp_ca_subject(), now));
    if (temp_ca_due) {
        TRY(renewed.temp_ca, temp_ca_certificate(keys.temp_ca_key, now));
    }
    TRY(const bool root_ca_due, is_due(renewed.root_ca, root_ca_subject(), now));
    if (root_ca_due) {
        TRY(renewed.root_ca, keys.root.certify(root_ca_profile(keys.root.ca_public_key()), now));
    }
    TRY(renewed.rpc,
        keys.root.certify(rpc_profile(keys.rpc_key.public_point(), domain, std::move(attestation)),
                          now));
    return renewed;
}

Result<std::vector<std::string>> refresh_certificates(KeyDirectory& directory, KeySet& keys,
                                                      const std::string& configured_domain,
                                                      crypto::AttestationExtension attestation,
                                                      WallTime now) {
    const std::string domain =
        configured_domain.empty() ? keys.domain.value_or("") : configured_domain;
    if (domain.empty())
        return Error{ErrorCode::not_found,
                     "no domain is known for rpc.crt; set core.onboard.auto_bootstrap_domain or "
                     "write the domain to '" +
                         directory.path() + "/" + std::string(file_name(KeyFile::rpc_domain)) +
                         "'"};
    TRY(Certificates renewed, renewed_certificates(keys, domain, std::move(attestation), now));
    std::vector<std::string> changed;
    const auto store = [&](KeyFile file, const std::string& before,
                           const std::string& after) -> Result<void> {
        if (before == after) return {};
        TRY_VOID(directory.replace_certificate(file, after));
        changed.emplace_back(file_name(file));
        return {};
    };
    TRY_VOID(store(KeyFile::temp_ca_certificate, keys.certificates.temp_ca, renewed.temp_ca));
    TRY_VOID(store(KeyFile::root_ca_certificate, keys.certificates.root_ca, renewed.root_ca));
    TRY_VOID(store(KeyFile::rpc_certificate, keys.certificates.rpc, renewed.rpc));
    keys.certificates = std::move(renewed);
    keys.rpc_certificate_problem.reset();
    return changed;
}

}  // namespace kms::keys
