#include "tests/unit/launcher/logs_collect.hpp"

#include <catch2/catch.hpp>

using namespace launcher::logs;
using runtime::LogLevel;
using test::Collect;

TEST_CASE("plain output of node and Rust") {
    struct Row {
        std::string name;
        std::vector<std::string> lines;
        LogLevel level;
        std::string error_type, error_message, action;
    };
    const auto row = GENERATE(values<Row>({
        {"a warning", {"(node:7228) Warning: careful"}, LogLevel::warn, "", "", ""},
        {"a deprecation",
         {"(node:7228) [DEP0040] DeprecationWarning: The `punycode` module"},
         LogLevel::warn,
         "",
         "",
         ""},
        {"no warning", {"(node:7228) hello"}, LogLevel::info, "", "", ""},
        {"no process id", {"(node:x) Warning: careful"}, LogLevel::info, "", "", ""},
        {"a stack",
         {"TypeError: x is not a function", "    at f (a.js:1:2)", "    at g (b.js:3:4)"},
         LogLevel::error,
         "TypeError",
         "x is not a function",
         ""},
        {"a stack with a code",
         {"Error [ERR_X]: no", "    at f (a.js:1:2)"},
         LogLevel::error,
         "Error",
         "no",
         ""},
        {"an error without a stack", {"Error: no"}, LogLevel::info, "", "", ""},
        {"no error", {"Terror: x", "    at home"}, LogLevel::info, "", "", ""},
        {"anyhow",
         {"Error: cannot start", "Caused by:", "    0: cannot read", "    1: No such file"},
         LogLevel::error,
         "Error",
         "cannot start",
         ""},
        {"a panic",
         {"thread 'main' panicked at src/main.rs:1:2:", "boom",
          "note: run with `RUST_BACKTRACE=1` environment"},
         LogLevel::error,
         "panic",
         "boom",
         "panic"},
        {"an older panic",
         {"thread 'main' panicked at 'boom, or so', src/main.rs:1:2"},
         LogLevel::error,
         "panic",
         "boom, or so",
         "panic"},
        {"a panic of two lines",
         {"thread '<unnamed>' panicked at src/main.rs:1:2:", "boom", "and more",
          "stack backtrace:", "   0: rust_begin_unwind"},
         LogLevel::error,
         "panic",
         "boom\nand more",
         "panic"},
        {"talk of a panic", {"thread 'main' is fine"}, LogLevel::info, "", "", ""},
    }));
    INFO(row.name);
    Collect collect;
    std::string all;
    for (const std::string& line : row.lines) {
        collect.push(line);
        all += (all.empty() ? "" : "\n") + line;
    }
    collect.processor.close();
    REQUIRE(collect.records.size() == 1);
    const Record& record = collect.records[0];
    CHECK(record.level == row.level);
    CHECK(record.message == all);
    CHECK(record.error_type == row.error_type);
    CHECK(record.error_message == row.error_message);
    CHECK(record.action == row.action);
}

TEST_CASE("a panic's backtrace is its stack") {
    Collect collect;
    for (const char* line : {"thread 'main' panicked at src/main.rs:1:2:", "boom",
                             "stack backtrace:", "   0: f", "   1: g"}) {
        collect.push(line);
    }
    collect.processor.close();
    REQUIRE(collect.records.size() == 1);
    CHECK(collect.records[0].error_stack == "stack backtrace:\n   0: f\n   1: g");
}
