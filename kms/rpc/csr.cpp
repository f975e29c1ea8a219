#include "kms/rpc/csr.hpp"

#include "kms/crypto/der.hpp"
#include "kms/crypto/p256.hpp"
#include "kms/evidence/report_data.hpp"
#include "kms/evidence/scale.hpp"

#include <algorithm>
#include <optional>

namespace kms {
namespace {

using crypto::der::Peeler;
using runtime::Reader;
using tl::make_unexpected;

constexpr std::string_view kCannotVerify = "Failed to verify csr signature";
constexpr std::string_view kCannotUpgrade = "Failed to upgrade csr v1 to v2";

Error bad(std::string text) {
    return Error{ErrorCode::invalid_argument, std::move(text)};
}

Result<std::string> text(Reader& in) {
    TRY(const std::string_view borrowed, scale::text(in));
    return std::string(borrowed);
}

Result<bool> boolean(Reader& in) {
    TRY(const std::uint8_t byte, in.u8());
    if (byte > 1) return bad("a truth value that is neither 0 nor 1");
    return byte == 1;
}

Result<std::vector<std::string>> texts(Reader& in) {
    TRY(const std::size_t count, scale::count(in, 1));
    std::vector<std::string> list;
    list.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        TRY(std::string one, text(in));
        list.push_back(std::move(one));
    }
    return list;
}

Result<std::optional<crypto::sys_seconds>> optional_time(Reader& in) {
    TRY(const bool present, boolean(in));
    if (!present) return std::optional<crypto::sys_seconds>();
    TRY(const std::uint64_t seconds, in.u64_le());
    // Beyond the year 9999 either way; the issuer refuses such dates.
    constexpr std::uint64_t kLatest = 1ULL << 40;
    const auto bounded = static_cast<std::int64_t>(std::min(seconds, kLatest));
    return std::optional(crypto::sys_seconds(std::chrono::seconds(bounded)));
}

/// The members that all forms begin with.
Result<CertificateRequest> common_part(Reader& in) {
    CertificateRequest request;
    TRY(request.confirm, text(in).within("confirm"));
    TRY(const ByteView key, scale::bytes(in).within("pubkey"));
    request.public_key.assign(key.begin(), key.end());
    TRY(const bool has_organisation, boolean(in).within("org_name"));
    if (has_organisation) {
        TRY(request.certificate.subject.organisation, text(in).within("org_name"));
    }
    TRY(request.certificate.subject.common_name, text(in).within("subject"));
    TRY(request.certificate.alt_names, texts(in).within("subject_alt_names"));
    TRY(request.certificate.server_auth, boolean(in).within("usage_server_auth"));
    TRY(request.certificate.client_auth, boolean(in).within("usage_client_auth"));
    TRY(request.wants_attestation, boolean(in).within("ext_quote"));
    return request;
}

Result<CertificateRequest> decode_v2a(ByteView csr) {
    Reader in(csr);
    TRY(CertificateRequest request, common_part(in));
    TRY(request.attestation, decode_attestation_v0(in).within("attestation"));
    if (!in.at_end()) return bad("there is something behind the attestation");
    return request;
}

Result<CertificateRequest> decode_v2b(ByteView csr) {
    Reader in(csr);
    TRY(CertificateRequest request, common_part(in));
    TRY(request.wants_app_info, boolean(in).within("ext_app_info"));
    TRY(request.certificate.not_before, optional_time(in).within("not_before"));
    TRY(request.certificate.not_after, optional_time(in).within("not_after"));
    TRY(request.attestation, decode_attestation(in.rest()).within("attestation"));
    return request;
}

bool is_bound(const CertificateRequest& request) {
    return std::ranges::equal(request.attestation.report_data,
                              ratls_report_data(request.public_key));
}

/// Both layouts have the same version number. The evidence tells: it binds the key in one of them.
Result<CertificateRequest> decode_v2(ByteView csr) {
    Result<CertificateRequest> a = decode_v2a(csr);
    if (a && is_bound(*a)) return a;
    Result<CertificateRequest> b = decode_v2b(csr);
    if (b && is_bound(*b)) return b;
    if (a) return a;
    if (b) return b;
    return bad("it has neither layout of version 2: " + a.error().context + "; or " +
               b.error().context);
}

Result<DecodedCsr> decode_v1(ByteView csr) {
    Reader in(csr);
    DecodedCsr v1;
    TRY(v1.request, common_part(in));
    TRY(v1.quote, scale::bytes(in).within("quote"));
    TRY(v1.event_log, scale::bytes(in).within("event_log"));
    if (!in.at_end()) return bad("there is something behind the event log");
    return v1;
}

/// The point of a key whose algorithm is that of elliptic curves. Errors in the protocol's words.
tl::expected<crypto::P256Point, RpcError> signing_key(ByteView spki) {
    constexpr std::uint8_t kEcPublicKey[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
    const auto unreadable = [](std::string why) {
        return make_unexpected(RpcError("Failed to parse pubkey", {std::move(why)}));
    };
    Peeler outer(spki);
    const auto sequence = outer.take(crypto::der::kSequence);
    if (!sequence) return unreadable(sequence.error().context);
    Peeler parts(*sequence);
    const auto algorithm = parts.take(crypto::der::kSequence);
    if (!algorithm) return unreadable(algorithm.error().context);
    const auto bits = parts.take(crypto::der::kBitString);
    if (!bits) return unreadable(bits.error().context);
    Peeler identifiers(*algorithm);
    const auto oid = identifiers.take(crypto::der::kOid);
    if (!oid) return unreadable(oid.error().context);
    if (!std::ranges::equal(*oid, kEcPublicKey))
        return make_unexpected(RpcError("Unsupported algorithm"));
    crypto::P256Point point{};
    if (bits->size() != 1 + point.size() || bits->front() != 0)
        return make_unexpected(RpcError("Invalid signature"));
    std::ranges::copy(bits->subspan(1), point.begin());
    return point;
}

tl::expected<void, RpcError> verify(const CertificateRequest& request, ByteView csr,
                                    ByteView signature) {
    const auto key = signing_key(request.public_key);
    if (!key) return make_unexpected(RpcError(key.error()).within(std::string(kCannotVerify)));
    const bool good = crypto::verifies(*key, csr, signature);
    if (!good || request.confirm != kCsrConfirmation)
        return make_unexpected(RpcError(std::string(kCannotVerify),
                                        {good ? "Invalid confirm word" : "Invalid signature"}));
    return {};
}

}  // namespace

Result<DecodedCsr> decode_csr(CsrForm form, ByteView csr) {
    if (form == CsrForm::v1) return decode_v1(csr);
    TRY(CertificateRequest request, decode_v2(csr));
    return DecodedCsr{std::move(request), {}, {}};
}

tl::expected<CertificateRequest, RpcError> open_csr(CsrForm form, ByteView csr,
                                                    ByteView signature) {
    auto decoded = decode_csr(form, csr);
    if (!decoded)
        return make_unexpected(
            RpcError(std::string(kCannotParseCsr), {std::move(decoded.error().context)}));
    CertificateRequest& request = decoded->request;
    if (auto verified = verify(request, csr, signature); !verified)
        return make_unexpected(std::move(verified.error()));
    if (form == CsrForm::v2) return std::move(request);
    auto attestation =
        attestation_of_quote_and_log(decoded->quote, runtime::as_text(decoded->event_log));
    if (!attestation)
        return make_unexpected(rpc_error(attestation.error()).within(std::string(kCannotUpgrade)));
    request.attestation = std::move(*attestation);
    return std::move(request);
}

}  // namespace kms
