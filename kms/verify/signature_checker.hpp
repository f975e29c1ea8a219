/// Checks the signatures of certificates and revocation lists, and remembers those that were good,
/// so that none is computed twice: the list of the root, for one, is needed for every chain.
#pragma once

#include "kms/verify/x509.hpp"

#include <vector>

namespace kms {

/// Signatures that were found good: key, message and signature, borrowed.
class GoodSignatures {
  public:
    bool has(FixedView<64> key, const x509::SignedData& data) const;
    void add(FixedView<64> key, const x509::SignedData& data) { entries_.push_back({key, data}); }

  private:
    struct Entry {
        FixedView<64> key;
        x509::SignedData data;
    };
    std::vector<Entry> entries_;
};

class SignatureChecker {
  public:
    /// `before` may be null; what is good there is not computed again.
    explicit SignatureChecker(const GoodSignatures* before) : before_(before) {}

    /// Whether the key made this signature. ECDSA on P-256 and P-384 with SHA-256 and SHA-384;
    /// anything else is no.
    bool is_signed_by(const x509::PublicKey& key, const x509::SignedData& data);

    /// How many signatures were computed.
    std::size_t computed() const { return computed_; }
    const GoodSignatures& good() const { return good_; }

  private:
    const GoodSignatures* before_;
    GoodSignatures good_;
    std::size_t computed_ = 0;
};

}  // namespace kms
