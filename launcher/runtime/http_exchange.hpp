/// What HTTP/1.1 and HTTP/2 have in common: from a complete request to its answer. Internal to the
/// HTTP server.
#pragma once

#include "launcher/runtime/http_session.hpp"

#include <string>

namespace runtime {

/// Fills `path` and `query` from `target`; absolute forms lose scheme and host, a fragment is
/// dropped.
void split_target(HttpServerRequest& request);

/// The value of the Date header; made once a second.
const std::string& date_now(HttpSessionContext& context);

/// How long a body may take of which `received` bytes are here: HttpBounds::body and body_rate.
Duration body_time(const HttpBounds& bounds, std::size_t received);
/// Counts bytes of a body that is being held; false, and nothing counted, when all bodies together
/// would be more than HttpBounds::bodies_bytes. What was counted is to be released once.
bool hold_body(HttpSessionContext& context, std::size_t bytes);
void release_body(HttpSessionContext& context, std::size_t bytes);

/// Runs the handler within the bound of requests in flight; 503 at once beyond it, 500 when the
/// handler throws.
Task<HttpServerReply> answer(HttpSessionContext& context, const HttpServerRequest& request);

}  // namespace runtime
