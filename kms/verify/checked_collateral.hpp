/// Collateral in the middle of being verified, and what is left of it afterwards. Source: spec
/// "attestation" sections 3.2, 3.5 and 3.6.
#pragma once

#include "kms/verify/chain.hpp"
#include "kms/verify/collateral.hpp"
#include "kms/verify/tcb_info.hpp"
#include "kms/verify/trust_anchor.hpp"
#include "kms/verify/verify.hpp"

#include <array>
#include <optional>

namespace kms {

/// Verifies one collateral in the prescribed order. Borrows the collateral and the anchor; what it
/// hands out borrows the collateral and this object.
class CollateralCheck {
  public:
    CollateralCheck(const Collateral& collateral, const TrustAnchor& anchor, UnixSeconds now)
        : collateral_(collateral), anchor_(anchor), now_(now), signatures_(nullptr) {}
    CollateralCheck(const CollateralCheck&) = delete;
    CollateralCheck& operator=(const CollateralCheck&) = delete;

    /// Stage root_crl.
    Verdict<void> check_lists();
    /// Stages tcb_info to qe_identity_signature; after check_lists().
    Verdict<void> check_statements();
    /// What the issuer chain of the PCK list tells ahead of the first quote: signatures that every
    /// PCK chain will need. A chain that is no good is no reason to refuse.
    void learn_pck_issuer();

    const std::array<x509::RevocationList, 2>& lists() const { return lists_; }
    const TcbInfo& tcb_info() const { return tcb_info_; }
    const QeIdentity& qe_identity() const { return qe_identity_; }
    const ValidSpan& valid() const { return valid_; }
    const TrustAnchor& anchor() const { return anchor_; }
    SignatureChecker& signatures() { return signatures_; }
    const SignatureChecker& signatures() const { return signatures_; }

  private:
    ChainContext context() { return {anchor_.certificate(), lists_, now_, signatures_}; }
    Verdict<void> check_tcb_info();
    Verdict<void> check_qe_identity();
    struct DateRules;
    Verdict<void> check_dates(const StatementDates& dates, const DateRules& rules);
    /// The chain of a statement's signer; the second statement usually names the same one.
    Verdict<x509::PublicKey> signer_of(Stage stage, std::string_view pem, x509::PemChain& chain);

    const Collateral& collateral_;
    const TrustAnchor& anchor_;
    UnixSeconds now_;
    SignatureChecker signatures_;
    std::array<x509::RevocationList, 2> lists_;
    x509::PemChain tcb_info_chain_;
    x509::PemChain qe_identity_chain_;
    x509::PemChain pck_issuer_chain_;
    std::optional<x509::PublicKey> tcb_info_signer_;
    TcbInfo tcb_info_;
    QeIdentity qe_identity_;
    ValidSpan valid_;
};

/// Collateral that was verified, owned: what VerifiedCollateral points to.
struct VerifiedCollateral::Parts {
    Parts(Collateral c, const TrustAnchor& a, UnixSeconds now)
        : collateral(std::move(c)), anchor(a), check(collateral, anchor, now) {}

    const Collateral collateral;
    const TrustAnchor anchor;
    CollateralCheck check;  // borrows the two above
    /// SHA-256 of the anchor and both lists: what a good PCK chain depends on besides its own
    /// bytes.
    crypto::Hash lists_fingerprint{};
};

}  // namespace kms
