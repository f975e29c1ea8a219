/// The certificate that all trust in a quote comes from. Source: spec "attestation" section 3.1.
#pragma once

#include "kms/crypto/sha256.hpp"
#include "kms/evidence/report_body.hpp"

#include <memory>

namespace kms {

namespace x509 {
struct Certificate;
}

/// A self-issued certificate on P-256, parsed once. Cheap to copy; usable from any thread.
class TrustAnchor {
  public:
    /// Errors (invalid_argument): not exactly one certificate, not self-issued, or a key that is
    /// not on P-256.
    static Result<TrustAnchor> create(ByteView der);
    /// Intel SGX Root CA, compiled in.
    static const TrustAnchor& intel();

    const x509::Certificate& certificate() const;
    /// SHA-256 of the certificate: what caches are keyed by.
    const crypto::Hash& fingerprint() const;

  private:
    struct Parsed;
    explicit TrustAnchor(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
    std::shared_ptr<const Parsed> parsed_;
};

}  // namespace kms
