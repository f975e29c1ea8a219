#include "kms/attest/collateral_query.hpp"

#include "kms/verify/x509.hpp"

namespace kms {
namespace {

Error unsupported(std::string_view what) {
    return {ErrorCode::invalid_argument, std::string(what)};
}

}  // namespace

Result<std::optional<PckRequest>> pck_request(ByteView bytes) {
    TRY(const Quote quote, parse_quote(bytes).within("Failed to decode quote"));
    const CertificationData& certification = quote.certification;
    if (certification.type == kPckChainPem) return std::optional<PckRequest>();
    const std::size_t ppid_size = certification.type == kEncryptedPpid2048   ? 256
                                  : certification.type == kEncryptedPpid3072 ? 384
                                                                             : 0;
    if (ppid_size == 0)
        return unsupported("Unsupported DCAP PCK cert format: " +
                           std::to_string(certification.type));
    runtime::Reader reader(certification.data);
    PckRequest request;
    const auto take = [&reader](Bytes& member, std::size_t size) -> Result<void> {
        TRY(const ByteView view, reader.take(size));
        member.assign(view.begin(), view.end());
        return {};
    };
    TRY_VOID(take(request.encrypted_ppid, ppid_size));
    TRY_VOID(take(request.cpu_svn, 16));
    TRY_VOID(take(request.pce_svn, 2));
    TRY_VOID(take(request.pce_id, 2));
    const auto& user_data = quote.header.user_data;
    request.qe_id.assign(user_data.begin(), user_data.begin() + 16);
    return std::optional<PckRequest>(std::move(request));
}

Result<CollateralQuery> collateral_query(ByteView bytes, const std::string* fetched) {
    TRY(const Quote quote, parse_quote(bytes).within("Failed to decode quote"));
    if (fetched == nullptr && quote.certification.type != kPckChainPem)
        return unsupported("Unsupported DCAP PCK cert format: " +
                           std::to_string(quote.certification.type));
    TRY(const auto chain,
        x509::PemChain::parse(fetched != nullptr ? std::string_view(*fetched)
                                                 : runtime::as_text(quote.certification.data)));
    if (chain.size() == 0) return unsupported("Certificate chain is too short in quote");
    TRY(const auto pck,
        x509::parse_certificate(chain[0]).within("Failed to parse the PCK certificate"));
    if (!pck.sgx_extension) return unsupported("Intel extension is missing");
    TRY(const SgxExtension platform, parse_sgx_extension(*pck.sgx_extension));
    const std::string issuer = x509::name_text(pck.issuer);
    CollateralQuery query;
    query.tee = quote.header.tee_type == static_cast<std::uint32_t>(TeeType::sgx) ? TeeType::sgx
                                                                                  : TeeType::tdx;
    query.fmspc = platform.fmspc;
    query.processor_ca = issuer.find("Processor") != std::string::npos ||
                         issuer.find("Platform") == std::string::npos;
    return query;
}

std::string collateral_base_url(std::string_view url) {
    const auto strip = [&url](std::string_view end) {
        while (url.ends_with(end)) url.remove_suffix(end.size());
    };
    strip("/");
    strip("/sgx/certification/v4");
    strip("/tdx/certification/v4");
    return std::string(url);
}

}  // namespace kms
