/// Wakeup: one coroutine waits for "something changed"; others tell it.
#pragma once

#include "launcher/runtime/clock.hpp"

#include <cstdint>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

namespace launcher {

class Wakeup {
  public:
    explicit Wakeup(boost::asio::any_io_executor executor)
        : timer_(executor, boost::asio::steady_timer::time_point::max()) {}

    /// Wakes everybody who waits now. Look at the state again afterwards: a wakeup carries no
    /// meaning.
    void notify() {
        ++count_;
        timer_.cancel();
    }
    /// Returns after notify(), at the deadline, or early without a reason.
    runtime::Task<void> wait(runtime::Clock& clock, runtime::Deadline deadline);

  private:
    runtime::Task<runtime::Result<void>> next(std::uint64_t seen);

    boost::asio::steady_timer timer_;
    std::uint64_t count_ =
        0;  ///< of notifications, so that none is missed before the timer is armed
};

}  // namespace launcher
