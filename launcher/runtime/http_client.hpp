/// HTTP client: libcurl's multi interface driven by Asio. Every exchange has a deadline, counted
/// from the call to the last byte; after a time-out the connection is closed and never used again.
/// No redirects are followed. A request is sent at most once: when a kept connection turns out to
/// be closed, the fault is `closed` with reused_connection, and the caller decides whether to ask
/// again (with new_connection, since other kept connections may have ended with it). HTTP/1.1 only.
#pragma once

#include "launcher/runtime/clock.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

namespace runtime {

struct HttpClientTls {
    bool verify_peer = true;        ///< chain and name
    bool verify_name = true;        ///< false = the chain only
    std::string ca_file;            ///< PEM; empty = the system's roots
    std::string ca_pem;             ///< these roots only, as text; wins over ca_file
    bool tell_certificate = false;  ///< fill HttpExchange::peer_certificate
    std::string client_certificate_pem;
    std::string client_key_pem;
};

struct HttpClientRequest {
    std::string method = "GET";
    std::string url;          ///< http:// or https://; user info in it becomes Basic authentication
    std::string unix_socket;  ///< path; when set, the URL's host is only the Host header
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    std::size_t max_response_bytes = 1024 * 1024;
    /// Lookup, TCP and TLS together; the deadline bounds them, too.
    std::chrono::milliseconds connect_timeout{2'000};
    bool new_connection = false;  ///< neither take a kept connection nor keep this one
    bool use_proxy_from_environment = false;
    HttpClientTls tls;
};

/// Why there is no answer. Names what the caller can act on; the text is for people and never holds
/// URL credentials.
enum class HttpFault {
    none,
    bad_url,
    cannot_resolve,
    cannot_connect,  ///< refused, unreachable, TLS failure: nothing of the request was sent
    timed_out,       ///< deadline or connect_timeout
    closed,          ///< the peer closed or reset before a complete answer
    malformed,       ///< not HTTP
    too_large,       ///< more than max_response_bytes
    busy,            ///< the client's own bound on exchanges in flight
    internal,
};
std::string_view to_string(HttpFault fault);

/// Spans since the start of the exchange; zero when the stage was not reached.
struct HttpStageTimes {
    std::chrono::microseconds resolved{0}, connected{0}, tls{0}, first_byte{0}, total{0};
};

struct HttpExchange {
    HttpFault fault = HttpFault::none;
    std::string fault_detail;  ///< words, without credentials; empty on success
    unsigned status = 0;       ///< 0 when there is no complete answer
    std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
    std::string peer_certificate;  ///< the server's own, as PEM; empty unless asked for
    std::string body;  ///< like status and headers empty after a fault: half an answer is none
    HttpStageTimes times;
    bool reused_connection = false;
    bool request_sent = false;  ///< false only if surely no byte of the request left
    bool answer_began = false;  ///< bytes of an answer arrived, whatever became of it

    bool ok() const { return fault == HttpFault::none; }
    std::string_view header(std::string_view lower_case_name) const;
};

/// The seam for tests: tests/support/fake_http_client.hpp plays a peer.
class HttpClient {
  public:
    virtual ~HttpClient() = default;
    /// Never throws and never waits past `deadline`.
    virtual Task<HttpExchange> exchange(HttpClientRequest request, Deadline deadline) = 0;
};

class CurlHttpClient final : public HttpClient {
  public:
    struct Options {
        std::size_t max_in_flight = 256;    ///< beyond: HttpFault::busy, at once
        std::size_t kept_connections = 64;  ///< idle keep-alive connections
        std::string user_agent;             ///< none when empty
    };
    /// Runs on `executor`, which must be one thread (or a strand), and must be used from it.
    /// `clock` and the executor's context must outlive it. Names are looked up in threads of
    /// libcurl; a lookup that hangs delays neither the loop nor the destructor, its thread ends by
    /// itself when the C library gives up.
    CurlHttpClient(asio::any_io_executor executor, Clock& clock, Options options);
    /// Ends exchanges under way (HttpFault::internal) and closes all connections, without waiting.
    ~CurlHttpClient() override;
    /// Ends at once, with its connection, when the calling coroutine is cancelled.
    Task<HttpExchange> exchange(HttpClientRequest request, Deadline deadline) override;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

/// The URL with user info, path, query and fragment removed, for messages and logs:
/// "https://host:8545".
std::string url_origin(std::string_view url);

}  // namespace runtime
