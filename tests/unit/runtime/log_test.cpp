#include "launcher/runtime/log.hpp"

#include "tests/support/pipe.hpp"

#include <chrono>
#include <ctime>
#include <iomanip>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace runtime;
using namespace std::chrono_literals;

namespace {

LogFilter filter(const std::string& text) {
    std::vector<LogFilterProblem> problems;
    LogFilter parsed = LogFilter::parse(text, LogFilterSyntax::tracing, problems);
    REQUIRE(problems.empty());
    return parsed;
}

/// Logging into a pipe; finish() ends it and returns what was written.
class Capture {
  public:
    explicit Capture(const std::string& filter_text = "info",
                     std::size_t queue_bytes = 1024 * 1024) {
        LogOptions options;
        options.filter = filter(filter_text);
        options.descriptor = pipe_.write_end();
        options.queue_bytes = queue_bytes;
        logging_ = std::make_unique<Logging>(options);
    }
    /// For tests that read the pipe themselves.
    void end() {
        logging_.reset();
        pipe_.close_write();
    }
    std::string finish() {
        end();
        return pipe_.read_all();
    }
    test::Pipe& pipe() { return pipe_; }

  private:
    test::Pipe pipe_;
    std::unique_ptr<Logging> logging_;
};

/// The one line that was logged, without its time and LF.
std::string only_line(Capture& capture) {
    std::string text = capture.finish();
    REQUIRE(text.size() > 28);
    REQUIRE(text.back() == '\n');
    text.pop_back();
    REQUIRE(text.find('\n') == std::string::npos);
    return text.substr(28);
}

/// Digits as 0: "0000-00-00T00:00:00.000000Z".
std::string digits_as_zero(std::string text) {
    for (char& c : text)
        if (c >= '0' && c <= '9') c = '0';
    return text;
}

std::vector<std::string> split_lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    std::string line;
    while (std::getline(in, line)) lines.push_back(line);
    return lines;
}

}  // namespace

TEST_CASE("a line has time, level, target, message and fields") {
    Capture capture("trace");
    const auto before = std::chrono::system_clock::now();
    log(LogLevel::trace, "a::b", "t");
    log_debug("a::b", "d");
    log_info("a::b", "i");
    log_warn("kms::authorize", "webhook failed",
             {kv("url", "http://auth:8000"), kv("after", 2s), kv("tries", 3)});
    log_error("a::b", "e",
              {kv("ok", false), kv("text", "literal"), kv("copy", std::string("string"))});
    log(LogLevel::fatal, "a::b", "f");
    log_info("a::b", "", {kv("field_only", 3)});
    log_info("a::b", "");
    const auto lines = split_lines(capture.finish());
    REQUIRE(lines.size() == 8);
    std::vector<std::string> rest;
    for (const std::string& line : lines) {
        CHECK(digits_as_zero(line.substr(0, 28)) == "0000-00-00T00:00:00.000000Z ");
        rest.push_back(line.substr(28));
    }
    CHECK(rest == std::vector<std::string>{
                      "TRACE a::b: t", "DEBUG a::b: d", " INFO a::b: i",
                      " WARN kms::authorize: webhook failed url=http://auth:8000 after=2s tries=3",
                      "ERROR a::b: e ok=false text=literal copy=string", "ERROR a::b: f",
                      " INFO a::b: field_only=3", " INFO a::b: "});
    // The first time is this moment, in UTC.
    std::tm parts{};
    std::istringstream in(lines[0].substr(0, 19));
    in >> std::get_time(&parts, "%Y-%m-%dT%H:%M:%S");
    const auto seconds = std::chrono::system_clock::from_time_t(::timegm(&parts));
    CHECK(seconds + 1s > before);
    CHECK(seconds < before + 60s);
}

