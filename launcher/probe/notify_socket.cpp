#include "launcher/probe/notify_socket.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace launcher {
namespace {

namespace asio = boost::asio;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

constexpr std::size_t kMaxMessage = 4096;
constexpr std::size_t kMaxStatus = 256;
constexpr int kMessagesPerTurn = 16;  ///< whoever floods the socket holds up nothing else

std::string printable(std::string_view text) {
    std::string result(text.substr(0, kMaxStatus));
    std::replace_if(
        result.begin(), result.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
    return result;
}

Error failed(const char* what) {
    const boost::system::error_code error(errno, boost::system::system_category());
    return {ErrorCode::unavailable,
            std::string("cannot make a notification socket: ") + what + ": " + error.message()};
}

/// The sender's process id, or 0. Descriptors that came along are closed: nothing is stored for a
/// service.
int sender_of(msghdr& message) {
    int pid = 0;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET) continue;
        if (part->cmsg_type == SCM_CREDENTIALS) {
            ucred credentials{};
            std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
            pid = credentials.pid;
        } else if (part->cmsg_type == SCM_RIGHTS) {
            const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (std::size_t i = 0; i < count; ++i) {
                int descriptor = -1;
                std::memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof descriptor);
                close(descriptor);
            }
        }
    }
    return pid;
}

}  // namespace

void apply_notification(NotifyState& state, std::string_view message) {
    while (!message.empty()) {
        const auto end = std::min(message.find('\n'), message.size());
        const std::string_view line = message.substr(0, end);
        message.remove_prefix(std::min(end + 1, message.size()));
        constexpr std::string_view kStatus = "STATUS=";
        if (line == "READY=1")
            state.ready = true;
        else if (line == "STOPPING=1")
            state.stopping = true;
        else if (line.starts_with(kStatus))
            state.status = printable(line.substr(kStatus.size()));
    }
}

struct NotifySocket::Impl {
    Impl(asio::any_io_executor executor, int descriptor)
        : socket(std::move(executor), descriptor) {}

    asio::posix::stream_descriptor socket;
    std::string address;
    std::function<bool(int)> belongs;
    NotifyState state;
    unsigned strangers = 0;

    void receive_all() {
        for (int taken = 0; taken < kMessagesPerTurn; ++taken) {
            std::array<char, kMaxMessage> text;
            alignas(cmsghdr)
                std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(8 * sizeof(int))>
                    control{};
            iovec place{text.data(), text.size()};
            msghdr message{};
            message.msg_iov = &place;
            message.msg_iovlen = 1;
            message.msg_control = control.data();
            message.msg_controllen = control.size();
            const auto size =
                recvmsg(socket.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
            if (size < 0) return;
            const int pid = sender_of(message);
            if (pid > 0 && belongs(pid))
                apply_notification(state, {text.data(), static_cast<std::size_t>(size)});
            else
                ++strangers;
        }
    }

    static asio::awaitable<void> listen(std::shared_ptr<Impl> self) {
        for (;;) {
            const auto [error] = co_await self->socket.async_wait(
                asio::posix::stream_descriptor::wait_read, asio::as_tuple(asio::use_awaitable));
            if (error) co_return;
            self->receive_all();
        }
    }
};

Result<std::unique_ptr<NotifySocket>> NotifySocket::create(asio::any_io_executor executor,
                                                           std::function<bool(int)> belongs) {
    static std::atomic<unsigned> serial{0};
    const int descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return failed("socket");
    auto impl = std::make_shared<Impl>(executor, descriptor);
    const int on = 1;
    if (setsockopt(descriptor, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0)
        return failed("SO_PASSCRED");

    const std::string name =
        "kms-launcher-notify-" + std::to_string(getpid()) + "-" + std::to_string(serial++);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    // An abstract name (a zero byte in front) needs no writable directory.
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    if (bind(descriptor, reinterpret_cast<const sockaddr*>(&address), length) != 0)
        return failed("bind");

    impl->address = "@" + name;
    impl->belongs = std::move(belongs);
    asio::co_spawn(executor, Impl::listen(impl), asio::detached);
    return std::unique_ptr<NotifySocket>(new NotifySocket(std::move(impl)));
}

NotifySocket::NotifySocket(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
NotifySocket::~NotifySocket() {
    impl_->socket.close();
}
const std::string& NotifySocket::address() const {
    return impl_->address;
}
const NotifyState& NotifySocket::state() const {
    return impl_->state;
}
unsigned NotifySocket::strangers() const {
    return impl_->strangers;
}

}  // namespace launcher
