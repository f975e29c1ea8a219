/// What a KMS answers to one that wants its keys. Pure; keys are wiped where they pass through.
/// Source: spec "kms-protocol" sections 6.1, 6.4 and 7.4.
#pragma once

#include "kms/crypto/k256.hpp"
#include "kms/crypto/p256.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace kms {

struct TempCa {
    crypto::P256Key key;
    crypto::Bytes subject_name;                        ///< DER: the issuer of what the key signs
    std::optional<crypto::P256Point> root_public_key;  ///< of the root certificate beside it
};
/// The answer of GetTempCaCert. Errors (invalid_argument): not such an answer, "Failed to parse tmp
/// CA key".
runtime::Result<TempCa> parse_temp_ca(std::string_view body);

struct SourceKeys {
    crypto::P256Key temp_ca_key;
    crypto::P256Key ca_key;
    crypto::K256Key k256_key;
};
/// The answer of GetKmsKey. Errors (invalid_argument): not such an answer; "Invalid keys" when it
/// does not hold exactly one set; "Failed to parse CA key", "Failed to parse tmp CA key", "Failed
/// to parse ECDSA key".
runtime::Result<SourceKeys> parse_source_keys(std::string_view body);

}  // namespace kms
