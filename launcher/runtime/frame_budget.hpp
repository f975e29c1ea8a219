/// A token bucket: how many events of a kind a peer may cause at once, and again in every period.
/// Pure; the caller brings the time.
#pragma once

#include "launcher/runtime/deadline.hpp"

#include <cstddef>

namespace runtime {

class FrameBudget {
  public:
    static constexpr std::chrono::seconds kPeriod{10};

    /// Full at `now`, with `burst` (at least 1) events.
    FrameBudget(std::size_t burst, TimePoint now)
        : burst_(static_cast<double>(burst)), left_(burst_), at_(now) {}

    /// Takes one event; false when none is left. What was taken comes back evenly, all of it within
    /// kPeriod.
    bool take(TimePoint now) {
        const std::chrono::duration<double> passed = now - at_;
        at_ = now;
        left_ = std::min(burst_, left_ + burst_ * (passed / kPeriod));
        if (left_ < 1) return false;
        left_ -= 1;
        return true;
    }

  private:
    double burst_;
    double left_;
    TimePoint at_;
};

}  // namespace runtime
