#include "launcher/logs/json_scan.hpp"
#include "tests/unit/launcher/logs_collect.hpp"

#include <catch2/catch.hpp>

using namespace launcher::logs;
using namespace std::chrono_literals;
using runtime::LogLevel;
using test::Collect;
using test::field;

TEST_CASE("JSON texts are told from what only looks like them") {
    struct Row {
        std::string text;
        bool good;
    };
    const auto row = GENERATE(values<Row>({
        {"{}", true},
        {"{ }  ", true},
        {"{\"a\":1}", true},
        {"{\"a\" : [ 1 , -2.5e+3 , true , false , null , \"x\" , { } , [ ] ] }", true},
        {"{\"a\":\"\\u00e9\\\\\\\"\"}", true},
        {"{\"a\":1", false},
        {"{\"a\":1}}", false},
        {"{\"a\":1} x", false},
        {"{a:1}", false},
        {"{\"a\":01}", false},
        {"{\"a\":1.}", false},
        {"{\"a\":+1}", false},
        {"{\"a\":.5}", false},
        {"{\"a\":1e}", false},
        {"{\"a\":tru}", false},
        {"{\"a\":\"\\x\"}", false},
        {"{\"a\":\"\\u12g4\"}", false},
        {"{\"a\":\"\t\"}", false},
        {"{\"a\":\"open}", false},
        {"{\"a\":1,}", false},
        {"{,}", false},
        {"{\"a\"}", false},
        {"{\"a\":[1,]}", false},
        {"{\"a\":[1}", false},
        {"[1]", false},
        {"", false},
    }));
    INFO(row.text);
    std::vector<JsonMember> members;
    CHECK(read_json_object(row.text, members) == row.good);
}

