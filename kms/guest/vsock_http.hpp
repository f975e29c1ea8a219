/// One HTTP exchange over a socket that libcurl does not know: vsock, between a machine and its
/// host. HTTP/1.1, one request per connection. Source: spec "kms-protocol" section 9, vsock(7).
#pragma once

#include "launcher/runtime/http_client.hpp"

#include <cstdint>

#include <boost/asio/generic/stream_protocol.hpp>

namespace kms {

/// As HttpClient::exchange(), to a port of a machine. The URL gives path and Host header.
runtime::Task<runtime::HttpExchange> vsock_exchange(runtime::Clock& clock, std::uint32_t cid,
                                                    std::uint32_t port,
                                                    runtime::HttpClientRequest request,
                                                    runtime::Deadline deadline);
/// The same to any stream socket's address.
runtime::Task<runtime::HttpExchange> stream_exchange(
    runtime::Clock& clock, boost::asio::generic::stream_protocol::endpoint peer,
    runtime::HttpClientRequest request, runtime::Deadline deadline);

}  // namespace kms
