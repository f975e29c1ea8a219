#include "launcher/runtime/metrics.hpp"

#include <limits>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace runtime;
using Format = MetricsText::Format;

namespace {

std::string exposition(Format format) {
    MetricsText text(format);
    text.family("app_requests_total", MetricKind::counter, "Requests answered.");
    text.sample(std::uint64_t{7}, {{"code", "200"}, {"path", "/a"}});
    text.sample(0, {{"code", "503"}, {"path", "/a"}});
    text.family("app_queue_bytes", MetricKind::gauge, "Bytes that wait.", "bytes");
    text.sample(1.5);
    DurationHistogram histogram;
    histogram.observe(0.001);
    histogram.observe(0.3);
    histogram.observe(60);
    text.family("app_wait_seconds", MetricKind::histogram, "Time waited.", "seconds");
    text.sample(histogram.snapshot(), {{"stage", "tls"}});
    return std::move(text).finish();
}

}  // namespace

TEST_CASE("the Prometheus text form") {
    CHECK(exposition(Format::prometheus) == R"(# TYPE app_requests_total counter
# HELP app_requests_total Requests answered.
app_requests_total{code="200",path="/a"} 7
app_requests_total{code="503",path="/a"} 0
# TYPE app_queue_bytes gauge
# HELP app_queue_bytes Bytes that wait.
app_queue_bytes 1.5
# TYPE app_wait_seconds histogram
# HELP app_wait_seconds Time waited.
app_wait_seconds_bucket{stage="tls",le="0.001"} 1
app_wait_seconds_bucket{stage="tls",le="0.0025"} 1
app_wait_seconds_bucket{stage="tls",le="0.005"} 1
app_wait_seconds_bucket{stage="tls",le="0.01"} 1
app_wait_seconds_bucket{stage="tls",le="0.025"} 1
app_wait_seconds_bucket{stage="tls",le="0.05"} 1
app_wait_seconds_bucket{stage="tls",le="0.1"} 1
app_wait_seconds_bucket{stage="tls",le="0.25"} 1
app_wait_seconds_bucket{stage="tls",le="0.5"} 2
app_wait_seconds_bucket{stage="tls",le="1"} 2
app_wait_seconds_bucket{stage="tls",le="2.5"} 2
app_wait_seconds_bucket{stage="tls",le="5"} 2
app_wait_seconds_bucket{stage="tls",le="10"} 2
app_wait_seconds_bucket{stage="tls",le="+Inf"} 3
app_wait_seconds_sum{stage="tls"} 60.301
app_wait_seconds_count{stage="tls"} 3
)");
}

TEST_CASE("the OpenMetrics text form") {
    const std::string text = exposition(Format::openmetrics);
    CHECK(
        text.starts_with("# TYPE app_requests counter\n"
                         "# HELP app_requests Requests answered.\n"
                         "app_requests_total{code=\"200\",path=\"/a\"} 7\n"));
    CHECK(text.find("# TYPE app_queue_bytes gauge\n# UNIT app_queue_bytes bytes\n") !=
          std::string::npos);
    CHECK(text.find("# UNIT app_wait_seconds seconds\n") != std::string::npos);
    CHECK(text.find("le=\"1.0\"} 2\n") != std::string::npos);
    CHECK(text.find("le=\"10.0\"} 2\n") != std::string::npos);
    CHECK(text.ends_with("app_wait_seconds_count{stage=\"tls\"} 3\n# EOF\n"));
}

TEST_CASE("a unit is declared for a counter too, but only where the name has it") {
    MetricsText text(Format::openmetrics);
    text.family("a_bytes_total", MetricKind::counter, "A.", "bytes");
    text.family("b", MetricKind::gauge, "B.", "bytes");
    CHECK(std::move(text).finish() ==
          "# TYPE a_bytes counter\n# UNIT a_bytes bytes\n# HELP a_bytes A.\n# TYPE b gauge\n# HELP "
          "b B.\n# EOF\n");
}

