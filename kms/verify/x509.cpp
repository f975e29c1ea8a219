#include "kms/verify/x509.hpp"

#include "kms/crypto/der.hpp"
#include "kms/evidence/sgx_extension.hpp"
#include "kms/verify/x509_time.hpp"

#include <algorithm>

namespace kms::x509 {
namespace {

namespace der = crypto::der;
using der::Peeler;

constexpr std::uint8_t kEcPublicKey[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
constexpr std::uint8_t kPrime256v1[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
constexpr std::uint8_t kServerAuth[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
// The last byte of OIDs 2.5.29.n.
enum : std::uint8_t {
    kKeyUsage = 15,
    kSubjectAltName = 17,
    kBasicConstraints = 19,
    kCrlNumber = 20,
    kReasonCode = 21,
    kInvalidityDate = 24,
    kDeltaCrl = 27,
    kIssuingDistributionPoint = 28,
    kCertificateIssuer = 29,
    kNameConstraints = 30,
    kCrlDistributionPoints = 31,
    kAuthorityKeyId = 35,
    kExtendedKeyUsage = 37,
};

Error bad(std::string_view what) {
    return Error{ErrorCode::invalid_argument, std::string(what)};
}

bool equal(ByteView a, ByteView b) {
    return std::ranges::equal(a, b);
}

/// n of an OID 2.5.29.n, or 0.
std::uint8_t id_ce(ByteView oid) {
    return oid.size() == 3 && oid[0] == 0x55 && oid[1] == 0x1d ? oid[2] : std::uint8_t{0};
}

/// The next element with its identifier and length.
Result<ByteView> take_whole(ByteView& rest, std::uint8_t identifier) {
    Peeler peeler(rest);
    TRY(const ByteView content, peeler.take(identifier));
    const auto size = static_cast<std::size_t>(content.data() - rest.data()) + content.size();
    const ByteView whole = rest.first(size);
    rest = rest.subspan(size);
    return whole;
}

/// SEQUENCE { signed element, AlgorithmIdentifier, BIT STRING }, and nothing behind it.
Result<SignedData> parse_signed(ByteView bytes) {
    Peeler outer(bytes);
    TRY(const ByteView content, outer.take(der::kSequence));
    if (!outer.at_end()) return bad("TrailingData");
    ByteView rest = content;
    SignedData data;
    TRY(data.message, take_whole(rest, der::kSequence));
    Peeler tail(rest);
    TRY(data.algorithm, tail.take(der::kSequence));
    TRY(const ByteView bits, tail.take(der::kBitString));
    if (!tail.at_end() || bits.empty() || bits[0] != 0)
        return bad("a signature that is no BIT STRING of whole bytes");
    data.signature = bits.subspan(1);
    return data;
}

Result<PublicKey> parse_key(ByteView& rest) {
    PublicKey key;
    TRY(key.spki, take_whole(rest, der::kSequence));
    Peeler outer(key.spki);
    TRY(const ByteView content, outer.take(der::kSequence));
    Peeler fields(content);
    TRY(const ByteView algorithm, fields.take(der::kSequence));
    TRY(const ByteView bits, fields.take(der::kBitString));
    Peeler identifier(algorithm);
    TRY(const ByteView oid, identifier.take(der::kOid));
    if (!equal(oid, kEcPublicKey)) return key;
    TRY(const ByteView curve, identifier.take(der::kOid));
    if (equal(curve, kPrime256v1) && bits.size() == 66 && bits[0] == 0 && bits[1] == 4)
        key.p256 = FixedView<64>(bits.data() + 2, 64);
    return key;
}

struct Extension {
    ByteView oid;
    bool critical = false;
    ByteView value;
};

Result<Extension> take_extension(Peeler& list) {
    TRY(const ByteView content, list.take(der::kSequence));
    Peeler fields(content);
    Extension extension;
    TRY(extension.oid, fields.take(der::kOid));
    if (fields.next_is(der::kBoolean)) {
        TRY(const ByteView critical, fields.take(der::kBoolean));
        if (critical.size() != 1 || (critical[0] != 0 && critical[0] != 0xff))
            return bad("a BOOLEAN that is none");
        extension.critical = critical[0] != 0;
    }
    TRY(extension.value, fields.take(der::kOctetString));
    if (!fields.at_end()) return bad("an extension with more than a value");
    return extension;
}

Result<void> read_basic_constraints(ByteView value, Certificate& certificate) {
    Peeler outer(value);
    TRY(const ByteView content, outer.take(der::kSequence));
    Peeler fields(content);
    if (fields.next_is(der::kBoolean)) {
        TRY(const ByteView is_ca, fields.take(der::kBoolean));
        certificate.is_ca = is_ca.size() == 1 && is_ca[0] == 0xff;
    }
    if (!fields.at_end()) {
        TRY(const ByteView length, fields.take(der::kInteger));
        if (length.size() != 1 || length[0] > 0x7f)
            return bad("a path length that is out of range");
        certificate.path_length = length[0];
    }
    return {};
}

Result<void> read_key_usage(ByteView value, Certificate& certificate) {
    Peeler outer(value);
    TRY(const ByteView bits, outer.take(der::kBitString));
    if (bits.empty() || bits[0] > 7) return bad("a KeyUsage that is none");
    std::uint16_t usage = 0;
    for (std::size_t i = 0; i + 1 < bits.size() && i < 2; ++i)
        for (std::size_t bit = 0; bit < 8; ++bit)
            if ((bits[i + 1] >> (7 - bit) & 1U) != 0)
                usage = static_cast<std::uint16_t>(usage | 1U << (8 * i + bit));
    certificate.key_usage = usage;
    return {};
}

Result<void> read_extension(const Extension& extension, Certificate& certificate) {
    if (equal(extension.oid, sgx_extension_oid())) {
        if (extension.critical) return bad("UnsupportedCriticalExtension");
        certificate.repeats_sgx_extension = certificate.sgx_extension.has_value();
        certificate.sgx_extension = extension.value;
        return {};
    }
    switch (id_ce(extension.oid)) {
        case kBasicConstraints:
            return read_basic_constraints(extension.value, certificate);
        case kKeyUsage:
            return read_key_usage(extension.value, certificate);
        case kExtendedKeyUsage: {
            Peeler outer(extension.value);
            TRY(certificate.extended_key_usage, outer.take(der::kSequence));
            return {};
        }
        case kCrlDistributionPoints:
            certificate.crl_distribution_points = extension.value;
            return {};
        case kNameConstraints:
            certificate.has_name_constraints = true;
            return {};
        case kSubjectAltName:
            return {};
        default:
            if (extension.critical) return bad("UnsupportedCriticalExtension");
            return {};
    }
}

Result<void> read_extensions(ByteView content, Certificate& certificate) {
    Peeler outer(content);
    TRY(const ByteView extensions, outer.take(der::kSequence));
    Peeler list(extensions);
    std::uint64_t seen = 0;  // of OIDs 2.5.29.n
    while (!list.at_end()) {
        TRY(const Extension extension, take_extension(list));
        if (const std::uint8_t n = id_ce(extension.oid); n != 0 && n < 64) {
            if ((seen >> n & 1U) != 0)
                return bad("ExtensionValueInvalid: an extension occurs twice");
            seen |= std::uint64_t{1} << n;
        }
        TRY_VOID(read_extension(extension, certificate));
    }
    return {};
}

Result<void> check_entry(ByteView entry) {
    Peeler fields(entry);
    TRY_VOID(fields.take(der::kInteger));
    TRY_VOID(take_time(fields));
    if (fields.at_end()) return {};
    TRY(const ByteView extensions, fields.take(der::kSequence));
    Peeler list(extensions);
    while (!list.at_end()) {
        TRY(const Extension extension, take_extension(list));
        const std::uint8_t n = id_ce(extension.oid);
        if (n == kCertificateIssuer) return bad("UnsupportedIndirectCrl");
        if (extension.critical && n != kReasonCode && n != kInvalidityDate)
            return bad("UnsupportedCriticalExtension");
    }
    return {};
}

Result<void> read_issuing_distribution_point(ByteView value, RevocationList& list) {
    Peeler outer(value);
    TRY(const ByteView content, outer.take(der::kSequence));
    Peeler fields(content);
    if (fields.next_is(der::context_constructed(0)))
        TRY_VOID(fields.take(der::context_constructed(0)));
    if (fields.next_is(der::context_primitive(1))) {
        TRY_VOID(fields.take(der::context_primitive(1)));
        list.only_user_certificates = true;
    }
    if (fields.next_is(der::context_primitive(2))) {
        TRY_VOID(fields.take(der::context_primitive(2)));
        list.only_ca_certificates = true;
    }
    // What is left would say: some reasons only, an indirect list, or attribute certificates only.
    if (!fields.at_end()) return bad("UnsupportedCrlIssuingDistributionPoint");
    return {};
}

Result<void> read_list_extensions(ByteView content, RevocationList& list) {
    Peeler outer(content);
    TRY(const ByteView extensions, outer.take(der::kSequence));
    Peeler items(extensions);
    while (!items.at_end()) {
        TRY(const Extension extension, take_extension(items));
        switch (id_ce(extension.oid)) {
            case kDeltaCrl:
                return bad("UnsupportedDeltaCrl");
            case kIssuingDistributionPoint:
                TRY_VOID(read_issuing_distribution_point(extension.value, list));
                break;
            case kAuthorityKeyId:
            case kCrlNumber:
                break;
            default:
                if (extension.critical) return bad("UnsupportedCriticalExtension");
        }
    }
    return {};
}

}  // namespace

Result<Certificate> parse_certificate(ByteView bytes) {
    Certificate certificate;
    certificate.der = bytes;
    TRY(certificate.signed_data, parse_signed(bytes));
    Peeler outer(certificate.signed_data.message);
    TRY(const ByteView content, outer.take(der::kSequence));
    Peeler fields(content);
    TRY(const ByteView version_element, fields.take(der::context_constructed(0)));
    Peeler version_field(version_element);
    TRY(const ByteView version, version_field.take(der::kInteger));
    if (version.size() != 1 || version[0] != 2) return bad("UnsupportedCertVersion");
    TRY(certificate.serial, fields.take(der::kInteger));
    TRY(const ByteView algorithm, fields.take(der::kSequence));
    if (!equal(algorithm, certificate.signed_data.algorithm))
        return bad("SignatureAlgorithmMismatch");
    TRY(certificate.issuer, fields.take(der::kSequence));
    TRY(const ByteView validity, fields.take(der::kSequence));
    Peeler dates(validity);
    TRY(certificate.not_before, take_time(dates));
    TRY(certificate.not_after, take_time(dates));
    TRY(certificate.subject, fields.take(der::kSequence));
    ByteView rest = fields.rest();
    TRY(certificate.key, parse_key(rest));
    Peeler tail(rest);
    // No extensions at all means no basic constraints: such a certificate is an end entity.
    if (tail.next_is(der::context_constructed(3))) {
        TRY(const ByteView extensions, tail.take(der::context_constructed(3)));
        TRY_VOID(read_extensions(extensions, certificate));
    }
    if (!tail.at_end()) return bad("TrailingData");
    return certificate;
}

Result<RevocationList> parse_revocation_list(ByteView bytes) {
    RevocationList list;
    TRY(list.signed_data, parse_signed(bytes));
    Peeler outer(list.signed_data.message);
    TRY(const ByteView content, outer.take(der::kSequence));
    Peeler fields(content);
    TRY(const ByteView version, fields.take(der::kInteger));
    if (version.size() != 1 || version[0] != 1) return bad("UnsupportedCrlVersion");
    TRY(const ByteView algorithm, fields.take(der::kSequence));
    if (!equal(algorithm, list.signed_data.algorithm)) return bad("SignatureAlgorithmMismatch");
    TRY(list.issuer, fields.take(der::kSequence));
    TRY(list.this_update, take_time(fields));
    TRY(list.next_update, take_time(fields));
    if (fields.next_is(der::kSequence)) {
        TRY(list.entries, fields.take(der::kSequence));
        Peeler entries(list.entries);
        while (!entries.at_end()) {
            TRY(const ByteView entry, entries.take(der::kSequence));
            TRY_VOID(check_entry(entry));
        }
    }
    TRY(const ByteView extensions, fields.take(der::context_constructed(0)));
    if (!fields.at_end()) return bad("TrailingData");
    TRY_VOID(read_list_extensions(extensions, list));
    return list;
}

bool RevocationList::lists(ByteView serial) const {
    Peeler list(entries);
    while (!list.at_end()) {
        const auto entry = list.take(der::kSequence);
        if (!entry)
            return true;  // unreachable: entries were checked; a list that cannot be read revokes
                          // everything
        Peeler fields(*entry);
        const auto number = fields.take(der::kInteger);
        if (!number || equal(*number, serial)) return true;
    }
    return false;
}

std::optional<ByteView> find_wrapped_extension(ByteView certificate_der, ByteView oid) {
    const auto data = parse_signed(certificate_der);
    if (!data) return std::nullopt;
    Peeler outer(data->message);
    const auto content = outer.take(der::kSequence);
    if (!content) return std::nullopt;
    for (ByteView rest = *content; !rest.empty();) {
        Peeler fields(rest);
        const auto field = fields.take(rest[0]);
        if (!field) return std::nullopt;
        if (rest[0] == der::context_constructed(3)) {
            Peeler extensions(*field);
            const auto list = extensions.take(der::kSequence);
            if (!list) return std::nullopt;
            for (Peeler items(*list); !items.at_end();) {
                const auto extension = take_extension(items);
                if (!extension) return std::nullopt;
                if (!equal(extension->oid, oid)) continue;
                Peeler wrapped(extension->value);
                const auto found = wrapped.take(der::kOctetString);
                return found ? std::optional(*found) : std::nullopt;
            }
        }
        rest = fields.rest();
    }
    return std::nullopt;
}

bool allows_server_auth(ByteView extended_key_usage) {
    Peeler list(extended_key_usage);
    while (!list.at_end()) {
        const auto oid = list.take(der::kOid);
        if (!oid) return false;
        if (equal(*oid, kServerAuth)) return true;
    }
    return false;
}

std::optional<std::string_view> first_crl_uri(ByteView crl_distribution_points) {
    Peeler outer(crl_distribution_points);
    const auto points = outer.take(der::kSequence);
    if (!points) return std::nullopt;
    Peeler list(*points);
    while (!list.at_end()) {
        const auto point = list.take(der::kSequence);
        if (!point) return std::nullopt;
        Peeler fields(*point);
        const auto name = fields.take(der::context_constructed(0));
        if (!name) continue;
        Peeler choice(*name);
        const auto full_name = choice.take(der::context_constructed(0));
        if (!full_name) continue;
        ByteView names = *full_name;
        while (!names.empty()) {
            Peeler general(names);
            const auto uri = general.take(names[0]);
            if (!uri) return std::nullopt;
            if (names[0] == der::context_primitive(6)) return runtime::as_text(*uri);
            names = general.rest();
        }
        return std::nullopt;
    }
    return std::nullopt;
}

}  // namespace kms::x509
