// The readable forms around certificates: PEM lists and names. Source: RFC 7468, RFC 4514.
#include "kms/crypto/der.hpp"
#include "kms/evidence/base64.hpp"
#include "kms/verify/x509.hpp"

namespace kms::x509 {
namespace {

namespace der = crypto::der;

constexpr std::string_view kBegin = "-----BEGIN ";
constexpr std::string_view kEnd = "-----END ";
constexpr std::string_view kDashes = "-----";

Error bad(std::string_view what) {
    return Error{ErrorCode::invalid_argument, "not a PEM list: " + std::string(what)};
}

/// The short names of attributes 2.5.4.n.
std::string_view attribute_name(ByteView oid) {
    if (oid.size() != 3 || oid[0] != 0x55 || oid[1] != 0x04) return {};
    switch (oid[2]) {
        case 3:
            return "CN";
        case 6:
            return "C";
        case 7:
            return "L";
        case 8:
            return "ST";
        case 10:
            return "O";
        case 11:
            return "OU";
        default:
            return {};
    }
}

}  // namespace

Result<PemChain> PemChain::parse(std::string_view pem) {
    PemChain chain;
    chain.der_.reserve(pem.size() / 4 * 3);
    for (;;) {
        const std::size_t begin = pem.find(kBegin);
        if (begin == std::string_view::npos) return chain;
        pem.remove_prefix(begin + kBegin.size());
        const std::size_t label_end = pem.find(kDashes);
        const std::size_t line_end = pem.find('\n');
        if (label_end == std::string_view::npos || label_end > line_end)
            return bad("the line -----BEGIN ...----- is broken");
        pem.remove_prefix(label_end + kDashes.size());
        const std::size_t end = pem.find(kEnd);
        if (end == std::string_view::npos)
            return bad("there is no line -----END ...-----; is it cut off?");
        const std::size_t start = chain.der_.size();
        TRY_VOID(append_base64_lines(pem.substr(0, end), chain.der_));
        chain.ranges_.emplace_back(start, chain.der_.size() - start);
        pem.remove_prefix(end + kEnd.size());
    }
}

std::string name_text(ByteView name) {
    std::string text;
    der::Peeler list(name);
    while (!list.at_end()) {
        const auto set = list.take(der::kSet);
        if (!set) break;
        der::Peeler relative(*set);
        const auto attribute = relative.take(der::kSequence);
        if (!attribute) break;
        der::Peeler fields(*attribute);
        const auto oid = fields.take(der::kOid);
        const ByteView value = fields.rest();
        if (!oid || value.empty()) break;
        const auto content = fields.take(value[0]);
        const std::string_view kind = attribute_name(*oid);
        if (!content || kind.empty()) continue;
        text.append(text.empty() ? "" : ",")
            .append(kind)
            .append("=")
            .append(runtime::as_text(*content));
    }
    return text;
}

}  // namespace kms::x509
