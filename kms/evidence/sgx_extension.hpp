/// The platform's identity inside a PCK certificate. Source: spec "attestation" section 1.7.
#pragma once

#include "kms/evidence/report_body.hpp"

#include <array>

namespace kms {

using Ppid = std::array<std::uint8_t, 16>;
using Fmspc = std::array<std::uint8_t, 6>;
using CpuSvn = std::array<std::uint8_t, 16>;

struct SgxExtension {
    Bytes ppid;  ///< 16 bytes of every real platform; the length is not a rule
    Fmspc fmspc{};
    CpuSvn cpu_svn{};  ///< byte i is the SVN of component i + 1
    std::uint16_t pce_svn = 0;
    std::array<std::uint8_t, 2> pce_id{};
    std::uint16_t sgx_type = 0;
};

/// Reads the value of extension 1.2.840.113741.1.13.1. Errors (invalid_argument) name the member
/// that is missing, doubled or of another form.
Result<SgxExtension> parse_sgx_extension(ByteView der);

/// The content octets of that OID, to find the extension by.
ByteView sgx_extension_oid();

}  // namespace kms
