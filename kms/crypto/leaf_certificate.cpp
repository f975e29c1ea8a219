#include "kms/crypto/leaf_certificate.hpp"

#include "kms/crypto/der.hpp"

#include <algorithm>

namespace kms::crypto {
namespace {

constexpr std::uint8_t kArc[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x83, 0xe7, 0x3d, 0x01};
constexpr std::uint8_t kSubjectAltName[] = {0x55, 0x1d, 0x11};
constexpr unsigned kVersionTag = 0;
constexpr unsigned kIssuerIdTag = 1;
constexpr unsigned kSubjectIdTag = 2;
constexpr unsigned kExtensionsTag = 3;
constexpr unsigned kDnsNameTag = 2;
constexpr std::uint8_t kVersion3 = 2;

Error bad(std::string_view what) {
    return Error{ErrorCode::invalid_argument, std::string(what)};
}

Bytes copy(ByteView bytes) {
    return {bytes.begin(), bytes.end()};
}

bool is_custom(ByteView oid) {
    return oid.size() == std::size(kArc) + 1 &&
           std::ranges::equal(oid.first(std::size(kArc)), kArc);
}

/// Takes an element that may be absent.
Result<void> skip_optional(der::Peeler& peeler, std::uint8_t identifier) {
    if (peeler.next_is(identifier)) TRY_VOID(peeler.take(identifier));
    return {};
}

}  // namespace

Result<LeafCertificate> LeafCertificate::parse(ByteView der) {
    der::Peeler outer(der);
    TRY(const ByteView certificate, outer.take(der::kSequence));
    if (!outer.at_end()) return bad("there is something behind the certificate");
    der::Peeler parts(certificate);
    TRY(const ByteView signed_part, parts.take(der::kSequence));
    TRY_VOID(parts.take(der::kSequence));
    TRY_VOID(parts.take(der::kBitString));
    if (!parts.at_end()) return bad("there is something behind the signature");

    der::Peeler body(signed_part);
    TRY(const ByteView tagged_version, body.take(der::context_constructed(kVersionTag)));
    TRY(const ByteView version, der::Peeler(tagged_version).take(der::kInteger));
    if (version.size() != 1 || version[0] != kVersion3) return bad("not of version 3");
    TRY_VOID(body.take(der::kInteger));
    TRY_VOID(body.take(der::kSequence));
    TRY_VOID(body.take(der::kSequence));
    TRY_VOID(body.take(der::kSequence));
    LeafCertificate leaf;
    TRY(const ByteView subject, body.take_whole(der::kSequence));
    leaf.subject_ = copy(subject);
    TRY(const ByteView spki, body.take_whole(der::kSequence));
    leaf.spki_ = copy(spki);
    TRY_VOID(skip_optional(body, der::context_primitive(kIssuerIdTag)));
    TRY_VOID(skip_optional(body, der::context_primitive(kSubjectIdTag)));
    if (body.next_is(der::context_constructed(kExtensionsTag))) {
        TRY(const ByteView tagged, body.take(der::context_constructed(kExtensionsTag)));
        der::Peeler list(tagged);
        TRY(const ByteView extensions, list.take(der::kSequence));
        if (!list.at_end()) return bad("there is something behind the extensions");
        TRY_VOID(leaf.read_extensions(extensions));
    }
    if (!body.at_end()) return bad("there is something behind the extensions");
    constexpr std::size_t kEmptyName = 2;
    if (leaf.subject_.size() <= kEmptyName && !leaf.has_alternative_names_)
        return bad("it names nobody");
    return leaf;
}

Result<void> LeafCertificate::read_extensions(ByteView list) {
    der::Peeler extensions(list);
    while (!extensions.at_end()) {
        TRY(const ByteView extension, extensions.take(der::kSequence));
        der::Peeler parts(extension);
        TRY(const ByteView oid, parts.take(der::kOid));
        TRY_VOID(skip_optional(parts, der::kBoolean));
        TRY(const ByteView value, parts.take(der::kOctetString));
        if (!parts.at_end()) return bad("there is something behind the value of an extension");
        if (is_custom(oid))
            custom_.emplace_back(static_cast<CustomExtension>(oid.back()), copy(value));
        else if (std::ranges::equal(oid, kSubjectAltName))
            read_alternative_names(value);
    }
    return {};
}

/// Takes what can be read: alternative names decide nothing here.
void LeafCertificate::read_alternative_names(ByteView value) {
    has_alternative_names_ = true;
    der::Peeler outer(value);
    const auto names = outer.take(der::kSequence);
    if (!names) return;
    der::Peeler list(*names);
    while (!list.at_end()) {
        if (list.next_is(der::context_primitive(kDnsNameTag))) {
            const auto name = list.take(der::context_primitive(kDnsNameTag));
            if (!name) return;
            dns_names_.emplace_back(runtime::as_text(*name));
        } else if (!list.take_any()) {
            return;
        }
    }
}

Result<std::optional<Bytes>> LeafCertificate::payload(CustomExtension extension) const {
    const auto is_it = [extension](const auto& entry) { return entry.first == extension; };
    const auto found = std::ranges::find_if(custom_, is_it);
    if (found == custom_.end()) return std::optional<Bytes>();
    if (std::find_if(found + 1, custom_.end(), is_it) != custom_.end())
        return bad("duplicate extension");
    der::Peeler value(found->second);
    const auto payload = value.take(der::kOctetString);
    if (!payload) return bad("ASN1Error { kind: Invalid }");
    if (!value.at_end()) return bad("ASN1Error { kind: Extra }");
    return std::optional<Bytes>(copy(*payload));
}

bool LeafCertificate::carries_attestation() const {
    return std::ranges::any_of(custom_, [](const auto& entry) {
        return entry.first == CustomExtension::tdx_quote ||
               entry.first == CustomExtension::attestation;
    });
}

}  // namespace kms::crypto
