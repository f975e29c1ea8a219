/// Chains of certificates up to the trust anchor, with revocation. Source: spec "attestation"
/// section 3.4: the rules of rustls-webpki, which the field's verifiers use.
#pragma once

#include "kms/verify/signature_checker.hpp"
#include "kms/verify/verdict.hpp"
#include "kms/verify/x509.hpp"

#include <array>
#include <limits>
#include <string>

namespace kms {

/// When something that was found good is good: [from, until).
struct ValidSpan {
    UnixSeconds from = std::numeric_limits<UnixSeconds>::min();
    UnixSeconds until = std::numeric_limits<UnixSeconds>::max();

    bool holds(UnixSeconds now) const { return from <= now && now < until; }
    void narrow_from(UnixSeconds time) { from = std::max(from, time); }
    void narrow_until(UnixSeconds time) { until = std::min(until, time); }
    void narrow(const ValidSpan& other) {
        narrow_from(other.from);
        narrow_until(other.until);
    }
};

/// What chains are checked against: one anchor, two revocation lists, one time.
struct ChainContext {
    const x509::Certificate& anchor;
    const std::array<x509::RevocationList, 2>& lists;
    UnixSeconds now;
    SignatureChecker& signatures;
};

/// A good chain.
struct ChainFacts {
    x509::Certificate end_entity;  ///< borrows the chain
    ValidSpan valid;               ///< of its certificates and the lists that cover them
};

template <class T>
using ChainResult = tl::expected<T, std::string>;  // the error names the rule, as webpki does

/// The revocation rules for the anchor itself (section 3.2). The first list of the anchor's name
/// must be there, signed by it, fresh, and not list it.
ChainResult<ValidSpan> check_anchor(const ChainContext& context);

/// The first certificate is the end entity; the others may be used as its issuers, in any order.
/// The work is bounded: at most 6 issuers, 32 signatures and 256 steps, since nothing vouches for
/// whoever sends a chain.
ChainResult<ChainFacts> check_chain(const x509::PemChain& chain, const ChainContext& context);

}  // namespace kms
