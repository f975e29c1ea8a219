/// FaultServer: a peer that misbehaves in exactly one way. Each connection is served by a thread
/// with blocking calls, so that a behaviour reads like a story; everything that hangs ends when the
/// client leaves or the server is destroyed.
#pragma once

#include "launcher/runtime/tls.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace test {

/// One accepted connection in the hands of a behaviour.
class Peer {
  public:
    Peer(int socket, int stop) : socket_(socket), stop_(stop) {}
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    bool handshake(const runtime::TlsServerContext& context);
    /// Reads up to the blank line after a request's head; what came is returned.
    std::string read_head();
    /// Reads once: a plain server's look at a ClientHello.
    std::string read_some();
    void send(std::string_view text);
    /// Waits until the client leaves or the server stops; reads nothing.
    void hang();
    void close_with_reset();

  private:
    int socket_;
    int stop_;  ///< readable when the server stops
    runtime::OwnedSsl ssl_;
};

using Behaviour = std::function<void(Peer&)>;

class FaultServer {
  public:
    /// Listens on a free port of 127.0.0.1, or on a unix socket when `path` is given.
    explicit FaultServer(Behaviour behaviour, std::string path = {});
    ~FaultServer();
    FaultServer(const FaultServer&) = delete;
    FaultServer& operator=(const FaultServer&) = delete;

    std::uint16_t port() const { return port_; }
    std::string url(std::string_view scheme, std::string_view target = "/") const;
    int connections() const { return connections_.load(); }

  private:
    void accept_all();

    Behaviour behaviour_;
    std::string path_;
    int listener_ = -1;
    int stop_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<int> connections_{0};
    std::vector<std::thread> sessions_;
    std::thread acceptor_;
};

/// A listener of 127.0.0.1 that never accepts and whose queue is full: a SYN to it stays
/// unanswered.
class FullListener {
  public:
    FullListener();
    ~FullListener();
    std::uint16_t port() const { return port_; }

  private:
    std::vector<int> sockets_;
    std::uint16_t port_ = 0;
};

/// A port of 127.0.0.1 on which nobody listens.
std::uint16_t closed_port();

}  // namespace test
