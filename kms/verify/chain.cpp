#include "kms/verify/chain.hpp"

#include "kms/verify/rules.hpp"

#include <algorithm>

namespace kms {
namespace {

using x509::Certificate;
using x509::RevocationList;

constexpr std::size_t kMostIssuers = 6;
constexpr std::size_t kMostSignatures = 32;
constexpr std::size_t kMostSteps = 256;
constexpr std::string_view kUnknownIssuer = "UnknownIssuer";
constexpr std::string_view kNameConstraints = "NameConstraintViolation";

using Step = ChainResult<void>;

tl::unexpected<std::string> refused(std::string_view why) {
    return tl::unexpected<std::string>(std::string(why));
}

bool equal(ByteView a, ByteView b) {
    return std::ranges::equal(a, b);
}

std::string unix_time(UnixSeconds time) {
    return "UnixTime(" + std::to_string(time) + ")";
}

/// A list's signature and date; `issuer` is the key that must have signed it.
Step check_list(const RevocationList& list, const x509::PublicKey& issuer,
                const ChainContext& context) {
    if (applies(Rule::crl_signature) && !context.signatures.is_signed_by(issuer, list.signed_data))
        return refused("InvalidCrlSignatureForPublicKey");
    if (applies(Rule::crl_fresh) && context.now >= list.next_update)
        return refused("CrlExpired { time: " + unix_time(context.now) +
                       ", next_update: " + unix_time(list.next_update) + " }");
    return {};
}

/// Looks for a path by depth first, the anchor before the pool, and checks it from the anchor down.
class PathSearch {
  public:
    PathSearch(const x509::PemChain& chain, const ChainContext& context)
        : chain_(chain), context_(context) {}

    ChainResult<ChainFacts> run() {
        auto end_entity = x509::parse_certificate(chain_[0]);
        if (!end_entity) return refused(end_entity.error().context);
        path_.reserve(kMostIssuers + 1);  // extend() holds references into it
        path_.push_back(*end_entity);
        if (auto found = extend(); !found) return tl::unexpected(std::move(found.error()));
        ChainFacts facts{.end_entity = path_[0], .valid = {}};
        for (std::size_t i = 0; i < path_.size(); ++i) {
            facts.valid.narrow_from(path_[i].not_before);
            facts.valid.narrow_until(path_[i].not_after + 1);
            if (const RevocationList* list = list_for(path_[i]))
                facts.valid.narrow_until(list->next_update);
        }
        return facts;
    }

  private:
    /// Finds an issuer for the last certificate of the path. On success the path is whole and good;
    /// otherwise it is as it was.
    Step extend() {
        if (++steps_ > kMostSteps) return refused("MaximumPathBuildCallsExceeded");
        if (auto own = check_alone(path_.back()); !own) return own;
        std::string reason(kUnknownIssuer);
        const auto note = [&reason](Step&& step) {
            if (reason == kUnknownIssuer) reason = std::move(step.error());
        };
        if (equal(path_.back().issuer, context_.anchor.subject)) {
            auto whole = check_path();
            if (whole) return whole;
            note(std::move(whole));
        }
        for (std::size_t i = 1; i < chain_.size() && !is_exhausted(); ++i) {
            const auto issuer = x509::parse_certificate(chain_[i]);
            if (!issuer || !equal(path_.back().issuer, issuer->subject) || is_in_path(*issuer))
                continue;
            if (path_.size() > kMostIssuers) {
                note(refused("MaximumPathDepthExceeded"));
                break;
            }
            path_.push_back(*issuer);
            auto further = extend();
            if (further) return further;
            path_.pop_back();
            note(std::move(further));
        }
        return refused(reason);
    }

    bool is_exhausted() const { return steps_ > kMostSteps || signatures_ > kMostSignatures; }

    bool is_in_path(const Certificate& certificate) const {
        return std::ranges::any_of(path_, [&](const Certificate& other) {
            return equal(other.subject, certificate.subject) &&
                   equal(other.key.spki, certificate.key.spki);
        });
    }

