#include "launcher/logs/joiner.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace launcher::logs;
using launcher::LogFormat;
using namespace std::chrono_literals;

namespace {

struct Records final : Joiner::Output {
    void record(const JoinedText& joined) override {
        seen.emplace_back(joined.text);
        lines += joined.lines;
    }
    std::vector<std::string> seen;
    std::uint32_t lines = 0;
};

/// Gives lines with the given pauses in front of them ("+60 text"), each from memory that is gone
/// afterwards.
std::vector<std::string> join(const std::vector<std::string>& lines,
                              LogFormat format = LogFormat::automatic, bool multiline = true) {
    Joiner joiner(format, multiline);
    Records records;
    Stamp stamp;
    stamp.steady = runtime::TimePoint(1h);
    for (const std::string& line : lines) {
        std::string text = line;
        if (text[0] == '+') {
            stamp.steady += std::chrono::milliseconds(std::stoi(text.substr(1)));
            text = text.substr(text.find(' ') + 1);
        }
        joiner.push({.text = text, .stamp = stamp}, records);
        joiner.settle();
    }
    joiner.close(records);
    CHECK(records.lines == lines.size());
    return records.seen;
}

using Seen = std::vector<std::string>;
const std::string kHeader = "2026-11-22T20:49:30.754863Z  INFO lines: multi";

}  // namespace

TEST_CASE("lines belong together by indentation, format or an open block") {
    struct Row {
        std::string name;
        std::vector<std::string> lines;
        std::size_t records;
    };
    const auto row = GENERATE(values<Row>({
        {"indented", {"first", "  second", "\tthird", "fourth"}, 2},
        {"tracing text without a header", {kHeader, "line\tmessage", kHeader}, 2},
        {"tracing text with no time", {" INFO a", "more", " INFO b"}, 2},
        {"plain lines do not", {"one", "two"}, 2},
        {"after JSON", {"{\"a\":1}", "{\"a\":2}", "text"}, 3},
        {"JSON ends tracing", {kHeader, "{\"a\":1}"}, 2},
        {"a panic, to its note",
         {"thread 'main' panicked at src/main.rs:1:2:", "boom", "stack backtrace:", "   0: f",
          "note: run with `RUST_BACKTRACE=1`", "next"},
         2},
        {"a panic ends at a header",
         {"thread 'main' panicked at src/main.rs:1:2:", "boom", kHeader},
         2},
        {"two panics",
         {"thread 'a' panicked at x:1:2:", "boom", "thread 'b' panicked at x:1:2:", "boom"},
         2},
        {"a stack",
         {"TypeError: x is not a function", "    at f (a.js:1:2)", "    at g (a.js:3:4) {",
          "  code: 'E'", "}", "next"},
         2},
        {"anyhow", {"Error: cannot start", "Caused by:", "    0: a", "    1: b", "next"}, 2},
        {"a warning of node starts", {"x", "(node:1) Warning: careful", "(Use node)"}, 3},
        {"after 50 ms it is still open", {"first", "+50 \tsecond"}, 1},
        {"after 51 ms it is not", {"first", "+51 \tsecond"}, 2},
        {"counted from the last line", {"first", "+40 \tsecond", "+40 \tthird"}, 1},
        {"an indented line may be the first", {"  first", "  second"}, 1},
    }));
    INFO(row.name);
    const Seen records = join(row.lines);
    CHECK(records.size() == row.records);
    std::string all, joined;
    for (std::string line : row.lines)
        all += (line[0] == '+' ? line.substr(line.find(' ') + 1) : line) + "\n";
    for (const std::string& record : records) joined += record + "\n";
    CHECK(joined == all);
}

TEST_CASE("a record has at most 64 lines and 64 KiB") {
    std::vector<std::string> lines{"first"};
    for (int i = 0; i < 100; ++i) lines.push_back("\tmore");
    CHECK(join(lines).size() == 2);
    lines.assign(1, "first");
    for (int i = 0; i < 20; ++i) lines.push_back("\t" + std::string(10'000, 'x'));
    const Seen records = join(lines);
    CHECK(records.size() == 4);
    for (const std::string& record : records) CHECK(record.size() <= Joiner::kMaxBytes);
}

TEST_CASE("multiline = false joins nothing; parts of a line are never joined") {
    CHECK(join({"a", "\tb", "\tc"}, LogFormat::automatic, false).size() == 3);
    Joiner joiner(LogFormat::automatic, true);
    Records records;
    const Stamp stamp;
    joiner.push({.text = "first", .stamp = stamp}, records);
    joiner.push({.text = "\tpart", .stamp = stamp, .part = 1, .partial = true}, records);
    joiner.push({.text = "\trest", .stamp = stamp, .part = 2}, records);
    joiner.push({.text = "\tindented", .stamp = stamp}, records);
    CHECK(records.seen == Seen{"first", "\tpart", "\trest"});
    joiner.close(records);
    CHECK(records.seen.back() == "\tindented");
}

TEST_CASE("an open record closes by itself") {
    Joiner joiner(LogFormat::automatic, true);
    Records records;
    Stamp stamp;
    stamp.steady = runtime::TimePoint(1h);
    CHECK_FALSE(joiner.closes_at());
    joiner.push({.text = "a", .stamp = stamp}, records);
    REQUIRE(joiner.closes_at() == stamp.steady + 50ms);
    joiner.expire(stamp.steady + 49ms, records);
    CHECK(records.seen.empty());
    joiner.expire(stamp.steady + 50ms, records);
    CHECK(records.seen == Seen{"a"});
    CHECK_FALSE(joiner.closes_at());
}

TEST_CASE("with format plain, headers and braces mean nothing") {
    CHECK(join({kHeader, "more"}, LogFormat::plain).size() == 2);
    CHECK(join({"a", " INFO b"}, LogFormat::plain).size() == 1);
    CHECK(join({kHeader, " INFO b"}, LogFormat::tracing).size() == 2);
}
