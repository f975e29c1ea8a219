/// The answers of the methods in both encodings. Pure. Source: spec "kms-protocol" sections 1.5
/// and 6.
#pragma once

#include "kms/rpc/rpc_error.hpp"

#include <string>

namespace kms {

namespace wire {
class GetMetaResponse;
class GetTempCaCertResponse;
class PublicKeyResponse;
}  // namespace wire

std::string encode(Format format, const wire::GetMetaResponse& message);
std::string encode(Format format, const wire::GetTempCaCertResponse& message);
std::string encode(Format format, const wire::PublicKeyResponse& message);

}  // namespace kms
