/// From the outcome of a call to its HTTP answer; the same on every listener. Pure.
#pragma once

#include "kms/rpc/rpc_error.hpp"
#include "launcher/runtime/http_server.hpp"

#include <string>

#include <tl/expected.hpp>

namespace kms {

/// The body of an answer, in the encoding that was asked for, or why there is none.
using RpcResult = tl::expected<std::string, RpcError>;

/// 200, or 400 with the error's text.
runtime::HttpServerReply rpc_reply(Format format, RpcResult result);
/// The error of a body that did not arrive as it should. `fault` is not `none`.
RpcError body_error(runtime::BodyFault fault);

}  // namespace kms
