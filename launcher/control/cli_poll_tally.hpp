/// PollTally: what a run of polls comes to. Pure; its memory does not grow with the number of
/// polls. Source: issue "First light", item 8.
#pragma once

#include "launcher/plan/probe_result.hpp"
#include "launcher/runtime/deadline.hpp"

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace launcher {

class PollTally {
  public:
    explicit PollTally(runtime::TimePoint begin = {})
        : begin_(begin), last_answer_(begin), end_(begin) {}

    /// One poll that ended at `now`.
    void add(const ProbeResult& result, runtime::TimePoint now);
    /// The run is over; the time since the last answer counts as a gap, too.
    void finish(runtime::TimePoint now);

    std::uint64_t polls() const { return polls_; }
    std::uint64_t answered() const { return answered_; }
    bool all_answered() const { return polls_ > 0 && answered_ == polls_; }
    /// Of the answered polls. The percentile is exact to 2 %; 0 when nothing was answered.
    std::chrono::microseconds percentile(double share) const;
    std::chrono::microseconds min() const { return min_; }
    std::chrono::microseconds max() const { return max_; }
    std::chrono::microseconds last() const { return last_; }
    runtime::Duration longest_gap() const { return longest_gap_; }
    runtime::Duration elapsed() const { return end_ - begin_; }

    /// For people: counts, failures by layer, latencies with a histogram, the longest gap.
    std::string text(const std::string& url) const;
    /// For machines: one line of JSON.
    std::string json(const std::string& url, bool interrupted) const;
    /// One short line: "118 answered, 1 failed, last 4.1 ms".
    std::string progress() const;

  private:
    struct Failure {
        std::uint64_t count = 0;
        std::string first_detail;
        runtime::Duration first_at{0};
    };
    struct Bar {
        std::chrono::microseconds up_to;
        std::uint64_t count;
    };
    void note_gap(runtime::TimePoint now);
    std::vector<Bar> bars() const;
    /// 64 steps for each doubling, from 1 µs up: a step is 1.1 % wide.
    static constexpr std::size_t kSteps = 64, kDoublings = 36;
    static std::size_t step_of(std::chrono::microseconds span);
    static std::chrono::microseconds end_of_step(std::size_t step);

    runtime::TimePoint begin_, last_answer_, end_;
    std::uint64_t polls_ = 0, answered_ = 0;
    std::map<ProbeOutcome, Failure> failures_;
    std::array<std::uint32_t, kSteps * kDoublings> counts_{};
    std::chrono::microseconds min_{0}, max_{0}, sum_{0}, last_{0};
    runtime::Duration longest_gap_{0}, longest_gap_at_{0};
};

}  // namespace launcher
