#include "launcher/runtime/http_connection.hpp"

#include <array>
#include <cerrno>
#include <new>
#include <span>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/socket.h>

namespace runtime {
namespace {

using Wait = asio::posix::descriptor_base;

/// Bytes of a connection pass through here only between two statements, so one buffer serves a
/// whole thread.
std::span<char> scratch() {
    thread_local std::array<char, 16 * 1024> buffer;
    return buffer;
}

/// Where writes are collected; empty between two statements.
std::string& gathered() {
    thread_local std::string text;
    return text;
}

/// A ticket holds the client's certificate and has at most 65,280 bytes.
constexpr int kLargestTicketCertificate = 48 * 1024;
constexpr std::size_t kGatherBytes = 12 * 1024;

/// SSL_get_error() takes an error that an earlier call has left for its own. To clear what is clear
/// already costs more than to look.
void forget_errors() {
    if (ERR_peek_error() != 0) ERR_clear_error();
}

IoOutcome outcome_of(const boost::system::error_code& error) {
    if (!error) return IoOutcome::ok;
    return error == asio::error::operation_aborted ? IoOutcome::cancelled : IoOutcome::failed;
}

bool would_block() {
    return errno == EAGAIN;
}  // on Linux the same number as EWOULDBLOCK

}  // namespace

struct HttpConnection::Wire {
    int descriptor = -1;
    bool drained = false;  ///< the last read took all there was; the next one would be in vain
    bool ended = false;    ///< the peer has closed its side
    bool gather = false;   ///< writes are collected in gathered()
};

void HttpConnection::WireFree::operator()(Wire* wire) const {
    delete wire;
}

/// OpenSSL's way to the descriptor.
struct HttpConnection::WireBio {
    static Wire& wire(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

    static int read(BIO* bio, char* into, int room) {
        Wire& from = wire(bio);
        BIO_clear_retry_flags(bio);
        if (from.drained) {
            BIO_set_retry_read(bio);
            return -1;
        }
        ssize_t got = 0;
        do {
            got = ::recv(from.descriptor, into, static_cast<std::size_t>(room), 0);
        } while (got < 0 && errno == EINTR);
        if (got > 0) {
            from.drained = got < room;
        } else if (got == 0) {
            from.ended = true;
        } else if (would_block()) {
            from.drained = true;
            BIO_set_retry_read(bio);
        }
        return static_cast<int>(got);
    }

    static int write(BIO* bio, const char* bytes, int size) {
        Wire& to = wire(bio);
        BIO_clear_retry_flags(bio);
        if (to.gather) {
            gathered().append(bytes, static_cast<std::size_t>(size));
            return size;
        }
        ssize_t put = 0;
        do {
            put = ::send(to.descriptor, bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL);
        } while (put < 0 && errno == EINTR);
        if (put < 0 && would_block()) BIO_set_retry_write(bio);
        return static_cast<int>(put);
    }

    static long control(BIO* bio, int command, long, void*) {
        if (command == BIO_CTRL_EOF) return wire(bio).ended ? 1 : 0;
        return command == BIO_CTRL_FLUSH ? 1 : 0;
    }

    static const BIO_METHOD* method() {
        static const BIO_METHOD* const made = [] {
            BIO_METHOD* fresh =
                BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "http_connection");
            if (fresh == nullptr) throw std::bad_alloc();
            BIO_meth_set_read(fresh, read);
            BIO_meth_set_write(fresh, write);
            BIO_meth_set_ctrl(fresh, control);
            return fresh;
        }();
        return made;
    }
};

HttpConnection::HttpConnection(asio::posix::stream_descriptor descriptor,
                               std::shared_ptr<const TlsServerContext> tls)
    : descriptor_(std::move(descriptor)), tls_(std::move(tls)) {}

void HttpConnection::begin_tls() {
    ssl_.reset(SSL_new(tls_->native()));
    wire_.reset(new Wire);
    wire_->descriptor = descriptor_.native_handle();
    BIO* bio = BIO_new(WireBio::method());
    if (!ssl_ || bio == nullptr) {
        BIO_free(bio);
        throw std::bad_alloc();
    }
    BIO_set_data(bio, wire_.get());
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);
    tls_.reset();
}

void HttpConnection::expect_input() {
    wire_->drained = false;
}

// No coroutine of its own: idle connections wait here by the thousand, and each frame counts.
Task<HttpConnection::Readiness> HttpConnection::wait(Wait::wait_type what) {
    if (wire_ && what == Wait::wait_read) expect_input();
    return descriptor_.async_wait(what, asio::as_tuple(asio::use_awaitable));
}

Task<IoOutcome> HttpConnection::wait_for_ssl(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ: {
            const auto [error] = co_await wait(Wait::wait_read);
            co_return outcome_of(error);
        }
        case SSL_ERROR_WANT_WRITE: {
            const auto [error] = co_await wait(Wait::wait_write);
            co_return outcome_of(error);
        }
        default:
            co_return IoOutcome::failed;
    }
}

Task<IoOutcome> HttpConnection::handshake() {
    const auto [error] = co_await wait(Wait::wait_read);
    if (error) co_return outcome_of(error);
    begin_tls();
    while (true) {
        forget_errors();
        const int result = SSL_accept(ssl_.get());
        if (result == 1) {
            ticket_due_ = SSL_version(ssl_.get()) == TLS1_3_VERSION;
            co_return IoOutcome::ok;
        }
        if (const IoOutcome waited = co_await wait_for_ssl(result); waited != IoOutcome::ok)
            co_return waited;
    }
}

