#include "launcher/probe/connection.hpp"

#include "launcher/runtime/with_deadline.hpp"

#include <array>
#include <chrono>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <netinet/in.h>
#include <sys/stat.h>

namespace launcher {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using runtime::Clock;
using runtime::Deadline;
using runtime::Result;
using runtime::Task;
using std::chrono::milliseconds;

constexpr auto kAsTuple = asio::as_tuple(asio::use_awaitable);
constexpr milliseconds kQueueFullPause{50};

std::string shown(const asio::ip::address& address, std::uint16_t port) {
    const std::string text = address.to_string();
    return (address.is_v6() ? "[" + text + "]" : text) + ":" + std::to_string(port);
}

/// Being cancelled is not a finding: it must not look like one to with_deadline.
bool given_up(const error_code& error) {
    return error == asio::error::operation_aborted;
}
runtime::Error was_given_up() {
    return {runtime::ErrorCode::unavailable, "the probe was given up"};
}

bool peer_gone(const error_code& error) {
    return error == asio::error::eof || error == asio::error::connection_reset ||
           error == asio::error::broken_pipe || error == asio::error::connection_aborted;
}

}  // namespace

StageEnd judge_connect(int error, const std::string& where) {
    const std::string reason = error_code(error, boost::system::system_category()).message();
    switch (error) {
        case 0:
            return {};
        case ECONNREFUSED:
            return {ProbeOutcome::tcp_refused,
                    "nothing listens on " + where + " (connection refused)"};
        case ECONNRESET:
        case ECONNABORTED:
            return {ProbeOutcome::tcp_refused, where + " reset the connection"};
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENETDOWN:
        case EHOSTDOWN:
            return {ProbeOutcome::tcp_refused, "no route to " + where + " (" + reason + ")"};
        case ETIMEDOUT:
            return {ProbeOutcome::tcp_timeout, where + " does not answer (connection timed out)"};
        case EAGAIN:
            return {ProbeOutcome::tcp_timeout, "the accept queue of " + where + " is full"};
        default:
            return {ProbeOutcome::probe_error, "cannot connect to " + where + ": " + reason};
    }
}

Connection::Connection(asio::any_io_executor executor) : socket_(std::move(executor)) {}

Connection::~Connection() {
    error_code ignored;
    if (tls_ && socket_.is_open()) {
        tls_->shutdown();
        const std::string bytes = tls_->take_output();
        socket_.non_blocking(true, ignored);
        socket_.send(asio::buffer(bytes), 0, ignored);
    }
    socket_.close(ignored);
}

