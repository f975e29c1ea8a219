#include "launcher/logs/parse_tracing.hpp"
#include "tests/unit/launcher/logs_collect.hpp"

#include <catch2/catch.hpp>

using namespace launcher::logs;
using runtime::LogLevel;
using test::Collect;
using test::field;

namespace {

/// "a{x=1}:b" for spans, "a=1 b=text" for fields.
std::string text_of(const Fields& fields) {
    std::string text;
    for (const auto& [name, value] : fields)
        text += (text.empty() ? "" : " ") + name + "=" + field(fields, name);
    return text;
}
std::string text_of(const std::vector<Span>& spans) {
    std::string text;
    for (const Span& span : spans) {
        text += (text.empty() ? "" : ":") + span.name;
        if (!span.fields.empty()) text += "{" + text_of(span.fields) + "}";
    }
    return text;
}

}  // namespace

TEST_CASE("lines of tracing-subscriber are read as they are meant") {
    struct Row {
        std::string line;
        LogLevel level;
        std::string spans, target, message, fields;
    };
    const auto row = GENERATE(values<Row>({
        {"2026-11-22T20:49:30.754812Z  INFO lines: Starting KMS", LogLevel::info, "", "lines",
         "Starting KMS", ""},
        {"2026-11-22T20:49:30.754834Z  INFO lines:   /prpc/KMS.GetMeta", LogLevel::info, "",
         "lines", "  /prpc/KMS.GetMeta", ""},
        {"2026-11-22T20:49:30.754838Z  WARN rocket::server: listening port=9100", LogLevel::warn,
         "", "rocket::server", "listening", "port=#9100"},
        {"2026-11-22T20:49:30.754843Z ERROR lines: request failed code=5 err=Custom { kind: Other, "
         "error: \"boom\" }",
         LogLevel::error, "", "lines", "request failed",
         "code=#5 err=Custom { kind: Other, error: \"boom\" }"},
        {"2026-11-22T20:49:30.754852Z DEBUG lines: msg with : colon a=display b=true c=1.5 d=\"str "
         "\\\"q\\\"\"",
         LogLevel::debug, "", "lines", "msg with : colon",
         "a=display b=#true c=#1.500000 d=str \"q\""},
        {"2026-11-22T20:49:30.754861Z  INFO lines: field_only=3", LogLevel::info, "", "lines", "",
         "field_only=#3"},
        {"2026-11-22T20:49:30.754911Z  INFO request{id=7 path=\"/prpc/KMS.GetMeta\"}: lines: "
         "inside",
         LogLevel::info, "request{id=#7 path=/prpc/KMS.GetMeta}", "lines", "inside", ""},
        {"2026-11-22T20:49:30.754925Z  INFO request{id=7 path=\"/prpc/KMS.GetMeta\"}:inner: lines: "
         "inside two "
         "status=200",
         LogLevel::info, "request{id=#7 path=/prpc/KMS.GetMeta}:inner", "lines", "inside two",
         "status=#200"},
        {"2026-11-22T20:49:30.754931Z  INFO request{id=7 path=\"/prpc/KMS.GetMeta\"}:inner: "
         "lines: ",
         LogLevel::info, "request{id=#7 path=/prpc/KMS.GetMeta}:inner", "lines", "", ""},
        {" INFO listening port=9100", LogLevel::info, "", "", "listening", "port=#9100"},
        {"TRACE a::b: deep", LogLevel::trace, "", "a::b", "deep", ""},
        {"2026-11-22T20:49:30Z  INFO lines: no fraction", LogLevel::info, "", "lines",
         "no fraction", ""},
        {"2026-11-22T20:49:30.754812Z  INFO request:inner: lines: compact id=7", LogLevel::info,
         "request:inner", "lines", "compact", "id=#7"},
        {"2026-11-22T20:49:30.754812Z  INFO main ThreadId(01) lines: with a thread", LogLevel::info,
         "", "lines", "with a thread", "threadName=main threadId=ThreadId(01)"},
        {"2026-11-22T20:49:30.754812Z  INFO ThreadId(12) lines: with an id", LogLevel::info, "",
         "lines", "with an id", "threadId=ThreadId(12)"},
        {"2026-11-22T20:49:30.754812Z  INFO span{who=it's a b}: lines: blanks in a value",
         LogLevel::info, "span{who=it's a b}", "lines", "blanks in a value", ""},
        {"2026-11-22T20:49:30.754812Z  INFO span{who=a b id=7}: lines: x", LogLevel::info,
         "span{who=a b id=#7}", "lines", "x", ""},
        {"2026-11-22T20:49:30.754812Z  INFO span{v=Some(A { b: [1, 2] }) w=\"}\"}: lines: x",
         LogLevel::info, "span{v=Some(A { b: [1, 2] }) w=}}", "lines", "x", ""},
        {"2026-11-22T20:49:30.754812Z  INFO just text without a target", LogLevel::info, "", "",
         "just text without a target", ""},
        {"2026-11-22T20:49:30.754812Z  INFO http://127.0.0.1:9100: is no target", LogLevel::info,
         "", "", "http://127.0.0.1:9100: is no target", ""},
        {"2026-11-22T20:49:30.754812Z  INFO span{broken: lines: x", LogLevel::info, "", "",
         "span{broken: lines: x", ""},
    }));
    INFO(row.line);
    Collect collect;
    const Record record = collect.one(row.line);
    CHECK(record.level == row.level);
    CHECK(text_of(record.spans) == row.spans);
    CHECK(record.logger == row.target);
    CHECK(record.message == row.message);
    CHECK(text_of(record.fields) == row.fields);
    CHECK(record.service == "kms");
    CHECK(record.pid == 17);
    CHECK(record.fields_dropped == 0);
}

