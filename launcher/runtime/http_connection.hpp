/// One accepted connection: a non-blocking descriptor with or without TLS on top. Internal to the
/// HTTP server.
///
/// Every operation first tries and only waits when the kernel says so. OpenSSL works on the
/// descriptor itself, so an idle TLS connection holds no buffers beyond OpenSSL's own (see
/// docs/adr/0007-http-sessions.md).
#pragma once

#include "launcher/runtime/clock.hpp"
#include "launcher/runtime/openssl_ptr.hpp"

#include <string>
#include <string_view>

#include <boost/asio/posix/stream_descriptor.hpp>

namespace runtime {

enum class IoOutcome {
    ok,
    end,        ///< the peer closed its side in order
    failed,     ///< reset or protocol error
    cancelled,  ///< by cancel()
};

class HttpConnection {
  public:
    /// Owns `descriptor`. `ssl` is null for plain connections.
    HttpConnection(asio::posix::stream_descriptor descriptor, OwnedSsl ssl);

    // No Deadline parameters: the server's sweep ends a phase by cancel(), see http_session.hpp.
    Task<IoOutcome> handshake();
    /// Appends what can be read now, at least one byte and at most 16 KiB, to `into`.
    Task<IoOutcome> read_append(std::string& into);
    Task<IoOutcome> write_all(std::string_view text);

    /// Tries to write without waiting; what does not fit is dropped. For last words.
    void write_now(std::string_view text);
    /// Ends a pending wait; the operation returns `cancelled`.
    void cancel();
    /// Says goodbye (close_notify) without waiting, and closes.
    void close();

    /// DER of the client's verified certificate; empty when it presented none. After handshake().
    std::string client_certificate() const;
    bool is_tls() const { return ssl_ != nullptr; }
    /// Whether ALPN chose "h2". After handshake().
    bool negotiated_http2() const;

  private:
    /// Waits until the operation that returned `result` can be tried again (ok), or says why not.
    Task<IoOutcome> wait_for_ssl(int result);
    Task<IoOutcome> wait(asio::posix::descriptor_base::wait_type what);

    asio::posix::stream_descriptor descriptor_;
    OwnedSsl ssl_;
};

}  // namespace runtime