TEST_CASE("values are quoted when a reader could misread them") {
    struct Row {
        std::string value;
        std::string written;
    };
    const auto row = GENERATE(values<Row>({
        {"plain", "plain"},
        {"/a/b?c#d:e;f,g", "/a/b?c#d:e;f,g"},
        {"[::1]:8000", "[::1]:8000"},
        {"back\\slash", "back\\slash"},
        {"h\xc3\xa9", "h\xc3\xa9"},
        {"", "\"\""},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"say \"hi\"", "\"say \\\"hi\\\"\""},
        {"it's", "\"it's\""},
        {"back\\slash and blank", "\"back\\\\slash and blank\""},
        {"open(", "\"open(\""},
        {"close]", "\"close]\""},
        {")(", "\")(\""},
        {"a\nb", "\"a\\nb\""},
        {"a\r\tb", "\"a\\r\\tb\""},
        {std::string("a\0b", 3), "\"a\\0b\""},
        {"\x1b[31m", "\"\\u{1b}[31m\""},
        {"\x7f", "\"\\u{7f}\""},
        {"\x01", "\"\\u{1}\""},
        {"\xc2\x9b"
         "31m",
         "\\u{9b}31m"},
        {"\xff\xfe", "\\xff\\xfe"},
    }));
    Capture capture;
    log_info("t", "m", {kv("k", row.value)});
    CHECK(only_line(capture) == " INFO t: m k=" + row.written);
}

TEST_CASE("nothing that is logged can forge a line or move a cursor") {
    const std::string forged =
        "x\n2026-01-01T00:00:00.000000Z ERROR kms: forged\r\x1b[2J\xc2\x85\x80\xff";
    Capture capture;
    log_info(forged, forged, {kv(forged, forged)});
    const std::string text = capture.finish();
    CHECK(split_lines(text).size() == 1);
    for (const char c : text.substr(0, text.size() - 1)) {
        const auto byte = static_cast<unsigned char>(c);
        CHECK((byte >= 0x20 && byte < 0x7f));
    }
    CHECK(text.find("INFO x\\n2026-01-01T00:00:00.000000Z ERROR kms: "
                    "forged\\r\\u{1b}[2J\\xc2\\x85\\x80\\xff: ") != std::string::npos);
    CHECK(text.find(" x_2026-01-01T00_00_00.000000Z_ERROR_kms__forged") != std::string::npos);
}

TEST_CASE("spans of time are short and exact to three places") {
    struct Row {
        std::chrono::nanoseconds span;
        std::string text;
    };
    const auto row = GENERATE(values<Row>({
        {0ns, "0s"},
        {1ns, "1ns"},
        {999ns, "999ns"},
        {1us, "1us"},
        {1500ns, "1.5us"},
        {1234us, "1.234ms"},
        {1200us, "1.2ms"},
        {1234567ns, "1.234ms"},
        {250ms, "250ms"},
        {2s, "2s"},
        {2050ms, "2.05s"},
        {1h, "3600s"},
        {-1500ms, "-1.5s"},
        {std::chrono::nanoseconds::min(), "-9223372036.854s"},
    }));
    CHECK(kv("x", row.span).value == row.text);
}

TEST_CASE("the filter decides, before the fields are written and after it was replaced") {
    Capture capture("warn,kms=debug");
    CHECK(!log_enabled(LogLevel::info, "auth"));
    CHECK(log_enabled(LogLevel::warn, "auth"));
    CHECK(log_enabled(LogLevel::debug, "kms::rpc"));
    CHECK(!log_enabled(LogLevel::trace, "kms::rpc"));
    log_info("auth", "no");
    log_debug("kms::rpc", "yes");
    Logging::set_filter(filter("off,auth=info"));
    log_info("auth", "now");
    log_error("kms::rpc", "not now");
    Logging::set_filter(filter("off,[{id=7}]=info"));
    log_info("auth", "field", {kv("id", 7)});
    log_info("auth", "field", {kv("id", 8)});
    const auto lines = split_lines(capture.finish());
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].ends_with("DEBUG kms::rpc: yes"));
    CHECK(lines[1].ends_with(" INFO auth: now"));
    CHECK(lines[2].ends_with(" INFO auth: field id=7"));
}

