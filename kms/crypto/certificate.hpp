/// X.509 certificates of the KMS: the one profile that all of them follow, and reading back what of
/// a stored certificate matters. Source: spec "kms-protocol" section 3.
#pragma once

#include "kms/crypto/p256.hpp"
#include "launcher/runtime/deadline.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kms::crypto {

using runtime::WallTime;
/// Dates inside of certificates: whole seconds, so that the year 9999 can be told.
using std::chrono::sys_seconds;

/// The extensions of the protocol: their numbers below 1.3.6.1.4.1.62397.1 (spec section 3.3). The
/// value of each is an OCTET STRING that holds the payload.
enum class CustomExtension : std::uint8_t {
    tdx_quote = 1,
    tdx_event_log = 2,
    app_id = 3,
    special_usage = 4,
    attestation = 8,
    app_info = 9,
};

struct Subject {
    std::optional<std::string> organisation;
    std::string common_name;  ///< may be empty: a CN of length 0 is written
};

/// DER of the name: O (if any) then CN, one relative distinguished name each, both UTF8String.
Bytes encode_name(const Subject& subject);

/// What proves that a key lives in a trusted environment; each member becomes one extension when it
/// is set. The bytes are written as they are.
struct AttestationExtension {
    std::optional<Bytes> tdx_quote;      ///< extension .1
    std::optional<Bytes> tdx_event_log;  ///< extension .2: JSON text
    std::optional<Bytes> attestation;    ///< extension .8: a versioned attestation
};

/// Everything that differs between two certificates of the KMS, apart from their issuers.
struct CertificateProfile {
    Subject subject;
    P256Point public_key{};
    std::optional<unsigned> ca_path_length;  ///< set: a CA with this path length; not set: a leaf
    std::vector<std::string> alt_names;  ///< DNS names and IP literals, ASCII; none = no extension
    bool server_auth = false;
    bool client_auth = false;
    std::optional<Bytes> app_id;               ///< extension .3
    std::optional<Bytes> app_info;             ///< extension .9: msgpack
    std::optional<std::string> special_usage;  ///< extension .4
    AttestationExtension attestation;
    std::optional<sys_seconds> not_before;  ///< not set: 1975-01-01
    std::optional<sys_seconds> not_after;   ///< not set: 3650 days from now
};

struct Issuer {
    Bytes name;          ///< DER of the issuer's subject
    const P256Key& key;  ///< borrowed for the call
};

/// Makes and signs a certificate; the answer is its PEM text. `now` is rounded down to seconds. For
/// an IP literal among the alternative names both a dNSName and an iPAddress are written, because
/// older clients look at the first only. Errors: invalid_argument for a name that is not ASCII or a
/// date outside of the years 1950 to 9999; internal when signing fails.
Result<std::string> issue_certificate(const CertificateProfile& profile, const Issuer& issuer,
                                      WallTime now);

/// What the KMS needs to know of a stored certificate.
struct CertificateFacts {
    Bytes subject_name;  ///< DER
    P256Point public_key{};
    sys_seconds not_after;
};

/// Reads the first PEM block of `text`, whatever its label. The signature is not verified. Errors
/// (invalid_argument): no PEM, no X.509 certificate, or a key that is not on P-256.
Result<CertificateFacts> read_certificate(std::string_view text);

}  // namespace kms::crypto
