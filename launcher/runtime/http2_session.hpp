/// The coroutine that carries an HTTP/2 connection: reads, runs handlers side by side, writes.
/// Internal to the HTTP server.
#pragma once

#include "launcher/runtime/http_session.hpp"

#include <string>

namespace runtime {

/// Serves the connection until it ends; `received` is what was read of it so far. Every handler has
/// ended when it returns. Ends promptly on terminal cancellation, as its handlers do.
Task<void> serve_http2(HttpSessionContext& context, HttpSession& session, std::string received);

/// Lets the session look at its state again (something is to be sent, or the server stops). Does
/// nothing for HTTP/1.
void wake_http2(HttpSession& session);

}  // namespace runtime
