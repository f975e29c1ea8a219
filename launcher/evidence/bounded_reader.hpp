/// BoundedReader: reads that may hang, each with an end. The work runs on a helper thread; when it
/// does not come back in time the thread is left behind and the next read gets a new one. Source:
/// spec "launcher" section 6.1.
#pragma once

#include "launcher/runtime/deadline.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace launcher::evidence {

/// Helper threads that hang in the kernel, over the launcher's life.
class LostThreads {
  public:
    static constexpr int kMost = 4;
    int count() const { return count_.load(); }

  private:
    friend class BoundedReader;
    std::atomic<int> count_{0};
};

class BoundedReader {
  public:
    enum class Outcome {
        done,
        timeout,
        refused,  ///< as many threads as may be are lost already
    };

    explicit BoundedReader(std::shared_ptr<LostThreads> lost) : lost_(std::move(lost)) {}
    ~BoundedReader();
    BoundedReader(const BoundedReader&) = delete;
    BoundedReader& operator=(const BoundedReader&) = delete;

    /// Waits until `work` is done or `until` has come. The work must own all that it touches: after
    /// a time-out it may still run.
    Outcome run(runtime::Deadline until, std::function<void()> work);

    /// The value of `work`, or why there is none.
    template <class Value>
    std::pair<std::optional<Value>, Outcome> read(runtime::Deadline until,
                                                  std::function<Value()> work) {
        auto box = std::make_shared<std::optional<Value>>();
        const auto outcome = run(until, [box, work = std::move(work)] { *box = work(); });
        if (outcome != Outcome::done) return {std::nullopt, outcome};
        return {std::move(*box), outcome};
    }

    /// CPU time of all work that was done.
    std::chrono::nanoseconds cpu_time() const { return cpu_; }

  private:
    struct Helper;
    void dismiss();

    std::shared_ptr<LostThreads> lost_;
    std::shared_ptr<Helper> helper_;
    std::chrono::nanoseconds cpu_{0};
};

/// CPU time of the calling thread.
std::chrono::nanoseconds thread_cpu_time();

}  // namespace launcher::evidence
