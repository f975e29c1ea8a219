/// Doorbell: wakes one waiting thread. Rings are remembered until the next wait.
#pragma once

#include "launcher/runtime/deadline.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>

namespace launcher::logs {

class Doorbell {
  public:
    void ring() {
        {
            const std::lock_guard lock(mutex_);
            if (rung_) return;
            rung_ = true;
        }
        condition_.notify_one();
    }
    /// Returns when it was rung, or at `until`.
    void wait(std::optional<runtime::TimePoint> until) {
        std::unique_lock lock(mutex_);
        const auto rung = [this] { return rung_; };
        if (until) {
            condition_.wait_until(lock, *until, rung);
        } else {
            condition_.wait(lock, rung);
        }
        rung_ = false;
    }

  private:
    std::mutex mutex_;
    std::condition_variable condition_;
    bool rung_ = false;
};

}  // namespace launcher::logs