TEST_CASE("without Logging lines go nowhere") {
    CHECK(!log_enabled(LogLevel::error, "x"));
    log_error("x", "nobody hears this");
    Logging::set_filter(LogFilter());
    Logging::add_secret("a secret nobody keeps");
    CHECK(Logging::lines_dropped() == 0);
}

TEST_CASE("there is one Logging at a time, and another may follow") {
    {
        Capture capture;
        CHECK_THROWS_AS(Logging(LogOptions{}), std::logic_error);
        log_info("x", "still works");
        CHECK(only_line(capture) == " INFO x: still works");
    }
    Capture capture;
    log_info("x", "again");
    CHECK(only_line(capture) == " INFO x: again");
}

TEST_CASE("secrets never appear") {
    Capture capture;
    Logging::add_secret("hunter22");
    Logging::add_secret("hunter22-and-more");
    Logging::add_secret("short");  // too short to be told from a word
    Logging::add_secret("with \"quotes\" inside");
    log_info("t", "a hunter22 and hunter22-and-more, short",
             {kv("k", "hunter22hunter22"), kv("q", "with \"quotes\" inside")});
    CHECK(only_line(capture) ==
          " INFO t: a [redacted] and [redacted], short k=[redacted][redacted] q=[redacted]");
}

TEST_CASE("a reader that stalls costs lines, which are counted and announced") {
    Capture capture("info", 4096);
    capture.pipe().set_capacity(4096);
    constexpr std::uint64_t kLines = 3000;
    for (std::uint64_t i = 0; i < kLines; ++i) log_info("t", "line", {kv("n", i)});
    CHECK(Logging::lines_dropped() > kLines - 300);

    std::string received;
    std::thread reader([&] { received = capture.pipe().read_all(); });
    for (std::uint64_t i = kLines; i < 2 * kLines; ++i) log_info("t", "line", {kv("n", i)});
    const std::uint64_t dropped = Logging::lines_dropped();
    capture.end();
    reader.join();

    std::uint64_t next = 0;
    std::uint64_t lost = 0;
    for (const std::string& line : split_lines(received)) {
        if (const auto at = line.find(" WARN runtime::log: log lines were lost count=");
            at != std::string::npos) {
            const std::uint64_t count = std::stoull(line.substr(line.rfind('=') + 1));
            lost += count;
            next += count;
        } else {
            REQUIRE(line.substr(28) == " INFO t: line n=" + std::to_string(next));
            ++next;
        }
    }
    CHECK(next == 2 * kLines);
    CHECK(lost == dropped);
}

TEST_CASE("a closed pipe is survived and counted") {
    Capture capture;
    capture.pipe().close_read();
    for (int i = 0; i < 10; ++i) log_info("t", "line");
    // The writer finds out on its own thread; each further line sees more of it.
    for (int i = 0; i < 1'000'000 && Logging::lines_dropped() < 10; ++i) std::this_thread::yield();
    CHECK(Logging::lines_dropped() == 10);
}

TEST_CASE("several threads log whole lines while the filter changes") {
    Capture capture("info");
    std::string received;
    std::thread reader([&] { received = capture.pipe().read_all(); });
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([t] {
            for (int i = 0; i < 500; ++i) log_info("t", "line", {kv("thread", t), kv("i", i)});
        });
    for (int i = 0; i < 100; ++i) Logging::set_filter(filter(i % 2 == 0 ? "debug" : "info"));
    for (auto& thread : threads) thread.join();
    CHECK(Logging::lines_dropped() == 0);
    capture.end();
    reader.join();
    const auto lines = split_lines(received);
    CHECK(lines.size() == 2000);
    std::set<std::string> distinct;
    for (const std::string& line : lines) {
        REQUIRE(digits_as_zero(line).starts_with(
            "0000-00-00T00:00:00.000000Z  INFO t: line thread=0 i=0"));
        distinct.insert(line.substr(28));
    }
    CHECK(distinct.size() == 2000);
}
