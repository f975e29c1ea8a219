#include "tests/unit/launcher/fault_server.hpp"

#include <array>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace test {
namespace {

void check(bool good, const char* what) {
    if (!good) throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

int listen_on_loopback(int backlog, std::uint16_t& port) {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
    check(listen(listener, backlog) == 0, "listen");
    socklen_t size = sizeof address;
    check(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0, "getsockname");
    port = ntohs(address.sin_port);
    return listener;
}

int listen_on_path(const std::string& path) {
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    check(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
    check(listen(listener, 16) == 0, "listen");
    return listener;
}

}  // namespace

Peer::~Peer() {
    if (ssl_) SSL_shutdown(ssl_.get());
    if (socket_ >= 0) close(socket_);
}

bool Peer::handshake(const runtime::TlsServerContext& context) {
    ssl_.reset(SSL_new(context.native()));
    SSL_set_fd(ssl_.get(), socket_);
    return SSL_accept(ssl_.get()) == 1;
}

std::string Peer::read_some() {
    std::array<char, 4096> buffer;
    const auto got = ssl_ ? SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()))
                          : static_cast<int>(recv(socket_, buffer.data(), buffer.size(), 0));
    return {buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

std::string Peer::read_head() {
    std::string head;
    while (head.find("\r\n\r\n") == std::string::npos) {
        const std::string piece = read_some();
        if (piece.empty()) break;
        head += piece;
    }
    return head;
}

void Peer::send(std::string_view text) {
    if (ssl_)
        SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
    else
        ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
}

void Peer::hang() {
    std::array<pollfd, 2> wait{{{socket_, POLLRDHUP, 0}, {stop_, POLLIN, 0}}};
    poll(wait.data(), wait.size(), 10'000);
}

void Peer::close_with_reset() {
    const linger now{1, 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(socket_);
    socket_ = -1;
    ssl_.reset();
}

FaultServer::FaultServer(Behaviour behaviour, std::string path)
    : behaviour_(std::move(behaviour)), path_(std::move(path)), stop_(eventfd(0, EFD_CLOEXEC)) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
    listener_ = path_.empty() ? listen_on_loopback(128, port_) : listen_on_path(path_);
    acceptor_ = std::thread([this] { accept_all(); });
}

FaultServer::~FaultServer() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(stop_, &one, sizeof one);
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (auto& session : sessions_) session.join();
    close(listener_);
    close(stop_);
    if (!path_.empty()) unlink(path_.c_str());
}

void FaultServer::accept_all() {
    for (;;) {
        const int accepted = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0) return;
        ++connections_;
        sessions_.emplace_back([this, accepted] {
            Peer peer(accepted, stop_);
            behaviour_(peer);
        });
    }
}

std::string FaultServer::url(std::string_view scheme, std::string_view target) const {
    return std::string(scheme) + "://127.0.0.1:" + std::to_string(port_) + std::string(target);
}

FullListener::FullListener() {
    sockets_.push_back(listen_on_loopback(0, port_));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_);
    // Until one is not answered at once: then the queue is full.
    for (bool answered = true; answered && sockets_.size() < 20;) {
        const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        sockets_.push_back(client);
        connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address);
        pollfd wait{client, POLLOUT, 0};
        answered = poll(&wait, 1, 200) == 1;
    }
}

FullListener::~FullListener() {
    for (const int each : sockets_) close(each);
}

std::uint16_t closed_port() {
    std::uint16_t port = 0;
    close(listen_on_loopback(1, port));
    return port;
}

}  // namespace test
