/// Whom quotes are trusted by, as the configuration says: Intel, unless a build for development is
/// told another root. Source: spec "attestation" sections 3.1 and 7.6.
#pragma once

#include "kms/config/kms_config.hpp"
#include "kms/verify/trust_anchor.hpp"

namespace kms {

enum class ExternalAnchors {
    refused,  ///< of every build that is installed
    allowed,  ///< of the build that runs with the simulator
};

/// Reads the configured root, PEM or DER. Errors (invalid_argument): a root without
/// insecure_allow_external_trust_anchors, a root in a build that refuses one, or a file that is not
/// exactly one CA certificate; (not_found, unavailable): the file.
Result<TrustAnchor> trust_anchor(const AttestationConfig& config, ExternalAnchors external);

}  // namespace kms
