#include "kms/simulator/listener.hpp"

#include "launcher/runtime/log.hpp"
#include "launcher/runtime/with_deadline.hpp"

#include <array>
#include <charconv>
#include <memory>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace kms::simulator {
namespace {

namespace asio = boost::asio;
using runtime::Clock;
using runtime::Deadline;
using runtime::Error;
using runtime::ErrorCode;
using runtime::kv;
using runtime::Result;
using runtime::Task;
using Protocol = asio::generic::stream_protocol;
using Socket = Protocol::socket;
using Acceptor = asio::basic_socket_acceptor<Protocol>;

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kLargestHead = 64 * 1024;
constexpr std::string_view kUnix = "unix:";

Error ended() {
    return {ErrorCode::unavailable, "the connection ended"};
}

Task<Result<void>> send(Socket& socket, std::string_view bytes) {
    const auto [error, size] =
        co_await asio::async_write(socket, asio::buffer(bytes.data(), bytes.size()), kTuple);
    if (error) co_return ended();
    co_return Result<void>();
}

Task<Result<Request>> read_request(Socket& socket) {
    std::string text;
    std::array<char, 4096> piece;
    std::size_t head_size = std::string::npos;
    Request request;
    for (;;) {
        if (head_size == std::string::npos) {
            const std::size_t found = text.find("\r\n\r\n");
            if (found != std::string::npos) {
                head_size = found + 4;
                CO_TRY(request, parse_head(std::string_view(text).substr(0, head_size)));
            } else if (text.size() > kLargestHead) {
                co_return Error{ErrorCode::invalid_argument, "a head of more than 64 KiB"};
            }
        }
        if (head_size != std::string::npos && text.size() >= head_size + request.body_size) {
            request.body = text.substr(head_size, request.body_size);
            co_return request;
        }
        const auto [error, size] = co_await socket.async_read_some(asio::buffer(piece), kTuple);
        if (error) co_return ended();
        text.append(piece.data(), size);
    }
}

/// 100 MiB behind a head that announces them.
Task<Result<void>> send_huge(Socket& socket) {
    const std::string head =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + std::to_string(kHugeAnswer) +
        "\r\n\r\n";
    CO_TRY_VOID(co_await send(socket, head));
    const std::string piece(64 * 1024, 'x');
    for (std::size_t sent = 0; sent < kHugeAnswer; sent += piece.size())
        CO_TRY_VOID(co_await send(socket, piece));
    co_return Result<void>();
}

/// Waits for the peer to go.
Task<Result<void>> stay_silent(Socket& socket) {
    std::array<char, 256> piece;
    for (;;) {
        const auto [error, size] = co_await socket.async_read_some(asio::buffer(piece), kTuple);
        if (error) co_return ended();
    }
}

Task<Result<void>> dribble(Socket& socket, Clock& clock, const std::string& bytes) {
    for (const char& byte : bytes) {
        CO_TRY_VOID(co_await send(socket, std::string_view(&byte, 1)));
        co_await clock.sleep_until(clock.now() + std::chrono::seconds(1));
    }
    co_return Result<void>();
}

void reset(Socket& socket) {
    boost::system::error_code ignored;
    socket.set_option(asio::socket_base::linger(true, 0), ignored);
    socket.close(ignored);
}

Task<Result<void>> carry_out(Socket& socket, Clock& clock, Answer answer) {
    const std::string bytes = to_http(spoiled(std::move(answer.reply), answer.fault));
    switch (answer.fault) {
        case WireFault::reset:
            reset(socket);
            co_return Result<void>();
        case WireFault::silent:
            co_return co_await stay_silent(socket);
        case WireFault::dribble:
            co_return co_await dribble(socket, clock, bytes);
        case WireFault::huge:
            co_return co_await send_huge(socket);
        case WireFault::cut:
            co_return co_await send(socket, std::string_view(bytes).substr(0, bytes.size() / 2));
        case WireFault::none:
        case WireFault::unavailable:
        case WireFault::html:
        case WireFault::no_headers:
            break;
    }
    co_return co_await send(socket, bytes);
}

}  // namespace

struct Listener::Impl {
    asio::io_context& io;
    Clock& clock;
    Answerer answerer;
    ListenerBounds bounds;
    std::optional<Acceptor> acceptor{};
    std::string unix_path{};
    std::uint16_t port = 0;
    std::size_t open = 0;

