#include "launcher/runtime/metrics.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

namespace runtime {
namespace {

/// Shortest decimal text that reads back as the same number.
std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    std::array<char, 32> buffer{};
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    return {buffer.data(), end};
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
    for (const char c : text) {
        if (c == '\\')
            out += "\\\\";
        else if (c == '\n')
            out += "\\n";
        else if (c == '"' && quotes)
            out += "\\\"";
        else
            out += c;
    }
}

std::string_view kind_name(MetricKind kind) {
    switch (kind) {
        case MetricKind::counter:
            return "counter";
        case MetricKind::gauge:
            return "gauge";
        case MetricKind::histogram:
            return "histogram";
    }
    return "unknown";
}

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// Takes the part of `rest` before the next `separator` off its front.
std::string_view next_part(std::string_view& rest, char separator) {
    const auto end = rest.find(separator);
    const std::string_view part = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    return trimmed(part);
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

struct MediaRange {
    std::string_view type;
    double quality = 1;
    bool version_fits = true;  ///< no version parameter, or the one that we write
};

MediaRange parse_media_range(std::string_view text) {
    MediaRange range;
    range.type = next_part(text, ';');
    while (!text.empty()) {
        std::string_view value = next_part(text, ';');
        const std::string_view name = next_part(value, '=');
        value = trimmed(value);
        if (equal_ignoring_case(name, "version"))
            range.version_fits = value == "1.0.0" || value == "\"1.0.0\"";
        if (equal_ignoring_case(name, "q")) {
            double quality = 0;
            const auto parsed = std::from_chars(value.data(), value.data() + value.size(), quality);
            range.quality = parsed.ec == std::errc{} ? quality : 0;
        }
    }
    return range;
}

}  // namespace

void DurationHistogram::observe(double seconds) {
    if (!(seconds >= 0)) seconds = 0;
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
    // The bucket last: a snapshot between the two sees a sum without its count, which rate()
    // tolerates.
    const double nanoseconds = std::min(seconds * 1e9, 9e18);
    sum_nanoseconds_.fetch_add(static_cast<std::uint64_t>(nanoseconds), std::memory_order_relaxed);
    buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
}

DurationHistogram::Snapshot DurationHistogram::snapshot() const {
    Snapshot result;
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
        total += buckets_[i].load(std::memory_order_relaxed);
        result.cumulative[i] = total;
    }
    result.sum = static_cast<double>(sum_nanoseconds_.load(std::memory_order_relaxed)) / 1e9;
    return result;
}

void MetricsText::family(std::string_view name, MetricKind kind, std::string_view help,
                         std::string_view unit) {
    name_ = name;
    kind_ = kind;
    const bool open = format_ == Format::openmetrics;
    std::string_view declared = name;
    constexpr std::string_view kTotal = "_total";
    if (open && kind == MetricKind::counter && declared.ends_with(kTotal))
        declared.remove_suffix(kTotal.size());

    text_.append("# TYPE ").append(declared).append(" ").append(kind_name(kind)).append("\n");
    // OpenMetrics wants the unit only where the name ends in it.
    if (open && !unit.empty() && declared.size() > unit.size() && declared.ends_with(unit) &&
        declared[declared.size() - unit.size() - 1] == '_')
        text_.append("# UNIT ").append(declared).append(" ").append(unit).append("\n");
    text_.append("# HELP ").append(declared).append(" ");
    append_escaped(text_, help, open);
    text_ += '\n';
}

void MetricsText::line(std::string_view suffix, Labels labels, std::string_view extra_label,
                       std::string_view value) {
    text_.append(name_).append(suffix);
    if (labels.size() > 0 || !extra_label.empty()) {
        text_ += '{';
        bool first = true;
        for (const auto& [label, label_value] : labels) {
            if (!first) text_ += ',';
            first = false;
            text_.append(label).append("=\"");
            append_escaped(text_, label_value, true);
            text_ += '"';
        }
        if (!extra_label.empty()) {
            if (!first) text_ += ',';
            text_ += extra_label;
        }
        text_ += '}';
    }
    text_.append(" ").append(value).append("\n");
}

void MetricsText::sample(double value, Labels labels) {
    line("", labels, "", number(value));
}

void MetricsText::sample(std::uint64_t value, Labels labels) {
    line("", labels, "", std::to_string(value));
}

void MetricsText::sample(const DurationHistogram::Snapshot& histogram, Labels labels) {
    for (std::size_t i = 0; i < DurationHistogram::kBounds.size(); ++i) {
        std::string bound = number(DurationHistogram::kBounds[i]);
        // The canonical form of OpenMetrics has a fraction always.
        if (format_ == Format::openmetrics && bound.find('.') == std::string::npos) bound += ".0";
        line("_bucket", labels, "le=\"" + bound + "\"", std::to_string(histogram.cumulative[i]));
    }
    const std::string count = std::to_string(histogram.cumulative.back());
    line("_bucket", labels, "le=\"+Inf\"", count);
    line("_sum", labels, "", number(histogram.sum));
    line("_count", labels, "", count);
}

std::string MetricsText::finish() && {
    if (format_ == Format::openmetrics) text_ += "# EOF\n";
    return std::move(text_);
}

std::string_view MetricsText::content_type(Format format) {
    return format == Format::openmetrics
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

MetricsText::Format MetricsText::preferred(std::string_view accept_header) {
    double open = 0;
    std::optional<double> plain;
    bool open_came_first = false;
    while (!accept_header.empty()) {
        const MediaRange range = parse_media_range(next_part(accept_header, ','));
        if (equal_ignoring_case(range.type, "application/openmetrics-text") && range.version_fits) {
            if (range.quality > open) open = range.quality;
            if (!plain) open_came_first = true;
        } else if (equal_ignoring_case(range.type, "text/plain")) {
            if (!plain || range.quality > *plain) plain = range.quality;
        }
    }
    const double other = plain.value_or(0);
    if (open <= 0 || open < other) return Format::prometheus;
    return open > other || open_came_first ? Format::openmetrics : Format::prometheus;
}

}  // namespace runtime