TEST_CASE("depth is bounded") {
    const auto nested = [](std::size_t depth) {
        return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
    };
    std::vector<JsonMember> members;
    CHECK(read_json_object(nested(60), members));
    CHECK_FALSE(read_json_object(nested(70), members));
    CHECK_FALSE(read_json_object("{\"a\":" + std::string(100'000, '['), members));
}

TEST_CASE("pino's lines") {
    Collect collect;
    const Record request = collect.one(
        R"({"level":30,"time":1795380570754,"pid":99,"hostname":"h","reqId":"req-1","req":{"method":"GET","url":"/a?b=c",)"
        R"("host":"127.0.0.1:9200","remoteAddress":"127.0.0.1","remotePort":4711},"msg":"incoming request"})");
    CHECK(request.level == LogLevel::info);
    CHECK(request.message == "incoming request");
    CHECK(request.pid == 17);
    CHECK(request.http_method == "GET");
    CHECK(request.url_path == "/a");
    CHECK(field(request.fields, "reqId") == "req-1");
    CHECK(field(request.fields, "hostname") == "h");
    CHECK(field(request.fields, "pid") == "(none)");
    CHECK(
        field(request.fields, "req") ==
        R"({"url":"/a?b=c","host":"127.0.0.1:9200","remoteAddress":"127.0.0.1","remotePort":4711})");
    CHECK(request.timestamp == std::chrono::system_clock::time_point(1795380570754ms));
    CHECK(collect.target == "kms");

    const Record response = collect.one(
        R"({"level":30,"time":1795380570754,"res":{"statusCode":404},"responseTime":1.25,"msg":"done"})");
    CHECK(response.http_status == 404u);
    CHECK(field(response.fields, "responseTime") == "#1.250000");
    CHECK(field(response.fields, "res") == "(none)");

    const Record failure = collect.one(
        R"({"level":50,"err":{"type":"TypeError","message":"no","stack":"TypeError: no\n    at f","code":"E1"},"msg":"no"})");
    CHECK(failure.level == LogLevel::error);
    CHECK(failure.error_type == "TypeError");
    CHECK(failure.error_message == "no");
    CHECK(failure.error_stack == "TypeError: no\n    at f");
    CHECK(field(failure.fields, "err") == R"({"code":"E1"})");
}

TEST_CASE("pino's numbers are levels") {
    struct Row {
        std::string number;
        LogLevel level;
    };
    const auto row = GENERATE(values<Row>({{"10", LogLevel::trace},
                                           {"19", LogLevel::trace},
                                           {"20", LogLevel::debug},
                                           {"30", LogLevel::info},
                                           {"39", LogLevel::info},
                                           {"40", LogLevel::warn},
                                           {"50", LogLevel::error},
                                           {"60", LogLevel::fatal},
                                           {"99", LogLevel::fatal},
                                           {"35.5", LogLevel::info}}));
    Collect collect;
    CHECK(collect.one("{\"level\":" + row.number + ",\"msg\":\"x\"}").level == row.level);
}

TEST_CASE("the first of pino's doubled members counts, the others are fields") {
    Collect collect;
    const Record record = collect.one(
        R"({"level":40,"time":1795380570754,"pid":1,"msg":"first","level":99,"time":5,"pid":2,"msg":"second","level":7})");
    CHECK(record.level == LogLevel::warn);
    CHECK(record.message == "first");
    CHECK(field(record.fields, "level") == "#99");
    CHECK(field(record.fields, "time") == "#5");
    CHECK(field(record.fields, "pid") == "#2");
    CHECK(field(record.fields, "msg") == "second");
    CHECK(record.fields_dropped == 1);
}

TEST_CASE("tracing's JSON lines") {
    Collect collect;
    const Record record = collect.one(
        R"({"timestamp":"2026-11-22T20:49:30.754812Z","level":"WARN","fields":{"message":"slow","took":2.5,"ok":false},)"
        R"("target":"dstack_kms::rpc","filename":"src/rpc.rs","line_number":42,"span":{"id":8,"name":"inner"},)"
        R"("spans":[{"id":7,"name":"request"},{"id":8,"name":"inner"}],"threadName":"main"})");
    CHECK(record.level == LogLevel::warn);
    CHECK(record.message == "slow");
    CHECK(record.logger == "dstack_kms::rpc");
    CHECK(field(record.fields, "took") == "#2.500000");
    CHECK(field(record.fields, "ok") == "#false");
    CHECK(field(record.fields, "threadName") == "main");
    REQUIRE(record.spans.size() == 2);
    CHECK(record.spans[0].name == "request");
    CHECK(field(record.spans[0].fields, "id") == "#7");
    CHECK(record.code_file == "src/rpc.rs");
    CHECK(record.code_line == 42);
    CHECK(collect.target == "dstack_kms::rpc");

    const Record flat = collect.one(
        R"({"timestamp":"2026-11-22T20:49:30.754812Z","level":"ERROR","message":"m","n":1,"target":"t"})");
    CHECK(flat.level == LogLevel::error);
    CHECK(flat.message == "m");
    CHECK(field(flat.fields, "n") == "#1");

    const Record of_log = collect.one(
        R"({"timestamp":"2026-11-22T20:49:30.754812Z","level":"INFO","fields":{"message":"m","log.target":"hyper",)"
        R"("log.module_path":"hyper","log.file":"/x/io.rs","log.line":9},"target":"hyper"})");
    CHECK(of_log.logger == "hyper");
    CHECK(of_log.code_file == "/x/io.rs");
    CHECK(of_log.code_line == 9);
}

TEST_CASE("other JSON objects are read by the usual names") {
    Collect collect;
    const Record record = collect.one(
        R"({"severity":"Warning","msg":"m","ts":1795380570.5,"logger":"x.y","n":null,"o":{"p":[1,2]}})");
    CHECK(record.level == LogLevel::warn);
    CHECK(record.message == "m");
    CHECK(record.logger == "x.y");
    CHECK(record.timestamp == std::chrono::system_clock::time_point(1795380570500ms));
    CHECK(field(record.fields, "n") == "#null");
    CHECK(field(record.fields, "o") == R"({"p":[1,2]})");
    const Record odd = collect.one(R"({"level":"loud","message":5})");
    CHECK(odd.level == LogLevel::info);
    CHECK(odd.message.empty());
    CHECK(field(odd.fields, "level") == "loud");
    CHECK(field(odd.fields, "message") == "#5");
}

TEST_CASE("what fields may hold is bounded and written afresh") {
    Collect collect;
    const Record deep = collect.one(R"({"level":30,"a":{"b":{"c":{"d":{}}, "e":1}}})");
    CHECK(field(deep.fields, "a") == R"({"b":{"c":{},"e":1}})");
    CHECK(deep.fields_dropped == 1);

    std::string many = R"({"level":30,"msg":"m")";
    for (int i = 0; i < 70; ++i) many += ",\"f" + std::to_string(i) + "\":" + std::to_string(i);
    const Record wide = collect.one(many + "}");
    CHECK(wide.fields.size() == RecordView::kMaxFields);
    CHECK(wide.fields_dropped == 6);

    std::string array = R"({"level":30,"a":[)";
    for (int i = 0; i < 100; ++i) array += "1,";
    const Record list = collect.one(array + "1]}");
    CHECK(list.fields_dropped == 101 - kMaxEntries);

    const Record strange =
        collect.one("{\"level\":30,\"a\":{\"k\\u0001\":\"\x7F\xC2\x85\xFF\\u001b[31mred\"}}");
    CHECK(field(strange.fields, "a") == "{\"k\\u0001\":\"\\u007f\\u0085\xEF\xBF\xBDred\"}");
    CHECK(strange.invalid_utf8 == 1);

    const Record blanks = collect.one("{\"level\":30,\"a\":{\"b\"\r:\t[1,\t2]}}");
    CHECK(field(blanks.fields, "a") == R"({"b":[1,2]})");
}

TEST_CASE("texts are decoded; terminal sequences in them do not survive") {
    Collect collect;
    const Record record = collect.one(
        R"({"level":30,"msg":"a\n\u001b[31mred\u001b[0m\u0007","\u006b":"\ud83d\ude00"})");
    CHECK(record.message == "a\nred\a");
    CHECK(field(record.fields, "k") == "\xF0\x9F\x98\x80");
}

TEST_CASE("text behind a JSON line belongs to its message") {
    Collect collect;
    collect.push(R"({"level":50,"msg":"boom"})");
    collect.push("    at f (a.js:1:2)");
    collect.processor.close();
    REQUIRE(collect.records.size() == 1);
    CHECK(collect.records[0].message == "boom\n    at f (a.js:1:2)");
    CHECK(collect.records[0].level == LogLevel::error);
}

TEST_CASE("numbers that no type holds exactly stay as they are written") {
    Collect collect;
    const Record record =
        collect.one(R"({"level":30,"a":18446744073709551615,"b":184467440737095516160,"c":-0})");
    CHECK(field(record.fields, "a") == "#18446744073709551615");
    CHECK(field(record.fields, "b") == "184467440737095516160");
    CHECK(to_json_line(record).find("\"b\":184467440737095516160") != std::string::npos);
}
