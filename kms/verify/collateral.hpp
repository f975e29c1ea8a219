/// What Intel says about its platforms, as received: nothing in it is trusted yet. Source: spec
/// "attestation" section 2.1.
#pragma once

#include "kms/evidence/report_body.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace kms {

struct Collateral {
    std::string pck_crl_issuer_chain;  ///< PEM; carried along, not used
    Bytes root_ca_crl;                 ///< DER
    Bytes pck_crl;                     ///< DER
    std::string tcb_info_issuer_chain;
    std::string tcb_info;  ///< the exact text that was signed
    Bytes tcb_info_signature;
    std::string qe_identity_issuer_chain;
    std::string qe_identity;
    Bytes qe_identity_signature;
    std::optional<std::string> pck_certificate_chain;

    friend bool operator==(const Collateral&, const Collateral&) = default;
};

/// The JSON form: member names as above, binary members as hex. Errors (invalid_argument): not such
/// an object.
Result<Collateral> parse_collateral(std::string_view json);
std::string to_json(const Collateral& collateral);

}  // namespace kms
