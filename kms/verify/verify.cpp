#include "kms/verify/verify.hpp"

#include "kms/verify/body_policy.hpp"
#include "kms/verify/checked_collateral.hpp"
#include "kms/verify/ecdsa.hpp"
#include "kms/verify/platform_cache.hpp"
#include "kms/verify/rules.hpp"
#include "kms/verify/tcb_match.hpp"

#include <algorithm>

namespace kms {
namespace {

constexpr std::uint8_t kIntelVendorId[] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                           0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
constexpr std::uint16_t kEcdsaP256 = 2;
constexpr std::size_t kQeAuthenticationSize = 32;

tl::unexpected<Refusal> refused(Stage stage, std::string reason) {
    return tl::unexpected(Refusal{stage, std::move(reason)});
}

Verdict<Quote> parse_and_check_header(ByteView bytes) {
    auto quote = parse_quote(bytes);
    if (!quote) return refused(Stage::quote, "Failed to decode quote: " + quote.error().context);
    const QuoteHeader& header = quote->header;
    constexpr Stage kStage = Stage::header;
    if (applies(Rule::vendor_id) && !std::ranges::equal(header.qe_vendor_id, kIntelVendorId))
        return refused(kStage, "Unknown QE vendor ID");
    const bool is_sgx = header.tee_type == static_cast<std::uint32_t>(TeeType::sgx);
    const bool is_tdx = header.tee_type == static_cast<std::uint32_t>(TeeType::tdx);
    if (applies(Rule::tee_type) && !is_sgx && !is_tdx)
        return refused(kStage, "Unsupported TEE type: " + std::to_string(header.tee_type));
    if (applies(Rule::sgx_version) && is_sgx && header.version != 3)
        return refused(kStage, "SGX TEE quote must have version 3");
    // The parser knows no other version for a trust domain; this is the rule as it is written.
    if (is_tdx && header.version != 4 && header.version != 5)
        return refused(kStage, "TDX TEE quote must have version 4 or 5");
    if (applies(Rule::attestation_key_type) && header.attestation_key_type != kEcdsaP256)
        return refused(kStage, "Unsupported DCAP attestation key type");
    return *quote;
}

Verdict<void> check_identity_kind(const Quote& quote, const QeIdentity& identity) {
    if (!applies(Rule::qe_identity_kind)) return {};
    const bool is_tdx = quote.header.tee_type == static_cast<std::uint32_t>(TeeType::tdx);
    const bool fits =
        is_tdx ? identity.id == "TD_QE" && (identity.version == 2 || identity.version == 3)
               : identity.id == "QE" && identity.version == 2;
    if (fits) return {};
    return refused(Stage::qe_identity_kind,
                   "Unsupported QE Identity id/version for the quote TEE type: " +
                       std::string(identity.id) + " version " + std::to_string(identity.version) +
                       " (expected " + (is_tdx ? "TD_QE version [2, 3])" : "QE version [2])"));
}

/// The PEM text of the PCK chain: the one that was given, the collateral's, or else the quote's
/// own.
Verdict<std::string_view> pck_chain_text(const Quote& quote, const Collateral& collateral,
                                         const VerifyOptions& options) {
    if (options.pck_chain) return *options.pck_chain;
    if (collateral.pck_certificate_chain)
        return std::string_view(*collateral.pck_certificate_chain);
    if (applies(Rule::pck_format) && quote.certification.type != kPckChainPem)
        return refused(
            Stage::pck_chain,
            "Unsupported DCAP PCK cert format: " + std::to_string(quote.certification.type) +
                ". The collateral must hold the PCK certificate chain.");
    return runtime::as_text(quote.certification.data);
}

Verdict<PckFacts> check_pck_chain(std::string_view pem, const CollateralCheck& collateral,
                                  UnixSeconds now) {
    const auto chain = x509::PemChain::parse(pem);
    if (!chain) return refused(Stage::pck_chain, chain.error().context);
    if (chain->size() == 0)
        return refused(Stage::pck_chain, "Certificate chain is too short in quote");
    SignatureChecker signatures(&collateral.signatures().good());
    const auto facts = check_chain(
        *chain, {collateral.anchor().certificate(), collateral.lists(), now, signatures});
    if (!facts)
        return refused(Stage::pck_chain, "Failed to verify certificate chain: " + facts.error());
    constexpr Stage kStage = Stage::pck_extension;
    const x509::Certificate& pck = facts->end_entity;
    if (!pck.sgx_extension) return refused(kStage, "Intel extension is missing");
    if (pck.repeats_sgx_extension) return refused(kStage, "Intel extension occurs more than once");
    auto extension = parse_sgx_extension(*pck.sgx_extension);
    if (!extension) return refused(kStage, extension.error().context);
    if (!pck.key.p256)
        return refused(Stage::qe_report, "Signature is invalid for qe_report in quote");
    PckFacts found{.key = {}, .extension = std::move(*extension), .valid = facts->valid};
    std::ranges::copy(*pck.key.p256, found.key.begin());
    return found;
}

void append(std::string& key, ByteView bytes) {
    key.append(runtime::as_text(bytes));
}

/// Through the cache, when there is one: everything that the answer depends on is in the key,
/// except the time.
Verdict<std::shared_ptr<const PckFacts>> find_pck_facts(std::string_view pem,
                                                        const CollateralCheck& collateral,
                                                        const crypto::Hash* lists_fingerprint,
                                                        UnixSeconds now, PlatformCache* cache) {
    std::string key;
    if (cache != nullptr && lists_fingerprint != nullptr) {
        key.reserve(lists_fingerprint->size() + pem.size());
        append(key, *lists_fingerprint);
        key.append(pem);
        if (auto known = cache->state().chains.find(key);
            known != nullptr && known->valid.holds(now))
            return known;
    }
    auto facts = check_pck_chain(pem, collateral, now);
    if (!facts) return tl::unexpected(std::move(facts.error()));
    auto shared = std::make_shared<const PckFacts>(std::move(*facts));
    if (!key.empty()) cache->state().chains.insert(key, shared);
    return shared;
}

Verdict<void> check_qe_signature(const Quote& quote, const PckFacts& pck, PlatformCache* cache) {
    if (!applies(Rule::qe_report_signature)) return {};
    std::string key;
    if (cache != nullptr) {
        key.reserve(pck.key.size() + EnclaveReport::kSize + 64);
        append(key, pck.key);
        append(key, quote.qe_report.bytes());
        append(key, quote.qe_report_signature);
        if (cache->state().qe_reports.find(key) != nullptr) return {};
    }
    const auto signature = raw_signature(quote.qe_report_signature);
    if (!signature ||
        !is_signed_p256(pck.key, crypto::sha256({quote.qe_report.bytes()}), *signature))
        return refused(Stage::qe_report, "Signature is invalid for qe_report in quote");
    if (cache != nullptr)
        cache->state().qe_reports.insert(key, std::make_shared<const GoodQeReport>());
    return {};
}

Verdict<void> check_qe_report(const Quote& quote, const PckFacts& pck, PlatformCache* cache) {
    if (auto good = check_qe_signature(quote, pck, cache); !good) return good;
    if (applies(Rule::qe_authentication_length) &&
        quote.qe_authentication_data.size() != kQeAuthenticationSize)
        return refused(Stage::qe_report, "Invalid QE auth data length");
    const crypto::Hash bound =
        crypto::sha256({quote.attestation_key, quote.qe_authentication_data});
    if (applies(Rule::qe_report_hash) &&
        !std::ranges::equal(bound, quote.qe_report.report_data().first<32>()))
        return refused(Stage::qe_report, "QE report hash mismatch");
    return {};
}

Verdict<void> check_quote_signature(const Quote& quote) {
    if (!applies(Rule::quote_signature)) return {};
    const auto signature = raw_signature(quote.signature);
    if (!signature ||
        !is_signed_p256(quote.attestation_key, crypto::sha256({quote.signed_bytes}), *signature))
        return refused(Stage::isv_signature, "ISV enclave report signature is invalid");
    return {};
}

/// Everything after the collateral (sections 3.6.4 to 3.14).
Verdict<QuoteReport> check_quote(const Quote& quote, const Collateral& collateral,
                                 const CollateralCheck& checked,
                                 const crypto::Hash* lists_fingerprint, UnixSeconds now,
                                 PlatformCache* cache, const VerifyOptions& options) {
    if (auto kind = check_identity_kind(quote, checked.qe_identity()); !kind)
        return tl::unexpected(std::move(kind.error()));
    const auto pem = pck_chain_text(quote, collateral, options);
    if (!pem) return tl::unexpected(pem.error());
    const auto pck = find_pck_facts(*pem, checked, lists_fingerprint, now, cache);
    if (!pck) return tl::unexpected(pck.error());
    if (auto good = check_qe_report(quote, **pck, cache); !good)
        return tl::unexpected(std::move(good.error()));
    auto qe = match_qe(quote.qe_report, checked.qe_identity());
    if (!qe) return tl::unexpected(std::move(qe.error()));
    if (auto good = check_quote_signature(quote); !good)
        return tl::unexpected(std::move(good.error()));
    auto platform = match_platform(quote, (*pck)->extension, checked.tcb_info());
    if (!platform) return tl::unexpected(std::move(platform.error()));

    QuoteReport report;
    report.tcb = merged(*platform, *qe);
    report.platform = std::move(*platform);
    report.qe = std::move(*qe);
    report.ppid = (*pck)->extension.ppid;
    report.fmspc = (*pck)->extension.fmspc;
    if (applies(Rule::revoked_status) && report.tcb.status == TcbStatus::revoked)
        return refused(Stage::merge, "TCB status is invalid: Revoked");
    if (auto good = check_attributes(quote, options); !good)
        return tl::unexpected(std::move(good.error()));
    return report;
}

}  // namespace

Verdict<QuoteReport> verify_quote(ByteView quote_bytes, const Collateral& collateral,
                                  const TrustAnchor& anchor, UnixSeconds now,
                                  const VerifyOptions& options) {
    CollateralCheck checked(collateral, anchor, now);
    if (auto lists = checked.check_lists(); !lists) return tl::unexpected(std::move(lists.error()));
    const auto quote = parse_and_check_header(quote_bytes);
    if (!quote) return tl::unexpected(quote.error());
    if (auto good = checked.check_statements(); !good)
        return tl::unexpected(std::move(good.error()));
    return check_quote(*quote, collateral, checked, nullptr, now, nullptr, options);
}

Verdict<QuoteReport> verify_quote(ByteView quote_bytes, const VerifiedCollateral& collateral,
                                  UnixSeconds now, PlatformCache* cache,
                                  const VerifyOptions& options) {
    const VerifiedCollateral::Parts& parts = collateral.parts();
    // At another time than it was verified at, something may not hold; the long way finds out what.
    if (!parts.check.valid().holds(now))
        return verify_quote(quote_bytes, parts.collateral, parts.anchor, now, options);
    const auto quote = parse_and_check_header(quote_bytes);
    if (!quote) return tl::unexpected(quote.error());
    return check_quote(*quote, parts.collateral, parts.check, &parts.lists_fingerprint, now, cache,
                       options);
}

Verdict<VerifiedCollateral> VerifiedCollateral::create(Collateral collateral,
                                                       const TrustAnchor& anchor, UnixSeconds now) {
    auto parts = std::make_shared<Parts>(std::move(collateral), anchor, now);
    if (auto lists = parts->check.check_lists(); !lists)
        return tl::unexpected(std::move(lists.error()));
    if (auto good = parts->check.check_statements(); !good)
        return tl::unexpected(std::move(good.error()));
    parts->check.learn_pck_issuer();
    const crypto::Hash root_list = crypto::sha256({parts->collateral.root_ca_crl});
    const crypto::Hash pck_list = crypto::sha256({parts->collateral.pck_crl});
    parts->lists_fingerprint =
        crypto::sha256({ByteView(anchor.fingerprint()), ByteView(root_list), ByteView(pck_list)});
    return VerifiedCollateral(std::move(parts));
}

const Collateral& VerifiedCollateral::collateral() const {
    return parts_->collateral;
}
const TrustAnchor& VerifiedCollateral::anchor() const {
    return parts_->anchor;
}
UnixSeconds VerifiedCollateral::valid_until() const {
    return parts_->check.valid().until;
}
UnixSeconds VerifiedCollateral::valid_from() const {
    return parts_->check.valid().from;
}
std::string_view VerifiedCollateral::fmspc_hex() const {
    return parts_->check.tcb_info().fmspc;
}

PlatformCache::PlatformCache(std::size_t capacity) : state_(std::make_unique<State>(capacity)) {}
PlatformCache::~PlatformCache() = default;

}  // namespace kms
