/// A TCP or TLS client that sends exactly what a test tells it and keeps all that comes back.
#pragma once

#include "launcher/runtime/openssl_ptr.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace test {

/// Runs the loop, with real I/O, until `condition` holds. False after 10 s.
bool run_until(boost::asio::io_context& io, const std::function<bool()>& condition);

class RawClient {
  public:
    RawClient(boost::asio::io_context& io, std::uint16_t port);
    void send(std::string_view text);
    /// Starts to collect; call once. Without it the answer stays unread in the kernel.
    void collect();
    void close() { socket_->close(); }
    void close_sending() { socket_->shutdown(boost::asio::ip::tcp::socket::shutdown_send); }
    const std::string& received() const { return state_->received; }
    bool ended() const { return state_->ended; }  ///< the server closed

  private:
    struct State {
        std::string received;
        bool ended = false;
    };
    static void read_more(std::shared_ptr<boost::asio::ip::tcp::socket> socket,
                          std::shared_ptr<State> state,
                          std::shared_ptr<std::array<char, 4096>> buffer);
    std::shared_ptr<boost::asio::ip::tcp::socket> socket_;
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// A self-signed P-256 certificate with its key, as PEM.
struct TestIdentity {
    std::string certificate_pem;
    std::string key_pem;
};
/// `padding` is the size of an extension that nobody reads.
TestIdentity make_identity(std::string_view common_name, const TestIdentity* issuer = nullptr,
                           std::size_t padding = 0);

}  // namespace test
