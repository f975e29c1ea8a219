/// Errors of the RPC layer, in the form that callers see. Pure. Source: spec "kms-protocol"
/// section 1.7, form E.
#pragma once

#include "launcher/runtime/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace kms {

/// The encoding of a request and of its answer.
enum class Format { json, protobuf };

/// A failed call: the message, its cause, the cause of that, and so on. Never empty, never a
/// secret.
struct RpcError {
    explicit RpcError(std::string message) : chain{std::move(message)} {}
    RpcError(std::string message, std::vector<std::string> causes);

    /// The same error as the cause of `message`.
    RpcError within(std::string message) &&;
    /// The message alone, or followed by a blank line, "Caused by:" and the causes, numbered if
    /// there are several.
    std::string text() const;

    std::vector<std::string> chain;
};

/// An error of ours as a chain: where its text begins with sentences that the protocol gives as
/// links of their own ("Failed to parse vm config: ..."), they become links.
RpcError rpc_error(const runtime::Error& error);

/// The body of the answer with status 400.
std::string encode_error(Format format, const RpcError& error);
std::string_view content_type(Format format);

}  // namespace kms
