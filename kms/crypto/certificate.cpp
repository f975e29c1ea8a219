#include "kms/crypto/certificate.hpp"

#include "kms/crypto/der.hpp"
#include "kms/crypto/pem.hpp"
#include "launcher/runtime/openssl_ptr.hpp"

#include <algorithm>
#include <cstdio>

#include <arpa/inet.h>

namespace kms::crypto {
namespace {

using runtime::as_bytes;

constexpr std::chrono::days kValidity{3650};
constexpr std::size_t kSerialSize = 20;
constexpr std::size_t kKeyIdSize = 20;

// Object identifiers, as their DER contents.
constexpr std::uint8_t kOrganisation[] = {0x55, 0x04, 0x0a};
constexpr std::uint8_t kCommonName[] = {0x55, 0x04, 0x03};
constexpr std::uint8_t kEcdsaWithSha256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
constexpr std::uint8_t kSubjectAltName[] = {0x55, 0x1d, 0x11};
constexpr std::uint8_t kKeyUsage[] = {0x55, 0x1d, 0x0f};
constexpr std::uint8_t kExtendedKeyUsage[] = {0x55, 0x1d, 0x25};
constexpr std::uint8_t kServerAuth[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01};
constexpr std::uint8_t kClientAuth[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02};
constexpr std::uint8_t kSubjectKeyIdentifier[] = {0x55, 0x1d, 0x0e};
constexpr std::uint8_t kBasicConstraints[] = {0x55, 0x1d, 0x13};

// BIT STRINGs of nine bits, the last of which (decipherOnly) is never set: longer than DER asks
// for, but what existing certificates have.
constexpr std::uint8_t kDigitalSignature[] = {0x03, 0x03, 0x07, 0x80, 0x00};
constexpr std::uint8_t kDigitalSignatureCertAndCrlSign[] = {0x03, 0x03, 0x07, 0x86, 0x00};

constexpr std::uint8_t kTrue[] = {0xff};

void append(Bytes& out, ByteView bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

Bytes sequence(std::initializer_list<ByteView> contents) {
    return der::element(der::kSequence, contents);
}
Bytes oid(ByteView contents) {
    return der::element(der::kOid, {contents});
}

Bytes name_part(ByteView type, std::string_view text) {
    return der::element(der::kSet,
                        {sequence({oid(type), der::element(der::kUtf8String, {as_bytes(text)})})});
}

Bytes extension(ByteView id, bool critical, ByteView value) {
    return sequence({oid(id), critical ? der::element(der::kBoolean, {kTrue}) : Bytes(),
                     der::element(der::kOctetString, {value})});
}

/// Appends a custom extension if there is a payload: an OCTET STRING inside of the one that every
/// extension has.
void append_custom(Bytes& out, CustomExtension number, const std::optional<Bytes>& payload) {
    if (!payload.has_value()) return;
    const std::uint8_t id[] = {0x2b, 0x06, 0x01, 0x04, 0x01,
                               0x83, 0xe7, 0x3d, 0x01, static_cast<std::uint8_t>(number)};
    append(out, extension(id, false, der::element(der::kOctetString, {*payload})));
}

/// The 4 or 16 bytes of an IP literal, or none.
Bytes ip_address(const std::string& text) {
    Bytes address(16);
    if (text.find('\0') != std::string::npos) return {};
    if (::inet_pton(AF_INET, text.c_str(), address.data()) == 1) {
        address.resize(4);
        return address;
    }
    if (::inet_pton(AF_INET6, text.c_str(), address.data()) == 1) return address;
    return {};
}

Result<Bytes> general_names(const std::vector<std::string>& alt_names) {
    constexpr unsigned kDnsName = 2;
    constexpr unsigned kIpAddress = 7;
    Bytes names;
    for (const std::string& name : alt_names) {
        if (!std::ranges::all_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
            return Error{ErrorCode::invalid_argument, "Invalid IA5String: '" + name + "'"};
        append(names, der::element(der::context_primitive(kDnsName), {as_bytes(name)}));
        if (const Bytes address = ip_address(name); !address.empty())
            append(names, der::element(der::context_primitive(kIpAddress), {address}));
    }
    return sequence({names});
}

/// The contents of the extensions field, in the order that every certificate has.
Result<Bytes> extensions(const CertificateProfile& profile) {
    Bytes out;
    if (!profile.alt_names.empty()) {
        TRY(const Bytes names, general_names(profile.alt_names));
        append(out, extension(kSubjectAltName, false, names));
    }
    const bool is_ca = profile.ca_path_length.has_value();
    append(out, extension(kKeyUsage, true,
                          is_ca ? ByteView(kDigitalSignatureCertAndCrlSign)
                                : ByteView(kDigitalSignature)));
    if (profile.server_auth || profile.client_auth)
        append(out, extension(kExtendedKeyUsage, false,
                              sequence({profile.server_auth ? oid(kServerAuth) : Bytes(),
                                        profile.client_auth ? oid(kClientAuth) : Bytes()})));
    if (is_ca) {
        const Hash key_id = sha256({spki_der(profile.public_key)});
        append(out,
               extension(kSubjectKeyIdentifier, false,
                         der::element(der::kOctetString, {ByteView(key_id).first(kKeyIdSize)})));
        const std::uint8_t path_length[] = {static_cast<std::uint8_t>(*profile.ca_path_length)};
        append(out, extension(kBasicConstraints, true,
                              sequence({der::element(der::kBoolean, {kTrue}),
                                        der::unsigned_integer(path_length)})));
    }
    append_custom(out, CustomExtension::app_id, profile.app_id);
    append_custom(out, CustomExtension::app_info, profile.app_info);
    if (profile.special_usage.has_value()) {
        const ByteView usage = as_bytes(*profile.special_usage);
        append_custom(out, CustomExtension::special_usage, Bytes(usage.begin(), usage.end()));
    }
    append_custom(out, CustomExtension::tdx_quote, profile.attestation.tdx_quote);
    append_custom(out, CustomExtension::tdx_event_log, profile.attestation.tdx_event_log);
    append_custom(out, CustomExtension::attestation, profile.attestation.attestation);
    return out;
}

/// UTCTime for the years 1950 to 2049, GeneralizedTime for the others (RFC 5280 section 4.1.2.5).
Result<Bytes> date(sys_seconds at) {
    constexpr sys_seconds kEarliest = std::chrono::sys_days(std::chrono::year{1950} / 1 / 1);
    constexpr sys_seconds kFirstGeneralized =
        std::chrono::sys_days(std::chrono::year{2050} / 1 / 1);
    constexpr sys_seconds kEnd = std::chrono::sys_days(std::chrono::year{10000} / 1 / 1);
    if (at < kEarliest || at >= kEnd)
        return Error{ErrorCode::invalid_argument,
                     "a certificate's date must lie in the years 1950 to 9999"};
    const auto day = std::chrono::floor<std::chrono::days>(at);
    const std::chrono::year_month_day calendar(day);
    const std::chrono::hh_mm_ss time(at - day);
    std::array<char, 32> text{};
    const int length = std::snprintf(
        text.data(), text.size(), "%04d%02u%02u%02ld%02ld%02ldZ", static_cast<int>(calendar.year()),
        static_cast<unsigned>(calendar.month()), static_cast<unsigned>(calendar.day()),
        static_cast<long>(time.hours().count()), static_cast<long>(time.minutes().count()),
        static_cast<long>(time.seconds().count()));
    const std::string_view generalized(text.data(), static_cast<std::size_t>(length));
    if (at < kFirstGeneralized)
        return der::element(der::kUtcTime, {as_bytes(generalized.substr(2))});
    return der::element(der::kGeneralizedTime, {as_bytes(generalized)});
}

/// Derived from the key, so that a certificate made again for the same key has the same number.
Bytes serial_number(const P256Point& key) {
    Hash hash = sha256({key});
    hash[0] &= 0x7f;
    return der::unsigned_integer(ByteView(hash).first(kSerialSize));
}

Result<Bytes> to_be_signed(const CertificateProfile& profile, ByteView issuer_name,
                           sys_seconds now) {
    constexpr sys_seconds kDefaultNotBefore =
        std::chrono::sys_days(std::chrono::year{1975} / 1 / 1);
    constexpr std::uint8_t kVersion3[] = {2};
    constexpr unsigned kVersionTag = 0;
    constexpr unsigned kExtensionsTag = 3;
    TRY(const Bytes not_before, date(profile.not_before.value_or(kDefaultNotBefore)));
    TRY(const Bytes not_after, date(profile.not_after.value_or(now + kValidity)));
    TRY(const Bytes all_extensions, extensions(profile));
    return sequence({
        der::element(der::context_constructed(kVersionTag), {der::unsigned_integer(kVersion3)}),
        serial_number(profile.public_key),
        sequence({oid(kEcdsaWithSha256)}),
        issuer_name,
        sequence({not_before, not_after}),
        encode_name(profile.subject),
        spki_der(profile.public_key),
        der::element(der::context_constructed(kExtensionsTag), {sequence({all_extensions})}),
    });
}

Error not_a_certificate(std::string_view why) {
    return Error{ErrorCode::invalid_argument, "not a certificate: " + std::string(why)};
}

Result<sys_seconds> seconds_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return Error{ErrorCode::invalid_argument, "its end date cannot be read"};
    const std::chrono::year_month_day day(
        std::chrono::year(parts.tm_year + 1900),
        std::chrono::month(static_cast<unsigned>(parts.tm_mon + 1)),
        std::chrono::day(static_cast<unsigned>(parts.tm_mday)));
    return sys_seconds(std::chrono::sys_days(day)) + std::chrono::hours(parts.tm_hour) +
           std::chrono::minutes(parts.tm_min) + std::chrono::seconds(parts.tm_sec);
}

/// Reads no more of a certificate than the facts need. OpenSSL would also decode the public key
/// into an object, for which it looks through all its formats: half a millisecond for each
/// certificate.
Result<CertificateFacts> facts_of(ByteView bytes) {
    der::Peeler whole(bytes);
    TRY(const ByteView certificate, whole.take(der::kSequence));
    if (!whole.at_end()) return Error{ErrorCode::invalid_argument, "there is something behind it"};
    der::Peeler parts(certificate);
    TRY(const ByteView to_be_signed, parts.take(der::kSequence));
    TRY_VOID(parts.take(der::kSequence));  // signatureAlgorithm
    TRY_VOID(parts.take(der::kBitString));
    if (!parts.at_end() || !whole.at_end())
        return Error{ErrorCode::invalid_argument, "there is something behind it"};
    der::Peeler body(to_be_signed);
    if (body.next_is(der::context_constructed(0))) TRY_VOID(body.take_any());  // version
    TRY_VOID(body.take(der::kInteger));                                        // serialNumber
    TRY_VOID(body.take(der::kSequence));                                       // signature
    TRY_VOID(body.take(der::kSequence));                                       // issuer
    TRY(const ByteView validity, body.take(der::kSequence));
    TRY(const ByteView subject, body.take_whole(der::kSequence));
    TRY(const ByteView public_key, body.take_whole(der::kSequence));
    der::Peeler dates(validity);
    TRY_VOID(dates.take_any());  // notBefore
    TRY(const ByteView not_after, dates.take_any());
    const unsigned char* cursor = not_after.data();
    const runtime::Owned<ASN1_TIME, ASN1_TIME_free> end(
        d2i_ASN1_TIME(nullptr, &cursor, static_cast<long>(not_after.size())));
    if (end == nullptr) return Error{ErrorCode::invalid_argument, runtime::openssl_error()};
    TRY(const P256Point key, point_of_spki(public_key));
    TRY(const sys_seconds expires, seconds_of(end.get()));
    return CertificateFacts{Bytes(subject.begin(), subject.end()), key, expires};
}

}  // namespace

Bytes encode_name(const Subject& subject) {
    return sequence({subject.organisation.has_value()
                         ? name_part(kOrganisation, *subject.organisation)
                         : Bytes(),
                     name_part(kCommonName, subject.common_name)});
}

Result<std::string> issue_certificate(const CertificateProfile& profile, const Issuer& issuer,
                                      WallTime now) {
    TRY(const Bytes body,
        to_be_signed(profile, issuer.name, std::chrono::floor<std::chrono::seconds>(now)));
    TRY(const Bytes signature, issuer.key.sign(body));
    constexpr std::uint8_t kNoUnusedBits[] = {0};
    return to_pem("CERTIFICATE",
                  sequence({body, sequence({oid(kEcdsaWithSha256)}),
                            der::element(der::kBitString, {kNoUnusedBits, signature})}));
}

Result<CertificateFacts> read_certificate(std::string_view text) {
    TRY(const SecretBytes der, first_pem_block(text));
    auto facts = facts_of(der.view());
    if (!facts) return not_a_certificate(facts.error().context);
    return facts;
}

}  // namespace kms::crypto
