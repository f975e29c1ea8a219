/// The answers of the methods in both encodings. Pure. Source: spec "kms-protocol" sections 1.5
/// and 6.
#pragma once

#include "kms/rpc/rpc_error.hpp"

#include <string>

namespace kms {

namespace wire {
class AppKeyResponse;
class AttestationInfoResponse;
class BootstrapResponse;
class GetMetaResponse;
class GetTempCaCertResponse;
class KmsKeyResponse;
class OnboardResponse;
class PublicKeyResponse;
class SignCertResponse;
}  // namespace wire

std::string encode(Format format, const wire::GetMetaResponse& message);
std::string encode(Format format, const wire::GetTempCaCertResponse& message);
std::string encode(Format format, const wire::PublicKeyResponse& message);
std::string encode(Format format, const wire::SignCertResponse& message);
std::string encode(Format format, const wire::BootstrapResponse& message);
std::string encode(Format format, const wire::OnboardResponse& message);
std::string encode(Format format, const wire::AttestationInfoResponse& message);
/// These hold private keys: the answer is written into memory that does not grow, so that no copy
/// stays behind, and the caller wipes it.
std::string encode(Format format, const wire::AppKeyResponse& message);
std::string encode(Format format, const wire::KmsKeyResponse& message);
/// The answer of a method whose response type is Empty.
std::string encode_empty(Format format);

}  // namespace kms
