/// The methods that release keys and certificates. Source: spec "kms-protocol" sections 6.3, 6.4
/// and 6.6.
#pragma once

#include "kms/rpc/handlers.hpp"

namespace kms {

runtime::Task<RpcResult> get_app_key(KmsParts& parts, Worker worker, const RpcCall& call,
                                     runtime::Deadline deadline);
runtime::Task<RpcResult> get_kms_key(KmsParts& parts, Worker worker, const RpcCall& call,
                                     runtime::Deadline deadline);
runtime::Task<RpcResult> sign_cert(KmsParts& parts, Worker worker, const RpcCall& call,
                                   runtime::Deadline deadline);

}  // namespace kms
