/// HTTP server for all listeners of this project: TCP, TLS and unix sockets, HTTP/1.1 and, where
/// asked for, HTTP/2, with every wait bounded. See docs/transport.md.
///
/// Beast parses HTTP/1.1, nghttp2 HTTP/2, OpenSSL encrypts, a session is one coroutine. Bounds are
/// kept by one sweep over the sessions every 100 ms, not by a timer per operation; a phase
/// therefore ends at most 100 ms after its limit. Source: spec "kms-protocol" sections 1 and 12,
/// "launcher" section 5.2.
#pragma once

#include "launcher/runtime/clock.hpp"
#include "launcher/runtime/metrics.hpp"
#include "launcher/runtime/tls.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>

namespace runtime {

enum class BodyFault {
    none,
    too_large,  ///< longer than the limit of this request; what was read of it is not in `body`
    broken,     ///< cut short, or broken chunking
};

struct HttpHeader {
    std::string name;  ///< as sent
    std::string value;
};

/// A request as a handler sees it. Lives as long as the handler runs.
struct HttpServerRequest {
    std::string method;
    std::string target;  ///< as sent; HTTP/2: the pseudo-header ":path"
    std::string path;    ///< the target up to '?' or '#', not decoded; without scheme and host for
                         ///< absolute forms
    std::string query;   ///< what follows '?', without '#…', not decoded
    std::vector<HttpHeader> headers;
    std::string body;
    BodyFault body_fault = BodyFault::none;
    std::string peer_address;  ///< numeric address, or "unix"
    std::uint16_t peer_port = 0;
    /// User of the process at the other end of a unix socket, as the kernel says (SO_PEERCRED).
    std::optional<unsigned> peer_uid;
    std::string client_certificate;  ///< DER of the verified leaf; empty when none was presented

