/// Time as a dependency: Clock, and Task<T>, the type of everything that waits.
#pragma once

#include "launcher/runtime/deadline.hpp"
#include "launcher/runtime/result.hpp"

#include <boost/asio/awaitable.hpp>

namespace runtime {

namespace asio = boost::asio;

/// A coroutine that may wait. Functions that can fail return Task<Result<T>>.
template <class T = void>
using Task = asio::awaitable<T>;

/// The seam through which all time enters. Programs use SystemClock; tests use
/// tests/support/manual_clock.hpp.
class Clock {
  public:
    virtual ~Clock() = default;
    virtual TimePoint now() const = 0;
    /// Calendar time. Read once per decision and passed on as a value.
    virtual WallTime wall_now() const = 0;
    /// Returns when `at` has come, at once if it has passed, or early when the coroutine is
    /// cancelled (the caller can tell by now() < at). Resumes on the caller's executor.
    virtual Task<void> sleep_until(TimePoint at) = 0;
};

class SystemClock final : public Clock {
  public:
    TimePoint now() const override { return std::chrono::steady_clock::now(); }
    WallTime wall_now() const override { return std::chrono::system_clock::now(); }
    Task<void> sleep_until(TimePoint at) override;
};

}  // namespace runtime
