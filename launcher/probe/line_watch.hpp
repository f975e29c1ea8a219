/// LineWatch: the log-line probe's memory: has the line come yet? Source: spec "launcher"
/// section 2.3 (log-line).
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/runtime/result.hpp"

#include <atomic>
#include <memory>
#include <string_view>

namespace launcher {

class LineWatch {
  public:
    /// Uses stream ("stdout", "stderr" or empty for both), target (empty = any), pattern and
    /// pattern_is_regex (RE2 syntax) of `plan`. Errors (invalid_argument): a pattern that RE2
    /// refuses, or an empty one.
    static runtime::Result<std::unique_ptr<LineWatch>> create(const ProbePlan& plan);
    ~LineWatch();

    /// Looks at one line, before any level filtering; any one thread. Costs nothing once the line
    /// was seen.
    void look(std::string_view stream, std::string_view target, std::string_view message);
    /// Whether the line has come; any thread. Never false again.
    bool seen() const { return seen_.load(std::memory_order_acquire); }

  private:
    struct Pattern;  // RE2 stays in line_watch.cpp
    LineWatch(const ProbePlan& plan, std::unique_ptr<Pattern> pattern);

    const std::string stream_, target_, text_;
    std::unique_ptr<Pattern> pattern_;
    std::atomic<bool> seen_{false};
};

}  // namespace launcher
