/// Metrics: counters, gauges and histograms, and their text form. Source: spec "launcher"
/// section 5.1 (Prometheus text 0.0.4, OpenMetrics 1.0.0).
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace runtime {

/// Monotonic; may be increased from any thread.
class Counter {
  public:
    void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
    std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

/// Cumulative histogram of seconds with the bounds 1 ms … 10 s of the specification; any thread may
/// observe.
class DurationHistogram {
  public:
    static constexpr std::array<double, 13> kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                       0.25,  0.5,    1,     2.5,  5,     10};
    void observe(double seconds);

    struct Snapshot {
        std::array<std::uint64_t, kBounds.size() + 1> cumulative{};  ///< last = +Inf = count
        double sum = 0;
    };
    Snapshot snapshot() const;

  private:
    std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> buckets_{};
    std::atomic<std::uint64_t> sum_nanoseconds_{0};
};

enum class MetricKind { counter, gauge, histogram };
using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Builds one exposition. Call family() and then its samples; a family is declared once and its
/// samples stay together.
class MetricsText {
  public:
    enum class Format { prometheus, openmetrics };
    explicit MetricsText(Format format) : format_(format) {}

    /// `name` is the full sample name; counters end in _total. `unit` is "seconds", "bytes" or
    /// empty.
    void family(std::string_view name, MetricKind kind, std::string_view help,
                std::string_view unit = "");
    void sample(double value, Labels labels = {});
    void sample(std::uint64_t value, Labels labels = {});
    /// Any other integer or boolean, so that a literal needs no cast.
    template <class T>
        requires(std::integral<T> && !std::same_as<T, std::uint64_t>)
    void sample(T value, Labels labels = {}) {
        if constexpr (std::signed_integral<T>)
            if (value < 0) return sample(static_cast<double>(value), labels);
        sample(static_cast<std::uint64_t>(value), labels);
    }
    void sample(const DurationHistogram::Snapshot& histogram, Labels labels = {});
    /// The finished text, with "# EOF" for OpenMetrics.
    std::string finish() &&;
    static std::string_view content_type(Format format);
    /// What an Accept header prefers; Prometheus text when it says nothing.
    static Format preferred(std::string_view accept_header);

  private:
    void line(std::string_view suffix, Labels labels, std::string_view extra_label,
              std::string_view value);
    Format format_;
    std::string name_;
    MetricKind kind_ = MetricKind::gauge;
    std::string text_;
};

}  // namespace runtime
