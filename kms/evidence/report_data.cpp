#include "kms/evidence/report_data.hpp"

#include "launcher/runtime/keccak.hpp"
#include "launcher/runtime/openssl_ptr.hpp"

#include <algorithm>
#include <stdexcept>

namespace kms {
namespace {

ReportData digest_of(const char* algorithm, ByteView first, ByteView second) {
    ReportData out{};
    const runtime::Owned<EVP_MD, EVP_MD_free> fetched(EVP_MD_fetch(nullptr, algorithm, nullptr));
    const runtime::OwnedMdCtx context(EVP_MD_CTX_new());
    const bool good = fetched != nullptr && context != nullptr &&
                      EVP_DigestInit_ex2(context.get(), fetched.get(), nullptr) == 1 &&
                      EVP_DigestUpdate(context.get(), first.data(), first.size()) == 1 &&
                      EVP_DigestUpdate(context.get(), second.data(), second.size()) == 1 &&
                      EVP_DigestFinal_ex(context.get(), out.data(), nullptr) == 1;
    if (!good)
        throw std::runtime_error(std::string(algorithm) + " failed: " + runtime::openssl_error());
    return out;
}

template <std::size_t N>
ReportData padded(const std::array<std::uint8_t, N>& digest) {
    ReportData out{};
    std::ranges::copy(digest, out.begin());
    return out;
}

struct Named {
    std::string_view name;
    const char* algorithm;
};
constexpr Named kHashes[] = {{"", "SHA512"},           {"sha512", "SHA512"},
                             {"sha256", "SHA256"},     {"sha384", "SHA384"},
                             {"sha3-256", "SHA3-256"}, {"sha3-384", "SHA3-384"},
                             {"sha3-512", "SHA3-512"}};

}  // namespace

Result<ReportData> report_data(std::string_view tag, ByteView content, std::string_view hash) {
    if (hash == "raw") {
        if (content.size() != sizeof(ReportData))
            return Error{
                ErrorCode::invalid_argument,
                "raw report data has " + std::to_string(content.size()) + " bytes instead of 64"};
        ReportData out;
        std::ranges::copy(content, out.begin());
        return out;
    }
    const std::string prefix = std::string(tag) + ":";
    const ByteView front = runtime::as_bytes(prefix);
    for (const Named& known : kHashes)
        if (known.name == hash) return digest_of(known.algorithm, front, content);
    if (hash == "keccak256") return padded(runtime::keccak256({front, content}));
    if (hash == "keccak384") return padded(runtime::keccak384({front, content}));
    if (hash == "keccak512") return padded(runtime::keccak512({front, content}));
    return Error{ErrorCode::invalid_argument,
                 "unknown hash '" + std::string(hash) + "' for report data"};
}

ReportData ratls_report_data(ByteView spki_der) {
    const std::string prefix = std::string(kTagRatlsCertificate) + ":";
    return digest_of("SHA512", runtime::as_bytes(prefix), spki_der);
}

}  // namespace kms
