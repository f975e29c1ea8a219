/// Decoding the arguments of a call in whichever form they came.
#pragma once

#include "kms/rpc/decode.hpp"
#include "kms/rpc/handlers.hpp"

#include <utility>

namespace kms {

/// Arguments up to this size are decoded on the I/O thread: well under a millisecond of work.
inline constexpr std::size_t kInlineArguments = 64 * 1024;

template <class Message>
tl::expected<Message, RpcError> arguments_of(const RpcCall& call, const MessageSchema& schema) {
    Message message;
    runtime::Result<void> decoded;
    if (call.arguments_in_query)
        decoded = decode_query(schema, call.arguments, message);
    else if (call.format == Format::json)
        decoded = decode_json(schema, call.arguments, message);
    else
        decoded = decode_protobuf(schema, call.arguments, message);
    if (!decoded) return tl::make_unexpected(RpcError(std::move(decoded.error().context)));
    return message;
}

/// Runs `work`, a callable that gives a tl::expected<T, RpcError>: at once when it is `small`, else
/// on a worker.
template <class Work>
auto compute(Worker worker, bool small, runtime::Deadline deadline, Work work)
    -> runtime::Task<decltype(work())> {
    using Outcome = decltype(work());
    if (small) co_return work();
    // A named value: GCC 12 destroys a temporary closure inside of co_await twice.
    auto wrapped = [work = std::move(work)]() mutable -> runtime::Result<Outcome> {
        return work();
    };
    auto outcome = co_await worker.workers.run(worker.clock, deadline, std::move(wrapped));
    if (!outcome)
        co_return Outcome(tl::make_unexpected(RpcError(std::move(outcome.error().context))));
    co_return std::move(*outcome);
}

}  // namespace kms
