#include "launcher/runtime/lifecycle.hpp"

#include <algorithm>
#include <csignal>
#include <exception>
#include <memory>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/resource.h>

namespace runtime {

namespace {

// Shared with the coroutines: what is left of them ends with the io_context, after
// run_until_signal() has returned.
struct Life {
    Life(asio::io_context& io_context, Clock& time, std::chrono::milliseconds drain_time)
        : io(io_context),
          clock(time),
          grace(drain_time),
          signals(io_context, SIGTERM, SIGINT, SIGHUP) {}

    asio::io_context& io;
    Clock& clock;
    std::chrono::milliseconds grace;
    std::function<Task<void>(Deadline)> drain;
    std::function<void()> on_hangup;
    asio::signal_set signals;
    asio::cancellation_signal stop_draining;
    int ended_by = 0;
    bool drained = false;
    std::exception_ptr failed;
};

void begin_drain(const std::shared_ptr<Life>& life) {
    const auto deadline = Deadline::after(life->clock.now(), life->grace);
    asio::co_spawn(life->io, life->drain(deadline),
                   asio::bind_cancellation_slot(life->stop_draining.slot(),
                                                [life](const std::exception_ptr& error) {
                                                    life->failed = error;
                                                    life->drained = true;
                                                    life->io.stop();
                                                }));
    asio::co_spawn(life->io, life->clock.sleep_until(deadline.at()),
                   [life](const std::exception_ptr&) { life->io.stop(); });
}

/// The drain had its time. What it left waiting is cancelled and may end what ends at once: sockets
/// get closed, but nobody is waited for.
void cut_drain(Life& life) {
    constexpr int kMostHandlers =
        10'000;  // a handler that always queues another must not hold the exit up
    life.stop_draining.emit(asio::cancellation_type::terminal);
    life.io.restart();
    for (int i = 0; i < kMostHandlers && !life.drained && life.io.poll_one() != 0; ++i) {
    }
}

Task<void> take_signals(std::shared_ptr<Life> life) {
    for (;;) {
        const auto [error, number] =
            co_await life->signals.async_wait(asio::as_tuple(asio::use_awaitable));
        if (error) co_return;
        if (number == SIGHUP) {
            if (life->on_hangup) life->on_hangup();
        } else if (life->ended_by == 0) {
            life->ended_by = number;
            begin_drain(life);
        } else {
            life->io.stop();
        }
    }
}

}  // namespace

int run_until_signal(asio::io_context& io, Clock& clock, std::chrono::milliseconds grace,
                     std::function<Task<void>(Deadline)> drain, std::function<void()> on_hangup) {
    std::signal(SIGPIPE, SIG_IGN);
    const auto life = std::make_shared<Life>(io, clock, grace);
    life->drain = std::move(drain);
    life->on_hangup = std::move(on_hangup);
    asio::co_spawn(io, take_signals(life), [life](const std::exception_ptr& error) {
        if (!error) return;
        life->failed = error;
        life->io.stop();
    });
    if (io.stopped()) io.restart();
    io.run();

    life->signals.cancel();
    if (life->ended_by != 0 && !life->drained) cut_drain(*life);
    if (life->failed) std::rethrow_exception(life->failed);
    return life->ended_by;
}

void allow_descriptors(std::size_t wanted) {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = std::min<rlim_t>(wanted, limit.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace runtime
