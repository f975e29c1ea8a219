/// What a peer's certificate says to the protocol: its key, and the extensions of the protocol.
/// Trust in the certificate is decided elsewhere. Source: spec "kms-protocol" sections 2.3 and 3.3.
#pragma once

#include "kms/crypto/certificate.hpp"

#include <string>
#include <utility>
#include <vector>

namespace kms::crypto {

class LeafCertificate {
  public:
    /// From one DER certificate, version 3, with nothing behind it. Errors (invalid_argument): it
    /// cannot be read, or names nobody (no subject and no alternative name). Nothing else of it is
    /// judged.
    static Result<LeafCertificate> parse(ByteView der);

    /// SubjectPublicKeyInfo as the certificate holds it, whatever the algorithm.
    ByteView spki() const { return spki_; }
    /// DER of the subject's name.
    ByteView subject() const { return subject_; }

    /// The payload of an extension; nothing when the certificate has none. Errors
    /// (invalid_argument): "ASN1Error { kind: Invalid }" when the value is no OCTET STRING,
    /// "ASN1Error { kind: Extra }" when something is behind it, "duplicate extension" when it
    /// stands there twice.
    Result<std::optional<Bytes>> payload(CustomExtension extension) const;
    /// Whether one of the extensions that carry an attestation is there, readable or not.
    bool carries_attestation() const;

    /// DNS names among the subject alternative names, as they stand.
    const std::vector<std::string>& dns_names() const { return dns_names_; }

  private:
    Result<void> read_extensions(ByteView list);
    void read_alternative_names(ByteView value);

    Bytes spki_, subject_;
    bool has_alternative_names_ = false;
    std::vector<std::string> dns_names_;
    std::vector<std::pair<CustomExtension, Bytes>> custom_;  ///< values, in order of appearance
};

}  // namespace kms::crypto
