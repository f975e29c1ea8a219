#include "kms/rpc/reply.hpp"

namespace kms {

runtime::HttpServerReply rpc_reply(Format format, RpcResult result) {
    runtime::HttpServerReply reply;
    reply.status = result ? 200 : 400;
    reply.content_type = content_type(format);
    reply.body = result ? std::move(*result) : encode_error(format, result.error());
    return reply;
}

RpcError body_error(runtime::BodyFault fault) {
    if (fault == runtime::BodyFault::too_large)
        return {"failed to read data", {"payload too large"}};
    return {"failed to read data",
            {"failed to read data", "error reading a body from connection",
             "the body is cut short or its chunks are malformed"}};
}

}  // namespace kms
