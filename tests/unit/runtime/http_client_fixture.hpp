/// What the tests of CurlHttpClient and PlainHttpClient share: one loop, one clock, one client, and
/// exchanges one can watch.
#pragma once

#include "launcher/runtime/http_client.hpp"
#include "launcher/runtime/plain_http_client.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/scripted_server.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace test {

/// An exchange under way, or its result.
struct Watched {
    std::optional<runtime::HttpExchange> result;
    std::exception_ptr exception;
    boost::asio::cancellation_signal cancel;
    bool over() const { return result.has_value(); }
};

template <class Client>
struct BasicHttpClientFixture {
    boost::asio::io_context io;
    ManualClock clock;  // stands still unless a test moves it
    std::optional<Client> client;

    explicit BasicHttpClientFixture(runtime::CurlHttpClient::Options options = {}) {
        client.emplace(io.get_executor(), clock, std::move(options));
    }

    std::shared_ptr<Watched> start(runtime::HttpClientRequest request, runtime::Duration limit) {
        auto watched = std::make_shared<Watched>();
        boost::asio::co_spawn(
            io, client->exchange(std::move(request), runtime::Deadline::after(clock.now(), limit)),
            boost::asio::bind_cancellation_slot(
                watched->cancel.slot(),
                [watched](const std::exception_ptr& exception, runtime::HttpExchange exchange) {
                    watched->exception = exception;
                    watched->result = std::move(exchange);
                }));
        return watched;
    }
    /// Runs an exchange to its end, with real I/O; time stands still.
    runtime::HttpExchange get(runtime::HttpClientRequest request) {
        const auto watched = start(std::move(request), std::chrono::hours(1));
        REQUIRE(run_until(io, [&] { return watched->over(); }));
        REQUIRE_FALSE(watched->exception);
        return *watched->result;
    }
    runtime::HttpExchange get(const std::string& url) {
        runtime::HttpClientRequest request;
        request.url = url;
        return get(std::move(request));
    }
};
using HttpClientFixture = BasicHttpClientFixture<runtime::CurlHttpClient>;
using PlainHttpClientFixture = BasicHttpClientFixture<runtime::PlainHttpClient>;

/// A listener whose queue is full and that never accepts: whoever connects waits for ever.
class FullListener {
  public:
    /// On a free port unless one is given.
    explicit FullListener(const std::string& host = "127.0.0.1", std::uint16_t port = 0)
        : host_(host) {
        sockets_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        address_.sin_family = AF_INET;
        address_.sin_addr.s_addr = ::inet_addr(host.c_str());
        address_.sin_port = htons(port);
        socklen_t size = sizeof address_;
        auto* address = reinterpret_cast<sockaddr*>(&address_);
        ::bind(sockets_[0], address, size);
        ::getsockname(sockets_[0], address, &size);
        ::listen(sockets_[0], 0);
        // The queue has one place more than its bound.
        for (int i = 0; i < 2; ++i) {
            sockets_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
            ::connect(sockets_.back(), address, size);
        }
    }
    ~FullListener() {
        for (const int socket : sockets_) ::close(socket);
    }
    FullListener(const FullListener&) = delete;
    FullListener& operator=(const FullListener&) = delete;
    std::string url() const {
        return "http://" + host_ + ":" + std::to_string(ntohs(address_.sin_port)) + "/";
    }

  private:
    std::string host_;
    std::vector<int> sockets_;
    sockaddr_in address_{};
};

}  // namespace test
