/// Names → addresses, without ever being stuck in the system's resolver. Source: spec "launcher"
/// section 2.4 (resolve).
#pragma once

#include "launcher/runtime/clock.hpp"

#include <string>
#include <vector>

#include <boost/asio/ip/address.hpp>

namespace launcher {

/// At most this many look-ups are left behind in a hanging system resolver at a time.
inline constexpr int kMaxAbandonedLookups = 4;

/// The addresses of `host`, at most 4, at least one. Numeric addresses and "localhost" (RFC 6761
/// section 6.3: loopback) need no look-up. Others are looked up by a thread of their own, because
/// getaddrinfo cannot be cancelled: when this coroutine is cancelled the thread is left to finish
/// alone. Errors: not_found (the resolver's words), resource_exhausted (too many look-ups hang, or
/// no thread could be started). Wrap it in with_deadline.
runtime::Task<runtime::Result<std::vector<boost::asio::ip::address>>> resolve_host(
    std::string host);

}  // namespace launcher
