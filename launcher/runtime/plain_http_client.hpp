/// HttpClient for programs that mostly ask plain neighbours: what goes to a numeric address or a
/// unix socket without TLS and without a proxy is done here, on a connection of its own. Everything
/// else goes to libcurl, which is loaded when it is first needed: with it come 28 libraries.
#pragma once

#include "launcher/runtime/http_client.hpp"

#include <memory>
#include <optional>
#include <string>

namespace runtime {

class PlainHttpClient final : public HttpClient {
  public:
    /// As CurlHttpClient; `options` bound both roads together. Kept connections are libcurl's.
    PlainHttpClient(asio::any_io_executor executor, Clock& clock, CurlHttpClient::Options options);
    ~PlainHttpClient() override;
    Task<HttpExchange> exchange(HttpClientRequest request, Deadline deadline) override;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;  ///< also of those who wait: the client may go first
};

/// Host and port of a URL that needs neither a name lookup nor TLS ("http://127.0.0.1:8000/x",
/// "http://[::1]"); nothing for any other. For a request to a unix socket only the form is looked
/// at.
struct PlainTarget {
    std::string address;  ///< numeric, without brackets
    std::uint16_t port = 0;
};
std::optional<PlainTarget> plain_target(const HttpClientRequest& request);

}  // namespace runtime
