/// A clock that only tests move. Waiters resume when time reaches them; nothing ever really waits.
#pragma once

#include "launcher/runtime/clock.hpp"

#include <list>
#include <memory>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

namespace test {

class ManualClock final : public runtime::Clock {
  public:
    runtime::TimePoint now() const override { return now_; }
    runtime::WallTime wall_now() const override { return wall_; }
    runtime::Task<void> sleep_until(runtime::TimePoint at) override;

    /// Moves both clocks and wakes every waiter whose time has come; the caller then runs the
    /// io_context.
    void advance(runtime::Duration span);
    void set_wall(runtime::WallTime wall) { wall_ = wall; }
    /// Coroutines asleep on this clock.
    std::size_t sleepers() const { return waiters_.size(); }

  private:
    struct Waiter {
        runtime::TimePoint at;
        std::shared_ptr<boost::asio::steady_timer> timer;
    };
    runtime::TimePoint now_{std::chrono::hours(1000)};
    runtime::WallTime wall_{std::chrono::seconds(1'767'225'600)};  // 2026-01-01T00:00:00Z
    std::list<Waiter> waiters_;
};

/// Runs every handler that is ready now, without waiting for anything.
void run_ready(boost::asio::io_context& io);
/// Runs a coroutine to its end on `io`, with real I/O, and returns its result. Fails the test after
/// 10 s of real time.
template <class T>
T run(boost::asio::io_context& io, runtime::Task<T> task);

}  // namespace test

#include "tests/support/manual_clock.ipp"
