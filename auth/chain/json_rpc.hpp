/// JSON-RPC 2.0 towards an Ethereum endpoint: request texts out, answers in. Pure.
///
/// Answers are matched by id, in any order; an answer without a matching id, with two of them, or
/// with both result and error is no answer. Ids count through the life of the process, so the
/// answer to another request is never taken for the one to this.
/// Source: JSON-RPC 2.0 specification; spec "auth-api" sections 2.4 and 2.5.
#pragma once

#include "auth/policy/decision.hpp"
#include "launcher/runtime/bytes.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace auth {

/// One question to the chain.
struct ChainCall {
    enum class Method { chain_id, block_number, block_header, contract_call } method;
    std::string block{};  ///< block_header, contract_call: a tag or a hex quantity
    std::string to{};     ///< contract_call: "0x" and 40 digits
    std::string data{};   ///< contract_call: "0x" and hex digits
};
/// "eth_call" and the like.
std::string_view method_name(ChainCall::Method method);

/// A batch of `calls` with the ids `first_id`, `first_id` + 1, …
std::string batch_request(const std::vector<ChainCall>& calls, std::uint64_t first_id);
std::string single_request(const ChainCall& call, std::uint64_t id);

struct RpcError {
    std::int64_t code = 0;
    std::string message;  ///< the endpoint's words: for operators only, never for callers

    friend bool operator==(const RpcError&, const RpcError&) = default;
};
/// What is wanted of a block; both empty when the endpoint does not have the block.
struct BlockHeader {
    std::string number;     ///< hex quantity
    std::string timestamp;  ///< hex quantity, seconds since 1970
};
/// What one call came to: a text, for block_header a header, or the call's own error.
using CallAnswer = std::variant<std::string, BlockHeader, RpcError>;

struct RpcAnswer {
    enum class Kind {
        answers,    ///< one per call, in the order of the calls
        refused,    ///< one error object instead: a batch may be what this endpoint does not take
        malformed,  ///< not JSON-RPC, or not the answers to these calls
    } kind = Kind::malformed;
    std::vector<CallAnswer> answers;
    RpcError error;  ///< of Kind::refused
};
/// The answer to batch_request(calls, first_id).
RpcAnswer parse_batch(std::string_view body, const std::vector<ChainCall>& calls,
                      std::uint64_t first_id);
/// The answer to single_request(call, id); refused means an error object without an id.
RpcAnswer parse_single(std::string_view body, const ChainCall& call, std::uint64_t id);

/// "0x" and hex digits of either case → the number; leading zeros are accepted. Nothing for
/// anything else, nor for what does not fit.
std::optional<std::uint64_t> parse_quantity(std::string_view text);
std::string quantity(std::uint64_t value);
/// "0x" and an even number of hex digits of either case → bytes.
std::optional<runtime::Bytes> parse_data(std::string_view text);

/// What an error of one call means for callers.
Failure failure_of(const RpcError& error);
/// Whether the endpoint said that it does not have the block yet: behind a balancer the next try
/// may reach a node that has.
bool is_lag(const RpcError& error);

}  // namespace auth
