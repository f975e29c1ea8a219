/// One accepted connection: a non-blocking descriptor with or without TLS on top. Internal to the
/// HTTP server.
///
/// Every operation first tries and only waits when the kernel says so. OpenSSL works on the
/// descriptor itself, so an idle TLS connection holds no buffers beyond OpenSSL's own (see
/// docs/adr/0007-http-sessions.md).
#pragma once

#include "launcher/runtime/clock.hpp"
#include "launcher/runtime/openssl_ptr.hpp"
#include "launcher/runtime/tls.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <tuple>

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
    /// Owns `descriptor`. `tls` is null for plain connections. OpenSSL's part is made when the peer
    /// has said something: one that only connects costs next to nothing.
    HttpConnection(asio::posix::stream_descriptor descriptor,
                   std::shared_ptr<const TlsServerContext> tls);

    // No Deadline parameters: the server's sweep ends a phase by cancel(), see http_session.hpp.
    Task<IoOutcome> handshake();
    /// Appends what can be read now, at least one byte and at most 16 KiB, to `into`.
    Task<IoOutcome> read_append(std::string& into);
    /// `last`: nothing follows, so the peer is told the end of the TLS connection in the same
    /// write.
    Task<IoOutcome> write_all(std::string_view text, bool last = false);

    /// Calls `then` once when there is something to read, or after cancel(): the wait of a
    /// connection at rest, which holds no coroutine. Not together with another operation.
    template <class Then>
    void when_readable(Then then) {
        if (wire_) expect_input();
        descriptor_.async_wait(
            asio::posix::descriptor_base::wait_read,
            [then = std::move(then)](const boost::system::error_code&) { then(); });
    }

    /// Tries to write without waiting; what does not fit is dropped. For last words.
    void write_now(std::string_view text);
    /// Ends a pending wait; the operation returns `cancelled`.
    void cancel();
    /// Says goodbye (close_notify) without waiting, and closes.
    void close();

    /// DER of the client's verified certificate; empty when it presented none. After handshake().
    std::string client_certificate() const;
    /// Whether a TLS client has begun its handshake. A plain one has always spoken.
    bool has_spoken() const { return tls_ == nullptr; }
    bool is_tls() const { return tls_ != nullptr || ssl_ != nullptr; }
    /// Whether ALPN chose "h2". After handshake().
    bool negotiated_http2() const;

    /// Whether the client resumed an earlier TLS session. After handshake().
    bool resumed() const { return ssl_ && SSL_session_reused(ssl_.get()) == 1; }

  private:
    /// What OpenSSL's BIO works on; at a fixed place, as connections move.
    struct Wire;
    struct WireFree {
        void operator()(Wire* wire) const;
    };
    struct WireBio;

    /// Writes to the descriptor itself.
    Task<IoOutcome> send_all(std::string_view text);
    /// TLS close_notify, once and without waiting.
    void say_goodbye();
    /// Submits the one session ticket of TLS 1.3, to go out with the first answer.
    void offer_ticket();
    /// Waits until the operation that returned `result` can be tried again (ok), or says why not.
    Task<IoOutcome> wait_for_ssl(int result);
    using Readiness = std::tuple<boost::system::error_code>;
    Task<Readiness> wait(asio::posix::descriptor_base::wait_type what);
    /// One try to read: over, or what to wait for.
    struct Attempt {
        bool over = false;
        IoOutcome outcome = IoOutcome::ok;
        asio::posix::descriptor_base::wait_type wait_for = asio::posix::descriptor_base::wait_read;
    };
    Attempt read_plain(std::string& into);
    Attempt read_tls(std::string& into);

    /// Whatever the last read left, the next one asks the kernel.
    void expect_input();

    /// Makes ssl_ and what belongs to it. Throws std::bad_alloc.
    void begin_tls();

    asio::posix::stream_descriptor descriptor_;
    std::shared_ptr<const TlsServerContext> tls_;  ///< until begin_tls()
    std::unique_ptr<Wire, WireFree> wire_;         ///< null for plain connections
    OwnedSsl ssl_;                                 ///< its BIO points to wire_
    bool ticket_due_ = false;
};

}  // namespace runtime
