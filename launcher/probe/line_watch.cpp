#include "launcher/probe/line_watch.hpp"

#include <re2/re2.h>

namespace launcher {

struct LineWatch::Pattern {
    explicit Pattern(const std::string& text) : regex(text, re2::RE2::Quiet) {}
    re2::RE2 regex;
};

runtime::Result<std::unique_ptr<LineWatch>> LineWatch::create(const ProbePlan& plan) {
    using runtime::Error;
    using runtime::ErrorCode;
    if (plan.pattern.empty())
        return Error{ErrorCode::invalid_argument, "a log-line probe needs a pattern"};
    std::unique_ptr<Pattern> pattern;
    if (plan.pattern_is_regex) {
        pattern = std::make_unique<Pattern>(plan.pattern);
        if (!pattern->regex.ok())
            return Error{
                ErrorCode::invalid_argument,
                "the pattern '" + plan.pattern + "' is not valid: " + pattern->regex.error()};
    }
    return std::unique_ptr<LineWatch>(new LineWatch(plan, std::move(pattern)));
}

LineWatch::LineWatch(const ProbePlan& plan, std::unique_ptr<Pattern> pattern)
    : stream_(plan.stream),
      target_(plan.target),
      text_(plan.pattern),
      pattern_(std::move(pattern)) {}
LineWatch::~LineWatch() = default;

void LineWatch::look(std::string_view stream, std::string_view target, std::string_view message) {
    if (seen() || (!stream_.empty() && stream != stream_) ||
        (!target_.empty() && target != target_))
        return;
    const bool matches =
        pattern_ ? re2::RE2::PartialMatch(re2::StringPiece(message.data(), message.size()),
                                          pattern_->regex)
                 : message.find(text_) != std::string_view::npos;
    if (matches) seen_.store(true, std::memory_order_release);
}

}  // namespace launcher
