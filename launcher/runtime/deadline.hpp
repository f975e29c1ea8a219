/// Deadline: an absolute instant that only narrows. Every function that may wait takes one, by
/// value.
///
/// It is made once at the edge (a request arrives, a probe ticks, a stop is asked for), has no
/// default and is never looked up. A function without a Deadline parameter does not wait.
#pragma once

#include <algorithm>
#include <chrono>

namespace runtime {

using TimePoint = std::chrono::steady_clock::time_point;  ///< monotonic; for spans and deadlines
using Duration = std::chrono::steady_clock::duration;     ///< nanoseconds on this platform
using WallTime =
    std::chrono::system_clock::time_point;  ///< calendar time; for certificates and log lines

class Deadline {
  public:
    explicit constexpr Deadline(TimePoint at) : at_(at) {}
    /// `span` from `now`; a negative span is an expired deadline.
    static constexpr Deadline after(TimePoint now, Duration span) { return Deadline(now + span); }

    constexpr TimePoint at() const { return at_; }
    constexpr bool expired(TimePoint now) const { return now >= at_; }
    /// Never negative.
    constexpr Duration remaining(TimePoint now) const {
        return std::max(at_ - now, Duration::zero());
    }
    /// The earlier of this deadline and `now + span`: a sub-step may get less time, never more.
    constexpr Deadline narrowed(TimePoint now, Duration span) const {
        return Deadline(std::min(at_, now + span));
    }
    friend constexpr bool operator==(Deadline, Deadline) = default;

  private:
    TimePoint at_;
};

}  // namespace runtime
