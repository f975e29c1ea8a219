#include "kms/verify/checked_collateral.hpp"

#include "kms/verify/ecdsa.hpp"
#include "kms/verify/rules.hpp"
#include "kms/verify/x509_time.hpp"

namespace kms {
namespace {

tl::unexpected<Refusal> refused(Stage stage, std::string reason) {
    return tl::unexpected(Refusal{stage, std::move(reason)});
}

bool is_signed_text(const x509::PublicKey& key, std::string_view text, ByteView signature_bytes) {
    const auto signature = raw_signature(signature_bytes);
    return key.p256 && signature &&
           is_signed_p256(*key.p256, crypto::sha256({runtime::as_bytes(text)}), *signature);
}

}  // namespace

Verdict<void> CollateralCheck::check_lists() {
    const ByteView sources[] = {collateral_.root_ca_crl, collateral_.pck_crl};
    constexpr std::string_view kNames[] = {"root CA CRL", "PCK CRL"};
    for (std::size_t i = 0; i < lists_.size(); ++i) {
        auto list = x509::parse_revocation_list(sources[i]);
        if (!list)
            return refused(Stage::root_crl, "Failed to parse CRL: " + std::string(kNames[i]) +
                                                ": " + list.error().context);
        lists_[i] = *list;
    }
    const auto anchor = check_anchor(context());
    if (!anchor) return refused(Stage::root_crl, anchor.error());
    valid_.narrow(*anchor);
    return {};
}

Verdict<void> CollateralCheck::check_statements() {
    if (auto good = check_tcb_info(); !good) return good;
    return check_qe_identity();
}

struct CollateralCheck::DateRules {
    Stage stage;
    std::string_view statement;         // as messages about the time name it
    std::string_view parsed_statement;  // as messages about the text do
    Rule issued;
    Rule fresh;
};

Verdict<void> CollateralCheck::check_dates(const StatementDates& dates, const DateRules& rules) {
    const auto issued = x509::parse_rfc3339(dates.issued_text);
    if (!issued)
        return refused(rules.stage,
                       "Failed to parse " + std::string(rules.parsed_statement) + " issue date");
    const auto next_update = x509::parse_rfc3339(dates.next_update_text);
    if (!next_update)
        return refused(rules.stage,
                       "Failed to parse " + std::string(rules.parsed_statement) + " next update");
    if (applies(rules.issued) && now_ < *issued)
        return refused(rules.stage, std::string(rules.statement) + " issue date is in the future");
    if (applies(rules.fresh) && now_ > *next_update)
        return refused(rules.stage, std::string(rules.statement) + " expired");
    valid_.narrow_from(*issued);
    valid_.narrow_until(*next_update + 1);
    return {};
}

Verdict<x509::PublicKey> CollateralCheck::signer_of(Stage stage, std::string_view pem,
                                                    x509::PemChain& chain) {
    auto parsed = x509::PemChain::parse(pem);
    if (!parsed) return refused(stage, parsed.error().context);
    chain = std::move(*parsed);
    if (chain.size() == 0)
        return refused(stage, "Certificate chain is too short in quote_collateral");
    const auto facts = check_chain(chain, context());
    if (!facts) return refused(stage, "Failed to verify certificate chain: " + facts.error());
    valid_.narrow(facts->valid);
    return facts->end_entity.key;
}

Verdict<void> CollateralCheck::check_tcb_info() {
    auto info = parse_tcb_info(collateral_.tcb_info);
    if (!info) return refused(Stage::tcb_info, "Failed to decode TcbInfo: " + info.error().context);
    tcb_info_ = std::move(*info);
    auto dates = check_dates(tcb_info_.dates, {.stage = Stage::tcb_info,
                                               .statement = "TCBInfo",
                                               .parsed_statement = "TCB Info",
                                               .issued = Rule::tcb_info_issued,
                                               .fresh = Rule::tcb_info_fresh});
    if (!dates) return dates;
    const auto signer =
        signer_of(Stage::tcb_info_chain, collateral_.tcb_info_issuer_chain, tcb_info_chain_);
    if (!signer) return tl::unexpected(signer.error());
    tcb_info_signer_ = *signer;
    if (applies(Rule::tcb_info_signature) &&
        !is_signed_text(*signer, collateral_.tcb_info, collateral_.tcb_info_signature))
        return refused(Stage::tcb_info_signature,
                       "Signature is invalid for tcb_info in quote_collateral");
    tcb_info_.sort_levels();
    return {};
}

Verdict<void> CollateralCheck::check_qe_identity() {
    auto identity = parse_qe_identity(collateral_.qe_identity);
    if (!identity)
        return refused(Stage::qe_identity,
                       "Failed to decode QeIdentity: " + identity.error().context);
    qe_identity_ = std::move(*identity);
    auto dates = check_dates(qe_identity_.dates, {.stage = Stage::qe_identity,
                                                  .statement = "QE Identity",
                                                  .parsed_statement = "QE Identity",
                                                  .issued = Rule::qe_identity_issued,
                                                  .fresh = Rule::qe_identity_fresh});
    if (!dates) return dates;
    x509::PublicKey key = *tcb_info_signer_;
    if (collateral_.qe_identity_issuer_chain != collateral_.tcb_info_issuer_chain) {
        const auto signer = signer_of(Stage::qe_identity_chain,
                                      collateral_.qe_identity_issuer_chain, qe_identity_chain_);
        if (!signer) return tl::unexpected(signer.error());
        key = *signer;
    }
    if (applies(Rule::qe_identity_signature) &&
        !is_signed_text(key, collateral_.qe_identity, collateral_.qe_identity_signature))
        return refused(Stage::qe_identity_signature,
                       "Signature is invalid for qe_identity in quote_collateral");
    return {};
}

void CollateralCheck::learn_pck_issuer() {
    auto parsed = x509::PemChain::parse(collateral_.pck_crl_issuer_chain);
    if (!parsed || parsed->size() == 0) return;
    pck_issuer_chain_ = std::move(*parsed);
    const auto issuer = x509::parse_certificate(pck_issuer_chain_[0]);
    if (!issuer) return;
    // Only the signatures are kept; whatever else a chain must fulfil is checked when one comes.
    if (!signatures_.is_signed_by(anchor_.certificate().key, issuer->signed_data)) return;
    for (const x509::RevocationList& list : lists_)
        if (std::ranges::equal(list.issuer, issuer->subject))
            (void)signatures_.is_signed_by(issuer->key, list.signed_data);
}

}  // namespace kms
