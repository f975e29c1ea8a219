#include "launcher/evidence/sock_diag.hpp"

#include "launcher/evidence/socket_text.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace launcher::evidence {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

constexpr std::size_t kMost = 20'000;
constexpr unsigned kTimeWait = 6, kListen = 10, kEstablished = 1;

Error failure(const char* what) {
    return {ErrorCode::unavailable, std::string(what) + ": " + std::strerror(errno)};
}

class Socket {
  public:
    Socket() : descriptor_(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)) {}
    ~Socket() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    int get() const { return descriptor_; }

  private:
    int descriptor_;
};

template <class Request>
bool ask(const Socket& socket, const Request& request) {
    struct {
        nlmsghdr header;
        Request request;
    } message{};
    message.header.nlmsg_len = sizeof message;
    message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    message.request = request;
    return ::send(socket.get(), &message, sizeof message, 0) == sizeof message;
}

/// Calls `each` with the body of every answer.
template <class Each>
Result<void> receive(const Socket& socket, runtime::Deadline deadline, Each each) {
    alignas(nlmsghdr) std::array<char, 32 * 1024> buffer{};
    while (true) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            deadline.remaining(std::chrono::steady_clock::now()));
        pollfd waiting{socket.get(), POLLIN, 0};
        if (::poll(&waiting, 1, static_cast<int>(left.count())) <= 0)
            return Error{ErrorCode::deadline_exceeded, "the kernel's socket table took too long"};
        const auto size = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
        if (size <= 0) return failure("cannot read the kernel's socket table");
        auto left_bytes = static_cast<unsigned>(size);
        for (auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
             left_bytes >= sizeof(nlmsghdr) && header->nlmsg_len >= sizeof(nlmsghdr) &&
             header->nlmsg_len <= left_bytes;) {
            if (header->nlmsg_type == NLMSG_DONE) return {};
            if (header->nlmsg_type == NLMSG_ERROR)
                return Error{ErrorCode::unavailable, "the kernel refuses its socket table"};
            each(reinterpret_cast<const char*>(header) + NLMSG_HDRLEN,
                 header->nlmsg_len - static_cast<unsigned>(NLMSG_HDRLEN));
            const auto step = NLMSG_ALIGN(header->nlmsg_len);
            if (step >= left_bytes) break;
            left_bytes -= step;
            header =
                reinterpret_cast<const nlmsghdr*>(reinterpret_cast<const char*>(header) + step);
        }
    }
}

SocketFacts tcp_socket(const inet_diag_msg& message) {
    const bool ipv6 = message.idiag_family == AF_INET6;
    SocketFacts socket;
    socket.family = ipv6 ? "tcp6" : "tcp";
    socket.state = tcp_state(message.idiag_state);
    socket.local_port = ntohs(message.id.idiag_sport);
    socket.local = address_text(message.id.idiag_src, ipv6, socket.local_port);
    if (message.idiag_state != kListen) {
        socket.peer_port = ntohs(message.id.idiag_dport);
        socket.peer = address_text(message.id.idiag_dst, ipv6, socket.peer_port);
    }
    socket.receive_queue = message.idiag_rqueue;
    socket.send_queue = message.idiag_wqueue;
    socket.inode = message.idiag_inode;
    return socket;
}

SocketFacts unix_socket(const unix_diag_msg& message, const char* attributes, std::size_t size) {
    SocketFacts socket;
    socket.family = "unix";
    socket.state = message.udiag_state == kListen        ? "LISTEN"
                   : message.udiag_state == kEstablished ? "ESTABLISHED"
                                                         : "UNCONNECTED";
    socket.inode = message.udiag_ino;
    socket.limit_known = false;
    auto* attribute = reinterpret_cast<const rtattr*>(attributes);
    auto left = static_cast<unsigned>(size);
    while (left >= sizeof(rtattr) && attribute->rta_len >= sizeof(rtattr) &&
           attribute->rta_len <= left) {
        const auto* value = reinterpret_cast<const char*>(attribute) + RTA_LENGTH(0);
        const auto length = attribute->rta_len - RTA_LENGTH(0);
        if (attribute->rta_type == UNIX_DIAG_RQLEN && length >= sizeof(unix_diag_rqlen)) {
            unix_diag_rqlen queues{};
            std::memcpy(&queues, value, sizeof queues);
            socket.receive_queue = queues.udiag_rqueue;
            socket.send_queue = queues.udiag_wqueue;
            socket.limit_known = true;
        } else if (attribute->rta_type == UNIX_DIAG_NAME && socket.listening()) {
            socket.local.assign(value, length);
            if (!socket.local.empty() && socket.local.front() == '\0') socket.local.front() = '@';
            while (socket.local.ends_with('\0')) socket.local.pop_back();
        }
        const auto step = static_cast<unsigned>(RTA_ALIGN(attribute->rta_len));
        if (step >= left) break;
        left -= step;
        attribute =
            reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(attribute) + step);
    }
    return socket;
}

}  // namespace

Result<std::vector<SocketFacts>> dump_sockets(runtime::Deadline deadline) {
    const Socket socket;
    if (socket.get() < 0) return failure("no sock_diag");
    std::vector<SocketFacts> sockets;
    for (const auto family : {AF_INET, AF_INET6}) {
        inet_diag_req_v2 request{};
        request.sdiag_family = static_cast<std::uint8_t>(family);
        request.sdiag_protocol = IPPROTO_TCP;
        // The many short connections of the past are walked past by the kernel.
        request.idiag_states = ~0U & ~(1U << kTimeWait);
        if (!ask(socket, request)) return failure("cannot ask for TCP sockets");
        TRY_VOID(receive(socket, deadline, [&](const char* body, std::size_t size) {
            inet_diag_msg message{};
            if (size < sizeof message || sockets.size() >= kMost) return;
            std::memcpy(&message, body, sizeof message);
            sockets.push_back(tcp_socket(message));
        }));
    }
    unix_diag_req request{};
    request.sdiag_family = AF_UNIX;
    request.udiag_states = ~0U;
    request.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN;
    // Without CONFIG_UNIX_DIAG there are TCP sockets all the same.
    if (!ask(socket, request)) return sockets;
    const auto unix_read = receive(socket, deadline, [&](const char* body, std::size_t size) {
        unix_diag_msg message{};
        if (size < sizeof message || sockets.size() >= kMost) return;
        std::memcpy(&message, body, sizeof message);
        constexpr auto kHead = NLMSG_ALIGN(sizeof message);
        sockets.push_back(size > kHead ? unix_socket(message, body + kHead, size - kHead)
                                       : unix_socket(message, nullptr, 0));
    });
    (void)unix_read;
    return sockets;
}

}  // namespace launcher::evidence
