/// The KMS's question about itself, with the protocol's words around a refusal. Source: spec
/// "kms-protocol" section 6.9.
#pragma once

#include "kms/authorize/self_authorization.hpp"
#include "kms/rpc/rpc_error.hpp"

#include <tl/expected.hpp>

namespace kms {

/// Passes at once when `self` is null: the option is off.
inline runtime::Task<tl::expected<void, RpcError>> self_check(SelfAuthorization* self,
                                                              runtime::Deadline deadline) {
    if (self == nullptr) co_return tl::expected<void, RpcError>();
    auto allowed = co_await self->check(deadline);
    if (allowed) co_return tl::expected<void, RpcError>();
    co_return tl::make_unexpected(
        rpc_error(allowed.error()).within("KMS self authorization failed"));
}

}  // namespace kms
