#include "kms/attest/trust.hpp"

#include "kms/verify/x509.hpp"

namespace kms {
namespace {

constexpr std::size_t kLargestRoot = 64 * 1024;

Result<TrustAnchor> read_root(const std::string& path) {
    TRY(const std::string content, runtime::read_file(path, kLargestRoot));
    Bytes der(content.begin(), content.end());
    if (content.find("-----BEGIN ") != std::string::npos) {
        TRY(const auto chain, x509::PemChain::parse(content));
        if (chain.size() != 1)
            return Error{ErrorCode::invalid_argument, "exactly one certificate is expected, not " +
                                                          std::to_string(chain.size())};
        der.assign(chain[0].begin(), chain[0].end());
    }
    TRY(TrustAnchor anchor, TrustAnchor::create(der));
    if (!anchor.certificate().is_ca)
        return Error{ErrorCode::invalid_argument, "the certificate is not that of a CA"};
    return anchor;
}

}  // namespace

Result<TrustAnchor> trust_anchor(const AttestationConfig& config, ExternalAnchors external) {
    if (config.tdx_root.empty()) return TrustAnchor::intel();
    if (!config.external_anchors)
        return Error{ErrorCode::invalid_argument,
                     "core.attestation.root_ca.tdx is set, but another root than Intel's is only "
                     "used together with core.attestation.insecure_allow_external_trust_anchors = "
                     "true"};
    if (external == ExternalAnchors::refused)
        return Error{ErrorCode::invalid_argument,
                     "core.attestation.root_ca.tdx is set, but this build trusts Intel's root "
                     "only; the build for development (dstack-kms-dev) can be told another one"};
    const std::string what =
        "core.attestation.root_ca.tdx: '" + config.tdx_root + "' cannot be used";
    return read_root(config.tdx_root).within(what);
}

}  // namespace kms
