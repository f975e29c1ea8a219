#include "launcher/runtime/http_connection.hpp"

#include <array>
#include <cerrno>
#include <span>

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

bool would_block() {
    return errno == EAGAIN;
}  // on Linux the same number as EWOULDBLOCK

}  // namespace

HttpConnection::HttpConnection(asio::posix::stream_descriptor descriptor, OwnedSsl ssl)
    : descriptor_(std::move(descriptor)), ssl_(std::move(ssl)) {
    if (ssl_) SSL_set_fd(ssl_.get(), descriptor_.native_handle());
}

Task<IoOutcome> HttpConnection::wait(Wait::wait_type what) {
    auto [error] = co_await descriptor_.async_wait(what, asio::as_tuple(asio::use_awaitable));
    if (!error) co_return IoOutcome::ok;
    co_return error == asio::error::operation_aborted ? IoOutcome::cancelled : IoOutcome::failed;
}

Task<IoOutcome> HttpConnection::wait_for_ssl(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
        case SSL_ERROR_WANT_READ:
            co_return co_await wait(Wait::wait_read);
        case SSL_ERROR_WANT_WRITE:
            co_return co_await wait(Wait::wait_write);
        default:
            co_return IoOutcome::failed;
    }
}

Task<IoOutcome> HttpConnection::handshake() {
    while (true) {
        ERR_clear_error();
        const int result = SSL_accept(ssl_.get());
        if (result == 1) co_return IoOutcome::ok;
        if (const IoOutcome waited = co_await wait_for_ssl(result); waited != IoOutcome::ok)
            co_return waited;
    }
}

Task<IoOutcome> HttpConnection::read_append(std::string& into) {
    while (true) {
        const auto buffer = scratch();
        IoOutcome waited = IoOutcome::ok;
        if (ssl_) {
            ERR_clear_error();
            const int got = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
            if (got > 0) {
                into.append(buffer.data(), static_cast<std::size_t>(got));
                co_return IoOutcome::ok;
            }
            if (SSL_get_error(ssl_.get(), got) == SSL_ERROR_ZERO_RETURN) co_return IoOutcome::end;
            waited = co_await wait_for_ssl(got);
        } else {
            const ssize_t got =
                ::recv(descriptor_.native_handle(), buffer.data(), buffer.size(), 0);
            if (got > 0) {
                into.append(buffer.data(), static_cast<std::size_t>(got));
                co_return IoOutcome::ok;
            }
            if (got == 0) co_return IoOutcome::end;
            if (errno == EINTR) continue;
            if (!would_block()) co_return IoOutcome::failed;
            waited = co_await wait(Wait::wait_read);
        }
        if (waited != IoOutcome::ok) co_return waited;
    }
}

Task<IoOutcome> HttpConnection::write_all(std::string_view text) {
    while (!text.empty()) {
        IoOutcome waited = IoOutcome::ok;
        if (ssl_) {
            ERR_clear_error();
            const int put = SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
            if (put > 0)
                text.remove_prefix(static_cast<std::size_t>(put));
            else
                waited = co_await wait_for_ssl(put);
        } else {
            const ssize_t put =
                ::send(descriptor_.native_handle(), text.data(), text.size(), MSG_NOSIGNAL);
            if (put > 0)
                text.remove_prefix(static_cast<std::size_t>(put));
            else if (errno == EINTR)
                continue;
            else if (!would_block())
                waited = IoOutcome::failed;
            else
                waited = co_await wait(Wait::wait_write);
        }
        if (waited != IoOutcome::ok) co_return waited;
    }
    co_return IoOutcome::ok;
}

void HttpConnection::write_now(std::string_view text) {
    if (ssl_) {
        ERR_clear_error();
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

void HttpConnection::close() {
    if (!descriptor_.is_open()) return;
    if (ssl_ && SSL_is_init_finished(ssl_.get()) != 0) {
        ERR_clear_error();
        SSL_shutdown(ssl_.get());
        ERR_clear_error();
    }
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