    /// The rules that need no issuer; of the path's last certificate.
    Step check_alone(const Certificate& certificate) const {
        const UnixSeconds now = context_.now;
        if (applies(Rule::certificate_not_before) && now < certificate.not_before)
            return refused("CertNotValidYet { time: " + unix_time(now) +
                           ", not_before: " + unix_time(certificate.not_before) + " }");
        if (applies(Rule::certificate_not_after) && now > certificate.not_after)
            return refused("CertExpired { time: " + unix_time(now) +
                           ", not_after: " + unix_time(certificate.not_after) + " }");
        const std::size_t issuers_below = path_.size() - 1;
        if (issuers_below == 0) {
            if (applies(Rule::end_entity_is_no_ca) && certificate.is_ca)
                return refused("CaUsedAsEndEntity");
        } else {
            if (applies(Rule::issuer_is_ca) && !certificate.is_ca)
                return refused("EndEntityUsedAsCa");
            if (applies(Rule::path_length) && certificate.path_length &&
                *certificate.path_length < issuers_below - 1)
                return refused("PathLenConstraintViolated");
        }
        if (applies(Rule::extended_key_usage) && certificate.extended_key_usage &&
            !x509::allows_server_auth(*certificate.extended_key_usage))
            return refused("RequiredEkuNotFound");
        // No certificate of this kind has any; comparing names is not worth its own mistakes.
        if (certificate.has_name_constraints) return refused(kNameConstraints);
        return {};
    }

    /// Signatures and revocation of the whole path, from the anchor down.
    Step check_path() {
        const Certificate* issuer = &context_.anchor;
        for (std::size_t i = path_.size(); i-- > 0; issuer = &path_[i]) {
            const Certificate& certificate = path_[i];
            if (++signatures_ > kMostSignatures) return refused("MaximumSignatureChecksExceeded");
            if (applies(Rule::certificate_signature) &&
                !context_.signatures.is_signed_by(issuer->key, certificate.signed_data))
                return refused("InvalidSignatureForPublicKey");
            if (auto revocation = check_revocation(certificate, *issuer); !revocation)
                return revocation;
        }
        return {};
    }

    const RevocationList* list_for(const Certificate& certificate) const {
        const auto covers = [&](const RevocationList& list) {
            if (!equal(list.issuer, certificate.issuer)) return false;
            return certificate.is_ca ? !list.only_user_certificates : !list.only_ca_certificates;
        };
        const auto found = std::ranges::find_if(context_.lists, covers);
        return found == context_.lists.end() ? nullptr : &*found;
    }

    Step check_revocation(const Certificate& certificate, const Certificate& issuer) const {
        const RevocationList* list = list_for(certificate);
        if (list == nullptr) {
            if (!applies(Rule::revocation_known)) return {};
            return refused("UnknownRevocationStatus");
        }
        if (auto good = check_list(*list, issuer.key, context_); !good) return good;
        const bool is_anchor = &issuer == &context_.anchor;
        if (applies(Rule::crl_sign_usage) && !is_anchor && issuer.key_usage &&
            (*issuer.key_usage & x509::kUsageCrlSign) == 0)
            return refused("IssuerNotCrlSigner");
        if (applies(Rule::certificate_not_revoked) && list->lists(certificate.serial))
            return refused("CertRevoked");
        return {};
    }

    const x509::PemChain& chain_;
    const ChainContext& context_;
    std::vector<Certificate> path_;
    std::size_t steps_ = 0;
    std::size_t signatures_ = 0;
};

}  // namespace

ChainResult<ValidSpan> check_anchor(const ChainContext& context) {
    const auto found = std::ranges::find_if(context.lists, [&](const RevocationList& list) {
        return equal(list.issuer, context.anchor.issuer);
    });
    ValidSpan valid;
    if (found == context.lists.end()) {
        if (!applies(Rule::crl_issuer_known)) return valid;
        return refused("UnknownRevocationStatus");
    }
    if (applies(Rule::root_crl_signature) &&
        !context.signatures.is_signed_by(context.anchor.key, found->signed_data))
        return refused("InvalidCrlSignatureForPublicKey");
    if (applies(Rule::root_crl_fresh) && context.now >= found->next_update)
        return refused("CrlExpired { time: " + unix_time(context.now) +
                       ", next_update: " + unix_time(found->next_update) + " }");
    if (applies(Rule::root_not_revoked) && found->lists(context.anchor.serial))
        return refused("CertRevoked");
    valid.narrow_until(found->next_update);
    return valid;
}

ChainResult<ChainFacts> check_chain(const x509::PemChain& chain, const ChainContext& context) {
    return PathSearch(chain, context).run();
}

}  // namespace kms