    static Task<Result<void>> converse(std::shared_ptr<Impl> self, Socket& socket) {
        auto request = co_await runtime::with_deadline(
            self->clock, Deadline::after(self->clock.now(), self->bounds.request), "request",
            read_request(socket));
        if (!request) {
            if (request.error().code != ErrorCode::invalid_argument)
                co_return std::move(request.error());
            Reply refusal;
            refusal.status = 400;
            refusal.content_type = "text/plain";
            refusal.body = request.error().context + "\n";
            const std::string bytes = to_http(refusal);
            co_return co_await send(socket, bytes);
        }
        co_return co_await carry_out(socket, self->clock, self->answerer(*request));
    }

    static Task<void> serve(std::shared_ptr<Impl> self, Socket socket) {
        ++self->open;
        try {
            const auto served = co_await runtime::with_deadline(
                self->clock, Deadline::after(self->clock.now(), self->bounds.connection),
                "connection", converse(self, socket));
            if (!served)
                runtime::log_debug("simulator", "a connection ended early",
                                   {kv("reason", served.error().context)});
        } catch (const std::exception& failure) {
            runtime::log_error("simulator", "a request failed", {kv("error", failure.what())});
        }
        --self->open;
    }

    static Task<void> accept(std::shared_ptr<Impl> self) {
        for (;;) {
            auto [error, socket] = co_await self->acceptor->async_accept(self->io, kTuple);
            if (error == asio::error::operation_aborted) co_return;
            if (error) {
                // Out of descriptors, for one: others will be given back.
                co_await self->clock.sleep_until(self->clock.now() + std::chrono::milliseconds(50));
                continue;
            }
            if (self->open >= self->bounds.connections) continue;
            asio::co_spawn(self->io, serve(self, std::move(socket)), asio::detached);
        }
    }
};

Listener::Listener(asio::io_context& io, Clock& clock, Answerer answerer, ListenerBounds bounds)
    : impl_(std::make_shared<Impl>(Impl{io, clock, std::move(answerer), bounds})) {}

Listener::~Listener() {
    boost::system::error_code ignored;
    if (impl_->acceptor) impl_->acceptor->close(ignored);
    if (!impl_->unix_path.empty()) ::unlink(impl_->unix_path.c_str());
}

Result<void> Listener::listen(const std::string& address) {
    const auto failed = [&address](const std::string& why) {
        return Error{ErrorCode::unavailable, "cannot listen on '" + address + "': " + why};
    };
    Protocol::endpoint endpoint;
    const bool is_unix = address.starts_with(kUnix);
    boost::system::error_code error;
    if (is_unix) {
        const std::string path = address.substr(kUnix.size());
        if (path.empty() || path.size() > 100)
            return failed("the path of a socket has 1 to 100 characters");
        struct stat status{};
        if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) ::unlink(path.c_str());
        endpoint = asio::local::stream_protocol::endpoint(path);
        impl_->unix_path = path;
    } else {
        const std::size_t colon = address.rfind(':');
        std::uint16_t port = 0;
        const char* end = address.data() + address.size();
        if (colon == std::string::npos ||
            std::from_chars(address.data() + colon + 1, end, port).ptr != end)
            return failed("an address and a port are expected");
        const auto ip = asio::ip::make_address(address.substr(0, colon), error);
        if (error) return failed(error.message());
        endpoint = asio::ip::tcp::endpoint(ip, port);
    }
    Acceptor& acceptor = impl_->acceptor.emplace(impl_->io);
    acceptor.open(endpoint.protocol(), error);
    if (error) return failed(error.message());
    if (!is_unix) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    acceptor.bind(endpoint, error);
    if (error) {
        impl_->unix_path.clear();
        return failed(error.message());
    }
    if (is_unix) ::chmod(impl_->unix_path.c_str(), 0777);
    acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return failed(error.message());
    if (!is_unix) {
        asio::ip::tcp::endpoint bound;
        const auto local = acceptor.local_endpoint(error);
        bound.resize(local.size());
        std::copy_n(reinterpret_cast<const char*>(local.data()), local.size(),
                    reinterpret_cast<char*>(bound.data()));
        impl_->port = bound.port();
    }
    asio::co_spawn(impl_->io, Impl::accept(impl_), asio::detached);
    return {};
}

std::uint16_t Listener::port() const {
    return impl_->port;
}

}  // namespace kms::simulator
