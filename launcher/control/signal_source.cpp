#include "launcher/control/signal_source.hpp"

#include <csignal>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/signalfd.h>

namespace launcher {

SignalReaction reaction_to(int signal) {
    switch (signal) {
        case SIGCHLD:
            return SignalReaction::reap;
        case SIGTERM:
        case SIGINT:
        case SIGPWR:
            return SignalReaction::stop;
        case SIGQUIT:
            return SignalReaction::stop_with_evidence;
        case SIGHUP:
            return SignalReaction::reload;
        case SIGUSR1:
            return SignalReaction::evidence;
        case SIGUSR2:
            return SignalReaction::dump_status;
        case SIGWINCH:
        case SIGTSTP:
        case SIGTTIN:
        case SIGTTOU:
        case SIGCONT:
        case SIGURG:
        case SIGPIPE:
            return SignalReaction::ignore;
        default:
            break;
    }
    // What container managers send to something that looks like systemd.
    return signal == SIGRTMIN + 3 ? SignalReaction::stop : SignalReaction::forward;
}

struct SignalSource::Impl {
    boost::asio::posix::stream_descriptor stream;
};

SignalSource::SignalSource(boost::asio::any_io_executor executor, Descriptor descriptor)
    : impl_(new Impl{boost::asio::posix::stream_descriptor(executor, descriptor.release())}) {}

SignalSource::~SignalSource() = default;

runtime::Task<std::optional<ReceivedSignal>> SignalSource::next() {
    signalfd_siginfo info{};
    const auto [error, size] = co_await impl_->stream.async_read_some(
        boost::asio::buffer(&info, sizeof info), boost::asio::as_tuple(boost::asio::use_awaitable));
    if (error || size != sizeof info) co_return std::nullopt;
    co_return ReceivedSignal{static_cast<int>(info.ssi_signo), static_cast<int>(info.ssi_pid),
                             info.ssi_uid};
}

}  // namespace launcher
