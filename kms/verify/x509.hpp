/// X.509 certificates and revocation lists as far as a chain of Intel's needs them: read from DER
/// without copying. Source: RFC 5280; the rules are in chain.hpp.
#pragma once

#include "kms/evidence/report_body.hpp"
#include "kms/verify/unix_time.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kms::x509 {

/// Something signed: the whole DER element, how, and the signature's bytes.
struct SignedData {
    ByteView message;
    ByteView algorithm;  ///< content of the AlgorithmIdentifier
    ByteView signature;
};

struct PublicKey {
    ByteView spki;                      ///< the whole DER element
    std::optional<FixedView<64>> p256;  ///< x | y when it is an uncompressed key on P-256
};

/// All views borrow the bytes that it was parsed from. Names are the content of the DER element and
/// are compared as bytes.
struct Certificate {
    ByteView der;
    SignedData signed_data;
    ByteView serial;
    ByteView issuer;
    ByteView subject;
    UnixSeconds not_before = 0;
    UnixSeconds not_after = 0;
    PublicKey key;
    bool is_ca = false;
    std::optional<std::uint32_t> path_length;
    std::optional<std::uint16_t> key_usage;      ///< bit n of RFC 5280 is bit n here
    std::optional<ByteView> extended_key_usage;  ///< content of the SEQUENCE of OIDs
    std::optional<ByteView> crl_distribution_points;
    std::optional<ByteView> sgx_extension;
    bool has_name_constraints = false;
    bool repeats_sgx_extension = false;
};
inline constexpr std::uint16_t kUsageCrlSign = 1U << 6;

/// Errors (invalid_argument): not exactly one certificate, not version 3, a critical extension that
/// is not known, an extension twice (other than Intel's), or a date that is none.
Result<Certificate> parse_certificate(ByteView der);

struct RevocationList {
    SignedData signed_data;
    ByteView issuer;
    UnixSeconds this_update = 0;
    UnixSeconds next_update = 0;
    ByteView entries;  ///< content of revokedCertificates; every entry was found well-formed
    bool only_user_certificates = false;
    bool only_ca_certificates = false;

    bool lists(ByteView serial) const;
};

/// Errors (invalid_argument): not exactly one list, not version 2, no nextUpdate or no extensions,
/// algorithms that differ, a delta or indirect list, or a critical extension that is not known.
Result<RevocationList> parse_revocation_list(ByteView der);

/// The content of the OCTET STRING inside of the first extension with this OID: the form of
/// dstack's own extensions.
std::optional<ByteView> find_wrapped_extension(ByteView certificate_der, ByteView oid);

/// Whether a list of OIDs holds serverAuth.
bool allows_server_auth(ByteView extended_key_usage);
/// The first URI of the first distribution point that has a full name.
std::optional<std::string_view> first_crl_uri(ByteView crl_distribution_points);
/// The name in readable form, for messages and for telling Intel's CAs apart: "CN=...,O=...";
/// unknown kinds are left out.
std::string name_text(ByteView name);

/// Certificates out of PEM text: labels are not looked at, text outside of blocks is passed over.
class PemChain {
  public:
    PemChain() = default;
    PemChain(PemChain&&) = default;
    PemChain& operator=(PemChain&&) = default;

    /// Errors (invalid_argument): a block without an end or with broken base64.
    static Result<PemChain> parse(std::string_view pem);
    std::size_t size() const { return ranges_.size(); }
    ByteView operator[](std::size_t i) const {
        return ByteView(der_).subspan(ranges_[i].first, ranges_[i].second);
    }

  private:
    Bytes der_;                                                // of all blocks
    std::vector<std::pair<std::size_t, std::size_t>> ranges_;  // offset and size of each
};

}  // namespace kms::x509