TEST_CASE("fields are taken only where everything up to the end is one") {
    struct Row {
        std::string text, message, fields;
    };
    const auto row = GENERATE(values<Row>({
        {"a=1 b=2", "", "a=#1 b=#2"},
        {"msg a=1 text b=2", "msg a=1 text", "b=#2"},
        {"msg a=1 text", "msg a=1 text", ""},
        {"err=connection refused port=1", "err=connection refused", "port=#1"},
        {"x==y a=1", "x==y", "a=#1"},
        {"GET http://h/?x=1&y=2", "GET http://h/?x=1&y=2", ""},
        {"a=(1, 2) b=[3, 4] c={5: 6}", "", "a=(1, 2) b=[3, 4] c={5: 6}"},
        {"a=(1, 2] b=1", "a=(1, 2]", "b=#1"},
        {"a=\"open b=1", "a=\"open", "b=#1"},
        {"a=\"x\"y b=1", "", "a=\"x\"y b=#1"},
        {"a= b=", "", "a= b="},
        {"r#type=1 a.b-c=2", "", "r#type=#1 a.b-c=#2"},
        {"1a=2", "1a=2", ""},
        {"v=Foo::Bar { x: \"}\" } w=1", "", "v=Foo::Bar { x: \"}\" } w=#1"},
        {"v=Foo {", "v=Foo {", ""},
        {"n=007 h=12e4567890 big=12345678901234567890 neg=-5 f=-1.5 t=true nil=null plus=+3", "",
         "n=007 h=12e4567890 big=12345678901234567890 neg=#-5 f=#-1.500000 t=#true nil=null "
         "plus=+3"},
        {"one\ntwo a=1", "one\ntwo", "a=#1"},
        {"trailing a=1 ", "trailing", "a=#1"},
        {"u=\"\\u{e9}\\n\"", "", "u=\xC3\xA9\n"},
    }));
    INFO(row.text);
    TextArena arena;
    std::vector<FieldView> fields;
    bool decoded = false;
    RecordView view;
    view.message = split_fields(row.text, arena, fields, decoded);
    for (const FieldView& each : fields) view.add_field(each.name, each.value, each.kind);
    CHECK(view.message == row.message);
    CHECK(text_of(to_record(view).fields) == row.fields);
}

