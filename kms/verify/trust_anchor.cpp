#include "kms/verify/trust_anchor.hpp"

#include "kms/verify/intel_root.hpp"
#include "kms/verify/x509.hpp"

#include <algorithm>
#include <stdexcept>

namespace kms {

struct TrustAnchor::Parsed {
    Bytes der;
    x509::Certificate certificate;  // borrows der
    crypto::Hash fingerprint{};
};

Result<TrustAnchor> TrustAnchor::create(ByteView der) {
    auto parsed = std::make_shared<Parsed>();
    parsed->der.assign(der.begin(), der.end());
    auto certificate = x509::parse_certificate(parsed->der);
    if (!certificate)
        return std::move(certificate.error()).within("the trust anchor is not a certificate");
    if (!std::ranges::equal(certificate->issuer, certificate->subject))
        return Error{
            ErrorCode::invalid_argument,
            "the trust anchor is not self-issued: " + x509::name_text(certificate->subject) +
                " was issued by " + x509::name_text(certificate->issuer)};
    if (!certificate->key.p256)
        return Error{ErrorCode::invalid_argument, "the trust anchor's key is not on P-256"};
    if (certificate->has_name_constraints)
        return Error{ErrorCode::invalid_argument,
                     "the trust anchor has name constraints, which are not supported"};
    parsed->certificate = *certificate;
    parsed->fingerprint = crypto::sha256({parsed->der});
    return TrustAnchor(std::move(parsed));
}

const TrustAnchor& TrustAnchor::intel() {
    static const TrustAnchor anchor = [] {
        auto created = create(kIntelSgxRootCa);
        if (!created)
            throw std::runtime_error("Intel's root certificate: " + created.error().context);
        return *created;
    }();
    return anchor;
}

const x509::Certificate& TrustAnchor::certificate() const {
    return parsed_->certificate;
}
const crypto::Hash& TrustAnchor::fingerprint() const {
    return parsed_->fingerprint;
}

}  // namespace kms
