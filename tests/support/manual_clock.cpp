#include "tests/support/manual_clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace test {

runtime::Task<void> ManualClock::sleep_until(runtime::TimePoint at) {
    if (at <= now_) co_return;
    auto timer = std::make_shared<boost::asio::steady_timer>(
        co_await boost::asio::this_coro::executor, boost::asio::steady_timer::time_point::max());
    const auto place = waiters_.insert(waiters_.end(), Waiter{at, timer});
    // Ends by advance(), or by cancellation of the coroutine; both look like a cancelled timer.
    co_await timer->async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    waiters_.erase(place);
}

void ManualClock::advance(runtime::Duration span) {
    now_ += span;
    wall_ += std::chrono::duration_cast<runtime::WallTime::duration>(span);
    for (auto& waiter : waiters_)
        if (waiter.at <= now_) waiter.timer->cancel();
}

void run_ready(boost::asio::io_context& io) {
    io.restart();
    while (io.poll() != 0) {
    }
}

}  // namespace test
