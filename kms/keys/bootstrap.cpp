#include "kms/keys/bootstrap.hpp"

#include "kms/keys/profiles.hpp"

#include <algorithm>
#include <utility>

namespace kms::keys {
namespace {

constexpr std::size_t kMaxDomainSize = 253;

Result<OpenedKeys> loaded(const KeyDirectory& directory, KeyOrigin origin) {
    TRY(KeySet keys, directory.load());
    return OpenedKeys{std::move(keys), origin};
}

}  // namespace

/// Wide enough for every name that existing installations use, also IP literals and names with an
/// underscore; narrow enough that it survives being a line of text.
Result<void> check_domain(std::string_view domain) {
    const bool printable = std::ranges::all_of(domain, [](char c) { return c > ' ' && c < 0x7f; });
    if (domain.empty() || domain.size() > kMaxDomainSize || !printable)
        return Error{ErrorCode::invalid_argument,
                     "not a domain for the KMS's certificate: 1 to 253 printable ASCII characters "
                     "without spaces are "
                     "needed, such as kms.example.com"};
    return {};
}

Result<NewKeys> NewKeys::generate() {
    TRY(RootKeys root, RootKeys::generate());
    TRY(crypto::P256Key temp_ca_key, crypto::P256Key::generate());
    TRY(crypto::P256Key rpc_key, crypto::P256Key::generate());
    return NewKeys{std::move(root), std::move(temp_ca_key), std::move(rpc_key)};
}

Result<KeySet> make_key_set(NewKeys keys, const std::string& domain,
                            crypto::AttestationExtension attestation, WallTime now) {
    TRY_VOID(check_domain(domain));
    Certificates certificates;
    TRY(certificates.temp_ca, temp_ca_certificate(keys.temp_ca_key, now));
    TRY(certificates.root_ca, keys.root.certify(root_ca_profile(keys.root.ca_public_key()), now));
    TRY(certificates.rpc,
        keys.root.certify(rpc_profile(keys.rpc_key.public_point(), domain, std::move(attestation)),
                          now));
    SecretBytes temp_ca_key_text = keys.temp_ca_key.pkcs8_pem();
    return KeySet{
        .root = std::move(keys.root),
        .temp_ca_key = std::move(keys.temp_ca_key),
        .rpc_key = std::move(keys.rpc_key),
        .temp_ca_key_text = std::move(temp_ca_key_text),
        .certificates = std::move(certificates),
        .domain = domain,
        .rpc_certificate_problem = {},
    };
}

Result<OpenedKeys> open_keys(KeyDirectory& directory, const std::string& auto_bootstrap_domain,
                             WallTime now) {
    TRY(const DirectoryReport report, directory.inspect());
    switch (report.state) {
        case DirectoryState::partial:
            return Error{ErrorCode::invalid_argument, report.problem};
        case DirectoryState::complete:
            return loaded(directory, KeyOrigin::loaded);
        case DirectoryState::interrupted: {
            TRY_VOID(directory.finish());
            return loaded(directory, KeyOrigin::finished);
        }
        case DirectoryState::empty:
            break;
    }
    if (auto_bootstrap_domain.empty())
        return Error{ErrorCode::not_found,
                     "there are no keys in '" + directory.path() +
                         "'; set core.onboard.auto_bootstrap_domain to have new ones made"};
    TRY(NewKeys keys, NewKeys::generate());
    TRY(const KeySet made, make_key_set(std::move(keys), auto_bootstrap_domain, {}, now));
    TRY_VOID(directory.store(to_files(made, {})));
    // What is served is what was stored, so what is stored had better be readable.
    return loaded(directory, KeyOrigin::created);
}

}  // namespace kms::keys
