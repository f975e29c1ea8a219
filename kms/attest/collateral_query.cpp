#include "kms/attest/collateral_query.hpp"

#include "kms/verify/x509.hpp"

namespace kms {
namespace {

Error unsupported(std::string_view what) {
    return {ErrorCode::invalid_argument, std::string(what)};
}

}  // namespace

Result<CollateralQuery> collateral_query(ByteView bytes) {
    TRY(const Quote quote, parse_quote(bytes).within("Failed to decode quote"));
    if (quote.certification.type != kPckChainPem)
        return unsupported("Unsupported DCAP PCK cert format: " +
                           std::to_string(quote.certification.type));
    TRY(const auto chain, x509::PemChain::parse(runtime::as_text(quote.certification.data)));
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