    /// The first header of that name, in any letter case; empty when absent.
    std::string_view header(std::string_view name) const;
};

struct HttpServerReply {
    unsigned status = 200;
    std::string content_type;         ///< no header when empty
    std::string body;                 ///< not sent for HEAD, but counted in Content-Length
    std::vector<HttpHeader> headers;  ///< beyond Content-Type, Content-Length, Connection and Date
    bool close = false;               ///< end the connection after this answer
    bool secret = false;              ///< the body holds a secret: it is wiped once sent
    /// Further headers, which a handler has made once for all its answers; names in small letters.
    std::shared_ptr<const std::vector<HttpHeader>> common_headers{};
};

/// Answers one request. Must not throw for bad input; an exception becomes a 500 and a log line.
/// `deadline` is HttpBounds::handler after the request was complete.
using HttpHandler = std::function<Task<HttpServerReply>(const HttpServerRequest&, Deadline)>;
/// The body limit of a request, decided from its head, in bytes.
using BodyLimit = std::function<std::size_t(const HttpServerRequest& head)>;

/// What a peer or a handler may take. Times are spans from the start of the phase.
struct HttpBounds {
    std::chrono::milliseconds handshake{10'000};  ///< TLS handshake
    std::chrono::milliseconds first_byte{
        15'000};  ///< connection (or handshake) → first byte of the first request
    std::chrono::milliseconds head{15'000};  ///< first byte → end of the head
    /// End of the head → end of the body; a body gets this much, and time to arrive at `body_rate`.
    std::chrono::milliseconds body{60'000};
    std::size_t body_rate = 0;  ///< bytes per second on average, beyond `body`; 0 = no more time
    std::chrono::milliseconds handler{60'000};  ///< deadline that handlers get
    std::chrono::milliseconds write{30'000};    ///< first → last byte of the answer
    std::chrono::milliseconds idle{15'000};     ///< last answer → next request
    std::chrono::milliseconds connection{0};  ///< life of a connection; 0 = not bounded as a whole
    std::size_t head_bytes = 64 * 1024;       ///< 431 beyond
    std::size_t head_fields = 100;            ///< 431 beyond
    std::size_t target_bytes = 65'535;        ///< 414 beyond
    std::size_t body_bytes = 10 * 1024 * 1024;     ///< unless a BodyLimit says otherwise
    std::size_t bodies_bytes = 256 * 1024 * 1024;  ///< held at a time, of all requests; 503 beyond
    /// Beyond: 503 and close (plain), or close (TLS). Fewer when the process may not have so many
    /// descriptors.
    std::size_t connections = 4096;
    std::size_t connections_per_address = 0;  ///< 0 = as `connections`
    /// At `connections`, a connection that has been open this long and sends no request gives way
    /// to a new one (408; GOAWAY), and one that has not even begun its TLS handshake after a tenth
    /// of that; 0 = the new one is refused. Not together with
    /// connections_per_address.
    std::chrono::milliseconds give_way{0};
    /// Beyond `connections`, so many more may stay for `guest_stay` to send one request, which is
    /// answered, and the connection closed; those without a complete request by then, and the
    /// oldest of them when a further one comes, get 503. So clients that are slow, or come back for
    /// ever, keep nobody out who has a question. 0 = refused at once. Plain connections only.
    std::size_t guests = 0;
    std::chrono::milliseconds guest_stay{100};
    std::size_t requests_in_flight = 256;     ///< handlers at work; 503 at once beyond
    std::size_t requests_per_connection = 0;  ///< 0 = not bounded; HTTP/1 only
    std::size_t streams = 100;                ///< HTTP/2: open at a time on one connection
    /// HTTP/2: streams that a peer may open and reset, and frames that carry no request (PING,
    /// SETTINGS, WINDOW_UPDATE, empty DATA, …): at once, and again in every ten seconds. Beyond,
    /// the connection ends with ENHANCE_YOUR_CALM.
    std::size_t stream_resets = 200;
    std::size_t control_frames = 1000;
};

/// What the bounds did; read by /metrics of the program.
struct HttpServerCounters {
    Counter connections_accepted, connections_refused, handshakes_failed, requests,
        requests_refused;
    Counter timeouts_handshake, timeouts_first_byte, timeouts_head, timeouts_body, timeouts_write,
        timeouts_idle;
    Counter heads_refused;   ///< malformed or too large
    Counter bodies_refused;  ///< because of bodies_bytes
    Counter connections_given_way;
    Counter tls_resumed;
    std::atomic<std::int64_t> tls_sessions_expired{0}, tls_sessions_evicted{0};
    Counter http2_connections, http2_floods;  ///< ended because of stream_resets or control_frames
    std::atomic<std::int64_t> connections_open{0};
    std::atomic<std::int64_t> requests_in_flight{0};
    std::atomic<std::int64_t> body_bytes{0};  ///< of request bodies that are held
};

struct HttpServerOptions {
    HttpBounds bounds;
    HttpHandler handler;
    BodyLimit body_limit;                         ///< may be empty
    std::shared_ptr<const TlsServerContext> tls;  ///< null = plain HTTP
    std::string log_target = "runtime::http";
    /// HTTP/2, too: by ALPN where `tls` offers it, and by prior knowledge.
    bool http2 = false;
};

class HttpServer {
  public:
    /// Everything runs on `executor`, which must be one thread (or a strand). `clock` must outlive
    /// the server.
    HttpServer(asio::any_io_executor executor, Clock& clock, HttpServerOptions options);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Binds and listens. `address` is "127.0.0.1:9180", "[::1]:9180" or "unix:/path" (mode 0600; a
    /// stale socket file is replaced). May be called several times. Port 0 takes a free one. Errors
    /// (unavailable): a sentence that names the address and, for a port in use, the process that
    /// holds it where /proc shows it.
    Result<void> listen(const std::string& address);
    /// The port of the first TCP listener; 0 if there is none.
    std::uint16_t port() const;
    /// Starts to accept.
    void start();
    /// Connections that are accepted from now on get this identity; earlier ones keep theirs.
    void use_tls(std::shared_ptr<const TlsServerContext> context);

    /// Stops to accept, lets requests at work finish until `deadline`, closes idle connections at
    /// once and the rest at the deadline. The only way to end; call before destruction when start()
    /// was called.
    Task<void> stop(Deadline deadline);

    const HttpServerCounters& counters() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

/// Percent-decoding of a path segment or query piece; '%' without two hex digits stays as it is.
std::string percent_decode(std::string_view text, bool plus_is_space = false);

}  // namespace runtime
