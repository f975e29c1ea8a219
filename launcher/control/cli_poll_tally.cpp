#include "launcher/control/cli_poll_tally.hpp"

#include "launcher/control/cli_io.hpp"

#include <algorithm>
#include <cmath>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace launcher {
namespace {

namespace json = boost::json;
using std::chrono::microseconds;

constexpr std::size_t kBarWidth = 40;
/// 1, 2, 5, 10, … ms; the last bar takes the rest.
constexpr std::array<int, 15> kBarMilliseconds = {1,   2,    5,    10,   20,     50,     100,   200,
                                                  500, 1000, 2000, 5000, 10'000, 20'000, 60'000};

double milliseconds_of(std::chrono::nanoseconds span) {
    return std::chrono::duration<double, std::milli>(span).count();
}
double seconds_of(std::chrono::nanoseconds span) {
    return std::chrono::duration<double>(span).count();
}

}  // namespace

std::size_t PollTally::step_of(microseconds span) {
    const double place =
        std::log2(static_cast<double>(std::max<microseconds::rep>(span.count(), 1))) * kSteps;
    return std::min(static_cast<std::size_t>(place), kSteps * kDoublings - 1);
}

microseconds PollTally::end_of_step(std::size_t step) {
    return microseconds(
        static_cast<microseconds::rep>(std::exp2((static_cast<double>(step) + 1) / kSteps)));
}

void PollTally::note_gap(runtime::TimePoint now) {
    if (now - last_answer_ > longest_gap_) {
        longest_gap_ = now - last_answer_;
        longest_gap_at_ = last_answer_ - begin_;
    }
    last_answer_ = now;
}

void PollTally::add(const ProbeResult& result, runtime::TimePoint now) {
    ++polls_;
    end_ = now;
    if (!result.ok()) {
        auto& failure = failures_[result.outcome];
        if (failure.count++ == 0) {
            failure.first_detail = result.detail;
            failure.first_at = now - begin_;
        }
        return;
    }
    note_gap(now);
    last_ = result.total;
    min_ = answered_ == 0 ? last_ : std::min(min_, last_);
    max_ = std::max(max_, last_);
    sum_ += last_;
    ++answered_;
    ++counts_[step_of(last_)];
}

void PollTally::finish(runtime::TimePoint now) {
    end_ = now;
    note_gap(now);
}

microseconds PollTally::percentile(double share) const {
    const auto wanted =
        static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(answered_)));
    std::uint64_t seen = 0;
    for (std::size_t step = 0; step < counts_.size(); ++step) {
        seen += counts_[step];
        // No percentile lies outside of what was measured exactly.
        if (seen >= wanted && seen > 0) return std::clamp(end_of_step(step), min_, max_);
    }
    return microseconds(0);
}

std::vector<PollTally::Bar> PollTally::bars() const {
    std::vector<Bar> bars;
    for (const int limit : kBarMilliseconds) bars.push_back({std::chrono::milliseconds(limit), 0});
    for (std::size_t step = 0; step < counts_.size(); ++step) {
        if (counts_[step] == 0) continue;
        const auto end = end_of_step(step);
        auto bar = std::find_if(bars.begin(), bars.end() - 1,
                                [end](const Bar& each) { return end <= each.up_to; });
        bar->count += counts_[step];
    }
    const auto used = [](const Bar& bar) { return bar.count > 0; };
    bars.erase(std::find_if(bars.rbegin(), bars.rend(), used).base(), bars.end());
    bars.erase(bars.begin(), std::find_if(bars.begin(), bars.end(), used));
    return bars;
}

std::string PollTally::progress() const {
    std::string text =
        std::to_string(answered_) + " answered, " + std::to_string(polls_ - answered_) + " failed";
    if (answered_ > 0) text += ", last answer in " + short_span(last_);
    return text;
}

std::string PollTally::text(const std::string& url) const {
    std::string out = url + "\n" + std::to_string(polls_) +
                      (polls_ == 1 ? " poll in " : " polls in ") + short_span(elapsed()) + ": " +
                      std::to_string(answered_) + " answered, " +
                      std::to_string(polls_ - answered_) + " failed\n";
    std::vector<std::vector<std::string>> rows;
    for (const auto& [outcome, failure] : failures_)
        rows.push_back(
            {std::string(to_string(outcome)), std::to_string(failure.count),
             failure.first_detail + " (first after " + short_span(failure.first_at) + ")"});
    out += cli_table(rows, 2);
    if (answered_ > 0) {
        out += "latency: min " + short_span(min_) + ", p50 " + short_span(percentile(0.5)) +
               ", p99 " + short_span(percentile(0.99)) + ", max " + short_span(max_) + "\n";
        rows.clear();
        const auto shown = bars();
        const auto most =
            std::max_element(shown.begin(), shown.end(), [](const Bar& a, const Bar& b) {
                return a.count < b.count;
            })->count;
        for (const Bar& bar : shown) {
            const std::size_t length =
                bar.count == 0 ? 0 : std::max<std::size_t>(1, bar.count * kBarWidth / most);
            rows.push_back({"up to " + std::to_string(bar.up_to.count() / 1000) + " ms",
                            std::to_string(bar.count), std::string(length, '#')});
        }
        out += cli_table(rows, 2);
    }
    return out + "longest time without an answer: " + short_span(longest_gap_) + ", beginning " +
           short_span(longest_gap_at_) + " after the start\n";
}

std::string PollTally::json(const std::string& url, bool interrupted) const {
    json::object failures;
    for (const auto& [outcome, failure] : failures_) {
        const auto name = to_string(outcome);
        failures[json::string_view(name.data(), name.size())] =
            json::object{{"count", failure.count},
                         {"first_detail", failure.first_detail},
                         {"first_at_seconds", seconds_of(failure.first_at)}};
    }
    json::array histogram;
    for (const Bar& bar : bars())
        histogram.push_back(
            json::object{{"up_to_ms", bar.up_to.count() / 1000}, {"count", bar.count}});
    json::object document;
    document["url"] = url;
    document["polls"] = polls_;
    document["answered"] = answered_;
    document["failed"] = polls_ - answered_;
    document["interrupted"] = interrupted;
    document["seconds"] = seconds_of(elapsed());
    document["failures"] = std::move(failures);
    const double mean = answered_ == 0 ? 0 : milliseconds_of(sum_) / static_cast<double>(answered_);
    document["latency_ms"] = json::object{{"min", milliseconds_of(min_)},
                                          {"mean", mean},
                                          {"p50", milliseconds_of(percentile(0.5))},
                                          {"p99", milliseconds_of(percentile(0.99))},
                                          {"max", milliseconds_of(max_)}};
    document["histogram"] = std::move(histogram);
    document["longest_gap_seconds"] = seconds_of(longest_gap_);
    document["longest_gap_at_seconds"] = seconds_of(longest_gap_at_);
    return json::serialize(document) + "\n";
}

}  // namespace launcher