TEST_CASE("a hostile line costs no more than a few readings of itself") {
    std::string hostile;
    for (int i = 0; i < 10'000; ++i) hostile += "a=( ";
    TextArena arena;
    std::vector<FieldView> fields;
    bool decoded = false;
    CHECK(split_fields(hostile, arena, fields, decoded) == hostile);
    CHECK(fields.empty());
}

TEST_CASE("span or target is settled by what was seen before") {
    Collect collect;
    const std::string front = "2026-11-22T20:49:30.754812Z  INFO ";
    // Nothing known yet: the first name is the target.
    CHECK(collect.one(front + "request: lines: hello").logger == "request");
    // An unambiguous line teaches "lines" …
    CHECK(collect.one(front + "lines: Starting KMS").logger == "lines");
    // … and from then on it settles the question.
    const Record record = collect.one(front + "request: lines: hello");
    CHECK(record.logger == "lines");
    CHECK(text_of(record.spans) == "request");
    CHECK(record.message == "hello");
}

TEST_CASE("the set of known targets is bounded") {
    KnownTargets targets;
    for (int i = 0; i < 600; ++i) targets.learn("t" + std::to_string(i));
    CHECK(targets.contains("t0"));
    CHECK(targets.contains("t511"));
    CHECK_FALSE(targets.contains("t512"));
    targets.learn(std::string(300, 'x'));
    CHECK_FALSE(targets.contains(std::string(300, 'x')));
}

TEST_CASE("continuation lines are a part of the message, and its fields stand at the end") {
    Collect collect;
    collect.push("2026-11-22T20:49:30.754863Z  INFO lines: multi");
    collect.push("line\tmessage \\x1b[31mred\\x1b[0m \\x07 \xC3\xA9 n=1");
    collect.processor.close();
    REQUIRE(collect.records.size() == 1);
    CHECK(collect.records[0].message == "multi\nline\tmessage \\x1b[31mred\\x1b[0m \\x07 \xC3\xA9");
    CHECK(field(collect.records[0].fields, "n") == "#1");
    CHECK(collect.lines == std::vector<std::uint32_t>{2});
}

TEST_CASE("colours are removed before a line is read") {
    Collect collect;
    const Record record = collect.one(
        "\x1B[2m2026-11-22T20:49:30.754812Z\x1B[0m \x1B[32m INFO\x1B[0m "
        "\x1B[2mlines\x1B[0m\x1B[2m:\x1B[0m listening "
        "\x1B[3mport\x1B[0m\x1B[2m=\x1B[0m9100");
    CHECK(record.logger == "lines");
    CHECK(record.message == "listening");
    CHECK(field(record.fields, "port") == "#9100");
}

TEST_CASE("the service's own time counts when it is about the time of receipt") {
    Collect collect;
    const auto time_of = [&](const std::string& time) {
        return collect.one(time + "  INFO lines: x").timestamp;
    };
    using namespace std::chrono;
    CHECK(time_of("2026-11-22T20:49:30.754812Z") ==
          sys_days(2026y / November / 22d) + 20h + 49min + 30s + 754812us);
    CHECK(time_of("2026-11-22T20:39:31.000000Z") == test::receipt() - 10min);
    CHECK(time_of("2026-11-22T20:39:30.999999Z") == test::receipt());
    CHECK(time_of("2026-11-22T20:59:31.000001Z") == test::receipt());
    CHECK(collect.one(" INFO no time").timestamp == test::receipt());
}

TEST_CASE("the place in the source is read") {
    Collect collect;
    const Record line =
        collect.one("2026-11-22T20:49:30.754812Z  INFO lines: src/main.rs:10: Starting");
    CHECK(line.code_file == "src/main.rs");
    CHECK(line.code_line == 10);
    CHECK(line.message == "Starting");
    const Record file =
        collect.one("2026-11-22T20:49:30.754812Z  INFO lines: src/main.rs: Starting");
    CHECK(file.code_file == "src/main.rs");
    CHECK(file.code_line == 0);
    CHECK(collect.one("2026-11-22T20:49:30.754812Z  INFO lines: hosts: a:10: b").code_file.empty());
}

TEST_CASE("the pretty form is known by its second line") {
    Collect collect;
    collect.push("  2026-11-22T20:49:30.754812Z  INFO lines: Starting KMS");
    collect.push("    at src/main.rs:10 on main");
    collect.processor.close();
    REQUIRE(collect.records.size() == 1);
    CHECK(collect.records[0].logger == "lines");
    CHECK(collect.records[0].code_file == "src/main.rs");
    CHECK(collect.records[0].code_line == 10);
    const Record alone = collect.one("  2026-11-22T20:49:30.754812Z ERROR lines: Starting KMS");
    CHECK(alone.level == LogLevel::info);
    CHECK(alone.message == "  2026-11-22T20:49:30.754812Z ERROR lines: Starting KMS");
}

TEST_CASE("what cannot be parsed is kept whole, at the level of its stream") {
    const std::string line =
        GENERATE("hello", "2026-11-22 hello", "2026-99-22T20:49:30.754812Z  INFO x: y",
                 "2026-11-22T20:49:30.754812Z  LOUD x: y", "INFO x: y", "{not json}", "{\"a\":1",
                 "[1,2]", "ERROR", " INFO");
    INFO(line);
    Collect out, err({}, {}, Stream::err);
    const Record from_out = out.one(line), from_err = err.one(line);
    CHECK(from_out.message == line);
    CHECK(from_out.level == LogLevel::info);
    CHECK(out.target == "kms::stdout");
    CHECK(from_err.message == line);
    CHECK(from_err.level == LogLevel::warn);
    CHECK(err.target == "kms::stderr");
}

TEST_CASE("field extraction can be switched off, the original kept") {
    launcher::ServicePlan::Log plan;
    plan.fields = false;
    plan.keep_original = true;
    Collect collect(plan);
    const std::string line =
        "2026-11-22T20:49:30.754838Z  WARN rocket::server: listening port=9100";
    const Record record = collect.one(line);
    CHECK(record.message == "listening port=9100");
    CHECK(record.fields.empty());
    CHECK(record.original == line);
}

TEST_CASE("later parts of a line have the level and target of the first") {
    Collect collect;
    LineSplitter splitter(64);
    splitter.feed("2026-11-22T20:49:30.754843Z ERROR lines: " + std::string(60, 'x') + "\n",
                  collect.stamp.steady, collect);
    REQUIRE(collect.records.size() == 2);
    CHECK(collect.records[1].level == LogLevel::error);
    CHECK(collect.records[1].logger == "lines");
    CHECK(collect.records[1].part == 2);
    CHECK(collect.records[0].message + collect.records[1].message == std::string(60, 'x'));
}