namespace {

Task<Result<StageEnd>> connect_one(asio::generic::stream_protocol::socket& socket,
                                   asio::generic::stream_protocol::endpoint endpoint,
                                   std::string where) {
    error_code ignored;
    socket.close(ignored);
    const auto [error] = co_await socket.async_connect(endpoint, kAsTuple);
    if (given_up(error)) co_return was_given_up();
    co_return judge_connect(error.value(), where);
}

/// Asio takes EAGAIN for "in progress", which it never is on a unix socket: a connect there
/// succeeds or fails at once.
error_code connect_at_once(asio::generic::stream_protocol::socket& socket,
                           const asio::local::stream_protocol::endpoint& endpoint) {
    error_code error;
    socket.close(error);
    socket.open(asio::generic::stream_protocol(AF_UNIX, 0), error);
    if (!error) socket.native_non_blocking(true, error);
    if (error) return error;
    if (connect(socket.native_handle(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) !=
        0)
        return {errno, boost::system::system_category()};
    return {};
}

}  // namespace

Task<Result<StageEnd>> Connection::connect_tcp(Clock& clock,
                                               std::vector<asio::ip::address> addresses,
                                               std::uint16_t port, Deadline deadline) {
    StageEnd end{ProbeOutcome::probe_error, "there is no address to connect to"};
    for (std::size_t i = 0; i < addresses.size(); ++i) {
        const auto now = clock.now();
        const auto left = static_cast<runtime::Duration::rep>(addresses.size() - i);
        const Deadline share = deadline.narrowed(now, deadline.remaining(now) / left);
        const std::string where = shown(addresses[i], port);
        const asio::ip::tcp::endpoint endpoint(addresses[i], port);
        auto attempt =
            connect_one(socket_, asio::generic::stream_protocol::endpoint(endpoint), where);
        auto result =
            co_await runtime::with_deadline<StageEnd>(clock, share, "connect", std::move(attempt));
        if (result) {
            end = std::move(*result);
        } else if (result.error().code != runtime::ErrorCode::deadline_exceeded) {
            co_return std::move(result.error());
        } else {
            end.outcome = ProbeOutcome::tcp_timeout;
            end.detail = where + " does not answer: filtered, or its accept queue is full";
        }
        if (end.outcome == ProbeOutcome::ok) {
            error_code ignored;
            const auto local = socket_.local_endpoint(ignored);
            if (local.data()->sa_family == AF_INET || local.data()->sa_family == AF_INET6)
                // sin_port and sin6_port are at the same place.
                local_port_ = ntohs(reinterpret_cast<const sockaddr_in*>(local.data())->sin_port);
            break;
        }
    }
    co_return end;
}

Task<Result<StageEnd>> Connection::connect_unix(Clock& clock, std::string path, Deadline deadline) {
    struct stat entry{};
    if (stat(path.c_str(), &entry) != 0) {
        const int code = errno;
        const std::string reason = error_code(code, boost::system::system_category()).message();
        if (code == ENOENT || code == ENOTDIR)
            co_return StageEnd{ProbeOutcome::tcp_refused, path + " is missing"};
        co_return StageEnd{ProbeOutcome::probe_error, "cannot look at " + path + ": " + reason};
    }
    if (!S_ISSOCK(entry.st_mode))
        co_return StageEnd{ProbeOutcome::tcp_refused, path + " is not a socket"};
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        co_return StageEnd{ProbeOutcome::probe_error,
                           "the path " + path + " is too long for a socket address"};
    const asio::local::stream_protocol::endpoint endpoint(path);
    for (;;) {
        const error_code error = connect_at_once(socket_, endpoint);
        const auto retry_at = clock.now() + kQueueFullPause;
        if (error.value() != EAGAIN || deadline.expired(retry_at))
            co_return judge_connect(error.value(), path);
        co_await clock.sleep_until(retry_at);
    }
}

Task<Result<StageEnd>> Connection::send_all(std::string bytes) {
    const auto [error, sent] = co_await asio::async_write(socket_, asio::buffer(bytes), kAsTuple);
    if (given_up(error)) co_return was_given_up();
    StageEnd end;
    if (peer_gone(error)) {
        end.outcome = ProbeOutcome::http_closed;
        end.detail = "the peer closed the connection while the request was sent";
    } else if (error) {
        end.outcome = ProbeOutcome::probe_error;
        end.detail = "cannot send: " + error.message();
    }
    co_return end;
}

Task<Result<Connection::Read>> Connection::receive(std::span<char> buffer) {
    const auto [error, count] =
        co_await socket_.async_receive(asio::buffer(buffer.data(), buffer.size()), kAsTuple);
    if (given_up(error)) co_return was_given_up();
    Read read;
    read.count = count;
    if (peer_gone(error)) {
        read.end = true;
        read.reset = error != asio::error::eof;
    } else if (error) {
        read.fault.outcome = ProbeOutcome::probe_error;
        read.fault.detail = "cannot receive: " + error.message();
    }
    co_return read;
}

Task<Result<StageEnd>> Connection::start_tls(TlsClient client) {
    tls_.emplace(std::move(client));
    std::array<char, 8192> buffer{};
    for (;;) {
        const TlsClient::Step step = tls_->handshake();
        if (std::string bytes = tls_->take_output(); !bytes.empty()) {
            CO_TRY(const StageEnd sent, co_await send_all(std::move(bytes)));
            if (sent.outcome == ProbeOutcome::probe_error) co_return sent;
            // A peer that is gone while we send is judged by what it said before, which is read
            // next.
        }
        if (step == TlsClient::Step::done) co_return StageEnd{};
        if (step != TlsClient::Step::want_read) co_return StageEnd{tls_->outcome(), tls_->detail()};
        CO_TRY(const Read got, co_await receive(buffer));
        if (got.fault.outcome != ProbeOutcome::ok) co_return got.fault;
        if (got.end)
            tls_->feed_end();
        else
            tls_->feed({buffer.data(), got.count});
    }
}

Task<Result<StageEnd>> Connection::write(std::string text) {
    if (tls_) {
        if (tls_->write(text) != TlsClient::Step::done)
            co_return StageEnd{tls_->outcome(), tls_->detail()};
        text = tls_->take_output();
    }
    co_return co_await send_all(std::move(text));
}

Task<Result<Connection::Read>> Connection::read(std::span<char> buffer) {
    if (!tls_) co_return co_await receive(buffer);
    std::array<char, 8192> raw{};
    for (;;) {
        Read plain;
        switch (tls_->read(buffer, plain.count)) {
            case TlsClient::Step::done:
                co_return plain;
            case TlsClient::Step::closed:
                plain.end = true;
                co_return plain;
            case TlsClient::Step::failed:
                plain.fault.outcome = tls_->outcome();
                plain.fault.detail = tls_->detail();
                co_return plain;
            case TlsClient::Step::want_read:
                break;
        }
        // Answers to a key update, if any.
        if (std::string bytes = tls_->take_output(); !bytes.empty())
            CO_TRY_VOID(co_await send_all(std::move(bytes)));
        CO_TRY(const Read got, co_await receive(raw));
        if (got.fault.outcome != ProbeOutcome::ok) co_return got;
        if (got.end)
            tls_->feed_end();
        else
            tls_->feed({raw.data(), got.count});
    }
}

}  // namespace launcher
