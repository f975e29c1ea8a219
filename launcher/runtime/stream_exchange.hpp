/// One HTTP/1.1 exchange over one stream socket of whatever family, without libcurl: the connection
/// is made for it and closed behind it. Also for vsock, which libcurl does not know. Source: RFC
/// 9112; vsock(7).
#pragma once

#include "launcher/runtime/http_client.hpp"

#include <cstdint>

#include <boost/asio/generic/stream_protocol.hpp>

namespace runtime {

/// As HttpClient::exchange(), to the given address; the URL gives path and Host header, and nothing
/// of the request but its TLS, proxy and unix socket is left out. Fills no stage times.
Task<HttpExchange> stream_exchange(Clock& clock, asio::generic::stream_protocol::endpoint peer,
                                   HttpClientRequest request, Deadline deadline);
/// The same to a port of a machine that vsock knows by `cid`.
Task<HttpExchange> vsock_exchange(Clock& clock, std::uint32_t cid, std::uint32_t port,
                                  HttpClientRequest request, Deadline deadline);

}  // namespace runtime