TEST_CASE("special characters are escaped as each form wants it") {
    MetricsText prometheus(Format::prometheus);
    prometheus.family("a", MetricKind::gauge, "back\\slash\nline \"quoted\"");
    prometheus.sample(1, {{"l", "back\\slash\nline \"quoted\""}});
    CHECK(std::move(prometheus).finish() ==
          "# TYPE a gauge\n# HELP a back\\\\slash\\nline \"quoted\"\na{l=\"back\\\\slash\\nline "
          "\\\"quoted\\\"\"} 1\n");
    MetricsText open(Format::openmetrics);
    open.family("a", MetricKind::gauge, "\"quoted\"");
    CHECK(std::move(open).finish() == "# TYPE a gauge\n# HELP a \\\"quoted\\\"\n# EOF\n");
}

TEST_CASE("numbers read back as the same number") {
    const auto sample = [](auto value) {
        MetricsText text(Format::prometheus);
        text.family("a", MetricKind::gauge, "A.");
        text.sample(value);
        const std::string all = std::move(text).finish();
        return all.substr(all.find("\na ") + 3);
    };
    CHECK(sample(0.1) == "0.1\n");
    CHECK(sample(-2.5) == "-2.5\n");
    CHECK(sample(1e300) == "1e+300\n");
    CHECK(sample(std::numeric_limits<double>::infinity()) == "+Inf\n");
    CHECK(sample(-std::numeric_limits<double>::infinity()) == "-Inf\n");
    CHECK(sample(std::numeric_limits<double>::quiet_NaN()) == "NaN\n");
    CHECK(sample(std::numeric_limits<std::uint64_t>::max()) == "18446744073709551615\n");
    CHECK(sample(-3) == "-3\n");
    CHECK(sample(true) == "1\n");
    CHECK(sample(3U) == "3\n");
}

TEST_CASE("histograms take every value and count from several threads") {
    DurationHistogram histogram;
    histogram.observe(-1);
    histogram.observe(std::numeric_limits<double>::quiet_NaN());
    histogram.observe(0);
    CHECK(histogram.snapshot().cumulative.front() == 3);
    CHECK(histogram.snapshot().sum == Approx(0));

    std::vector<std::thread> threads;
    Counter counter;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int n = 0; n < 1000; ++n) {
                histogram.observe(0.01);
                counter.add();
            }
        });
    for (auto& thread : threads) thread.join();
    const auto snapshot = histogram.snapshot();
    CHECK(snapshot.cumulative[2] == 3);
    CHECK(snapshot.cumulative[3] == 4003);
    CHECK(snapshot.cumulative.back() == 4003);
    CHECK(snapshot.sum == Approx(40));
    CHECK(counter.value() == 4000);
}

TEST_CASE("the Accept header decides the form") {
    struct Row {
        std::string accept;
        Format format;
    };
    const auto row = GENERATE(values<Row>({
        {"", Format::prometheus},
        {"*/*", Format::prometheus},
        {"text/plain", Format::prometheus},
        {"application/openmetrics-text", Format::openmetrics},
        {"Application/OpenMetrics-Text; Version=1.0.0", Format::openmetrics},
        {"application/openmetrics-text; version=0.0.1", Format::prometheus},
        {"application/openmetrics-text; version=2.0.0", Format::prometheus},
        {"application/openmetrics-text;q=0", Format::prometheus},
        {"application/openmetrics-text;q=x", Format::prometheus},
        {"application/openmetrics-text,text/plain", Format::openmetrics},
        {"text/plain,application/openmetrics-text", Format::prometheus},
        {"text/plain;q=0.5,application/openmetrics-text;q=0.6", Format::openmetrics},
        {"application/openmetrics-text;q=0.4,text/plain;q=0.5", Format::prometheus},
        {"application/openmetrics-text;version=1.0.0;q=0.5,application/"
         "openmetrics-text;version=0.0.1;q=0.4,"
         "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         Format::openmetrics},
        {";;,,=;q", Format::prometheus},
    }));
    INFO(row.accept);
    CHECK(MetricsText::preferred(row.accept) == row.format);
}

TEST_CASE("content types name version and character set") {
    CHECK(MetricsText::content_type(Format::prometheus) ==
          "text/plain; version=0.0.4; charset=utf-8");
    CHECK(MetricsText::content_type(Format::openmetrics) ==
          "application/openmetrics-text; version=1.0.0; charset=utf-8");
}
