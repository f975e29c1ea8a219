/// Is this quote genuine, and in which state is the platform that made it? Pure: everything comes
/// in as a value, `now` included. The first rule that fails ends the verification. Source: spec
/// "attestation" section 3.
///
/// Three levels of work, each optional, with the same verdict for the same inputs and the same
/// `now`:
///   cold        verify_quote(quote, collateral, anchor, now)
///   collateral  VerifiedCollateral::create() once, then verify_quote(quote, verified, now): the
///   collateral's signatures
///               are not computed again
///   platform    the same with a PlatformCache: the PCK chain and the report of the quoting enclave
///   are not either, when
///               exactly these bytes were found good before
/// Only what was found good is kept; what depends on time is compared with `now` at each use.
#pragma once

#include "kms/evidence/quote.hpp"
#include "kms/evidence/sgx_extension.hpp"
#include "kms/verify/collateral.hpp"
#include "kms/verify/tcb_status.hpp"
#include "kms/verify/trust_anchor.hpp"
#include "kms/verify/unix_time.hpp"
#include "kms/verify/verdict.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace kms {

struct VerifyOptions {
    bool allow_debug =
        false;  ///< the debug bit of an enclave or trust domain is no reason to refuse
    bool allow_service_td = false;  ///< nor is a service TD
    /// The PCK chain (PEM) of a platform that its quote only names; wins over all others. Borrowed.
    std::optional<std::string_view> pck_chain{};
};

/// What a genuine quote says of its platform.
struct QuoteReport {
    TcbState tcb;       ///< platform and quoting enclave merged: what policy looks at
    TcbState platform;  ///< with the TDX module's state merged in
    TcbState qe;
    Bytes ppid;
    Fmspc fmspc{};
};

/// Collateral whose signatures, chains and dates were found good under one anchor. Immutable; cheap
/// to copy; usable from any thread.
class VerifiedCollateral {
  public:
    /// Refusals: stages root_crl and tcb_info to qe_identity_signature.
    static Verdict<VerifiedCollateral> create(Collateral collateral, const TrustAnchor& anchor,
                                              UnixSeconds now);

    const Collateral& collateral() const;
    const TrustAnchor& anchor() const;
    /// The first second at which some part of it is no longer valid: refresh well before.
    UnixSeconds valid_until() const;
    /// The first second at which all of it is valid.
    UnixSeconds valid_from() const;
    /// Of the TCB info; upper-case hex as in the collateral's file.
    std::string_view fmspc_hex() const;

    struct Parts;
    const Parts& parts() const { return *parts_; }

  private:
    explicit VerifiedCollateral(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}
    std::shared_ptr<const Parts> parts_;
};

/// PCK chains and quoting-enclave reports that were found good, newest kept, bounded. One lock,
/// held for a look-up only; usable from any thread.
class PlatformCache {
  public:
    explicit PlatformCache(std::size_t capacity);
    ~PlatformCache();
    PlatformCache(const PlatformCache&) = delete;
    PlatformCache& operator=(const PlatformCache&) = delete;

    struct State;
    State& state() { return *state_; }

  private:
    std::unique_ptr<State> state_;
};

/// Nothing kept from before.
Verdict<QuoteReport> verify_quote(ByteView quote, const Collateral& collateral,
                                  const TrustAnchor& anchor, UnixSeconds now,
                                  const VerifyOptions& options = {});
/// With collateral that was verified before; `cache` may be null.
Verdict<QuoteReport> verify_quote(ByteView quote, const VerifiedCollateral& collateral,
                                  UnixSeconds now, PlatformCache* cache,
                                  const VerifyOptions& options = {});

/// The further rules of dstack for the body of a quote: no debugging, no service TD, no SEAM
/// signer. Source: section 3.14.
Verdict<void> check_dstack_policy(const Quote& quote);

}  // namespace kms
