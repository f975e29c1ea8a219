/// The 64 bytes that a quote binds, made from what they stand for. Source: spec "attestation"
/// section 3.15.
#pragma once

#include "kms/evidence/report_body.hpp"

#include <array>
#include <string_view>

namespace kms {

using ReportData = std::array<std::uint8_t, 64>;

inline constexpr std::string_view kTagRatlsCertificate = "ratls-cert";
inline constexpr std::string_view kTagKmsRootCa = "kms-root-ca";
inline constexpr std::string_view kTagAppData = "app-data";

/// H(tag | ":" | content), padded with zeros. `hash` is one of sha256, sha384, sha512 (also ""),
/// sha3-256, sha3-384, sha3-512, keccak256, keccak384, keccak512, or raw, which takes exactly 64
/// bytes as they are. Errors (invalid_argument): another name, or raw content of another length.
Result<ReportData> report_data(std::string_view tag, ByteView content, std::string_view hash);

/// What a quote must bind to belong to a TLS key: its SubjectPublicKeyInfo as DER.
ReportData ratls_report_data(ByteView spki_der);

}  // namespace kms