Task<IoOutcome> HttpConnection::read_append(std::string& into) {
    while (true) {
        const Attempt attempt = ssl_ ? read_tls(into) : read_plain(into);
        if (attempt.over) co_return attempt.outcome;
        const auto [error] = co_await wait(attempt.wait_for);
        if (error) co_return outcome_of(error);
    }
}

HttpConnection::Attempt HttpConnection::read_plain(std::string& into) {
    const auto buffer = scratch();
    ssize_t got = 0;
    do {
        got = ::recv(descriptor_.native_handle(), buffer.data(), buffer.size(), 0);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return {.over = !would_block(), .outcome = IoOutcome::failed};
    into.append(buffer.data(), static_cast<std::size_t>(got));
    return {.over = true, .outcome = got == 0 ? IoOutcome::end : IoOutcome::ok};
}

HttpConnection::Attempt HttpConnection::read_tls(std::string& into) {
    const auto buffer = scratch();
    forget_errors();
    int got = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    if (got <= 0 && ticket_due_ && SSL_get_error(ssl_.get(), got) == SSL_ERROR_WANT_READ) {
        // No request is here yet. The ticket also acknowledges the peer's last flight, which a peer
        // with Nagle's algorithm awaits before it sends the request.
        offer_ticket();
        forget_errors();
        got = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
    }
    if (got > 0) {
        into.append(buffer.data(), static_cast<std::size_t>(got));
        return {.over = true, .outcome = IoOutcome::ok};
    }
    switch (SSL_get_error(ssl_.get(), got)) {
        case SSL_ERROR_WANT_READ:
            return {.over = false};
        case SSL_ERROR_WANT_WRITE:
            return {.over = false, .wait_for = Wait::wait_write};
        case SSL_ERROR_ZERO_RETURN:
            return {.over = true, .outcome = IoOutcome::end};
        default:
            return {.over = true, .outcome = IoOutcome::failed};
    }
}

void HttpConnection::offer_ticket() {
    ticket_due_ = false;
    const X509* leaf = SSL_get0_peer_certificate(ssl_.get());
    if (leaf != nullptr && i2d_X509(leaf, nullptr) > kLargestTicketCertificate) return;
    SSL_new_session_ticket(ssl_.get());
}

Task<IoOutcome> HttpConnection::write_all(std::string_view text, bool last) {
    if (!ssl_) co_return co_await send_all(text);
    // Ticket, text and goodbye are records of their own; together they are still one write.
    wire_->gather = (ticket_due_ || last) && text.size() <= kGatherBytes;
    if (ticket_due_) offer_ticket();
    while (!text.empty()) {
        forget_errors();
        const int put = SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
        if (put > 0) {
            text.remove_prefix(static_cast<std::size_t>(put));
            continue;
        }
        if (wire_->gather) break;  // only an error can keep a write from being gathered
        const IoOutcome waited = co_await wait_for_ssl(put);
        if (waited != IoOutcome::ok) co_return waited;
    }
    if (!wire_->gather) co_return IoOutcome::ok;
    if (last) say_goodbye();
    wire_->gather = false;
    const std::string held = std::exchange(gathered(), {});
    const IoOutcome sent = co_await send_all(held);
    co_return text.empty() ? sent : IoOutcome::failed;
}

Task<IoOutcome> HttpConnection::send_all(std::string_view text) {
    while (!text.empty()) {
        const ssize_t put =
            ::send(descriptor_.native_handle(), text.data(), text.size(), MSG_NOSIGNAL);
        if (put > 0) {
            text.remove_prefix(static_cast<std::size_t>(put));
            continue;
        }
        if (errno == EINTR) continue;
        if (!would_block()) co_return IoOutcome::failed;
        const auto [error] = co_await wait(Wait::wait_write);
        if (error) co_return outcome_of(error);
    }
    co_return IoOutcome::ok;
}

void HttpConnection::write_now(std::string_view text) {
    if (ssl_) {
        forget_errors();
        SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
    } else {
        (void)::send(descriptor_.native_handle(), text.data(), text.size(),
                     MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

void HttpConnection::cancel() {
    boost::system::error_code ignored;
    descriptor_.cancel(ignored);
}

void HttpConnection::say_goodbye() {
    if (!ssl_ || SSL_is_init_finished(ssl_.get()) == 0 ||
        (SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) != 0)
        return;
    forget_errors();
    SSL_shutdown(ssl_.get());
    forget_errors();
}

void HttpConnection::close() {
    if (!descriptor_.is_open()) return;
    say_goodbye();
    boost::system::error_code ignored;
    descriptor_.close(ignored);
}

bool HttpConnection::negotiated_http2() const {
    if (!ssl_) return false;
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return size == 2 && name[0] == 'h' && name[1] == '2';
}

std::string HttpConnection::client_certificate() const {
    if (!ssl_) return {};
    const X509* leaf = SSL_get0_peer_certificate(ssl_.get());
    if (leaf == nullptr) return {};
    unsigned char* der = nullptr;
    const int size = i2d_X509(leaf, &der);
    if (size <= 0) return {};
    std::string text(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
    OPENSSL_free(der);
    return text;
}

}  // namespace runtime
