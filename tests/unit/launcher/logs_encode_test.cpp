#include "launcher/logs/encode.hpp"
#include "tests/unit/launcher/logs_collect.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include <catch2/catch.hpp>

using namespace launcher::logs;
using namespace std::string_literals;
using namespace std::chrono_literals;
using runtime::LogLevel;

namespace {

Record sample() {
    Record record;
    record.timestamp = record.received = test::receipt();
    record.service = "kms";
    record.logger = "dstack_kms::main_service";
    record.stream = Stream::out;
    record.pid = 17;
    record.sequence = 42;
    record.message = "app key released";
    return record;
}

std::vector<std::string> journal(const Record& record) {
    TextArena arena;
    RecordView view;
    view_of(record, arena, view);
    TextBuffer out;
    JournalEncoder().encode(view, out);
    std::vector<std::string_view> fields;
    JournalEncoder::unpack(out.view(), fields);
    return {fields.begin(), fields.end()};
}

bool has(const std::vector<std::string>& fields, std::string_view field) {
    return std::find(fields.begin(), fields.end(), field) != fields.end();
}

}  // namespace

TEST_CASE("a record as JSON, its members in order") {
    Record record = sample();
    record.timestamp = test::receipt() - 2ms;
    record.level = LogLevel::warn;
    record.spans = {{"request", {{"id", std::int64_t{7}}, {"path", "/x"}}}, {"inner", {}}};
    record.fields = {{"a", "text \"q\""},
                     {"b", true},
                     {"c", 1.5},
                     {"d", nullptr},
                     {"e", JsonText{"[1,2]"}},
                     {"f", std::uint64_t{18446744073709551615u}}};
    record.fields_dropped = 3;
    record.error_type = "TypeError";
    record.error_message = "no";
    record.error_stack = "at f\nat g";
    record.http_method = "GET";
    record.url_path = "/x";
    record.http_status = 404;
    record.part = 2;
    record.partial = true;
    record.original = "raw";
    CHECK(
        to_json_line(record) ==
        "{\"@timestamp\":\"2026-11-22T20:49:30.998000Z\",\"log.level\":\"warn\",\"message\":\"app "
        "key released\","
        "\"ecs.version\":\"8.11\",\"service.name\":\"kms\",\"log.logger\":\"dstack_kms::main_"
        "service\","
        "\"log.iostream\":\"stdout\",\"process.pid\":17,\"event.created\":\"2026-11-22T20:49:31."
        "000000Z\","
        "\"event.sequence\":42,\"spans\":[{\"name\":\"request\",\"id\":7,\"path\":\"/"
        "x\"},{\"name\":\"inner\"}],"
        "\"fields\":{\"a\":\"text \\\"q\\\"\",\"b\":true,\"c\":1.5,\"d\":null,\"e\":[1,2],"
        "\"f\":18446744073709551615},\"fields_dropped\":3,\"error.type\":\"TypeError\",\"error."
        "message\":\"no\","
        "\"error.stack_trace\":\"at f\\nat g\",\"http.request.method\":\"GET\",\"url.path\":\"/x\","
        "\"http.response.status_code\":404,\"log.partial\":true,\"log.part\":2,\"event.original\":"
        "\"raw\"}\n");
}

TEST_CASE("the smallest record; what is not known is not there") {
    Record record;
    record.timestamp = record.received = test::receipt();
    record.service = "launcher";
    record.action = "service-start";
    CHECK(to_json_line(record) ==
          "{\"@timestamp\":\"2026-11-22T20:49:31.000000Z\",\"log.level\":\"info\",\"message\":\"\","
          "\"ecs.version\":"
          "\"8.11\",\"service.name\":\"launcher\",\"event.sequence\":0,\"event.action\":\"service-"
          "start\"}\n");
    record.timestamp += 1ms;  // apart by no more than a millisecond: not worth a member
    CHECK(to_json_line(record).find("event.created") == std::string::npos);
}

TEST_CASE("parts that are not UTF-8 are counted over the whole record") {
    Record record = sample();
    record.message = "a\xFF";
    record.fields = {{"b\xFF", "c\xFF\xFE"}};
    const std::string line = to_json_line(record);
    CHECK(line.find("\"log.invalid_utf8\":4") != std::string::npos);
    CHECK(line.find("\"message\":\"a\xEF\xBF\xBD\"") != std::string::npos);
}

TEST_CASE("numbers that JSON cannot say are texts") {
    Record record = sample();
    record.fields = {{"a", std::numeric_limits<double>::quiet_NaN()},
                     {"b", std::numeric_limits<double>::infinity()}};
    CHECK(to_json_line(record).find("\"fields\":{\"a\":\"nan\",\"b\":\"inf\"}") !=
          std::string::npos);
}

TEST_CASE("a record as text") {
    Record record = sample();
    CHECK(to_text_line(record, false) ==
          "2026-11-22T20:49:31.000Z INFO  kms      dstack_kms::main_service: app key released\n");
    record.level = LogLevel::error;
    record.spans = {{"request", {{"id", std::int64_t{7}}}}, {"inner", {}}};
    record.fields = {{"port", std::int64_t{9100}}, {"name", "a b"}, {"empty", ""}, {"bare", "x=y"}};
    CHECK(to_text_line(record, false) ==
          "2026-11-22T20:49:31.000Z ERROR kms      request{id=7}:inner: dstack_kms::main_service: "
          "app key released "
          "port=9100 name=\"a b\" empty=\"\" bare=x=y\n");
    CHECK(to_text_line(record, true).find("\x1B[31mERROR\x1B[0m") != std::string::npos);
    record.message = "first\nsecond";
    record.service = "auth-eth";
    CHECK(to_text_line(record, false).find("first\n    | second port=9100") != std::string::npos);
}

TEST_CASE("no byte of a service starts a line of output or hides one") {
    const std::string hostile =
        "x\n2026-11-22T20:49:31.000Z ERROR kms      forged\r\n\x1B[2K\x1B[1A\0\x7F\xC2\x9B"s +
        "31m\xFF";
    for (int place = 0; place < 9; ++place) {
        Record record = sample();
        switch (place) {
            case 0:
                record.message = hostile;
                break;
            case 1:
                record.logger = hostile;
                break;
            case 2:
                record.fields = {{"a", hostile}};
                break;
            case 3:
                record.fields = {{hostile, "b"}};
                break;
            case 4:
                record.spans = {{hostile, {}}};
                break;
            case 5:
                record.spans = {{"s", {{hostile, hostile}}}};
                break;
            case 6:
                record.error_stack = hostile;
                break;
            case 7:
                record.http_method = record.url_path = hostile;
                break;
            default:
                record.original = hostile;
                break;
        }
        INFO(place);
        const std::string json = to_json_line(record);
        CHECK(std::count(json.begin(), json.end(), '\n') == 1);
        const std::string text = to_text_line(record, false);
        CHECK(text.find("\n2026") == std::string::npos);
        for (const char bad : {'\r', '\x1B', '\0', '\x7F'}) {
            CHECK(json.find(bad) == std::string::npos);
            CHECK(text.find(bad) == std::string::npos);
        }
        CHECK(text.find("\xC2\x9B") == std::string::npos);
    }
}

TEST_CASE("a record as an entry of the journal") {
    Record record = sample();
    record.level = LogLevel::warn;
    record.message = "two\nlines\x1B";
    record.fields = {
        {"app-id", "x"}, {"n\xC3\xA9", std::int64_t{5}}, {std::string(80, 'a'), "long"}};
    record.spans = {{"request", {{"id", std::int64_t{7}}}}};
    record.code_file = "src/main.rs";
    record.code_line = 10;
    const std::vector<std::string> fields = journal(record);
    for (const char* field :
         {"MESSAGE=two\nlines\\x1b", "PRIORITY=4", "SYSLOG_IDENTIFIER=kms", "SYSLOG_PID=17",
          "KMS_SERVICE=kms", "KMS_STREAM=stdout", "KMS_TARGET=dstack_kms::main_service",
          "KMS_SEQ=42", "CODE_FILE=src/main.rs", "CODE_LINE=10", "KMS_F_APP_ID=x", "KMS_F_N__=5",
          "KMS_F_ID=7", "KMS_SPAN=request"}) {
        INFO(field);
        CHECK(has(fields, field));
    }
    for (const std::string& field : fields) {
        const std::string name = field.substr(0, field.find('='));
        CHECK(name.size() <= 64);
        CHECK(name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == std::string::npos);
    }
}

TEST_CASE("every event of the launcher has its own id in the journal, and is a notice") {
    std::set<std::string> ids;
    for (const char* action :
         {"service-start", "service-ready", "service-exit", "probe-change", "freeze-suspect",
          "freeze-begin", "freeze-class", "freeze-end", "evidence", "log-dropped", "stop-begin",
          "launcher-exit", "config-loaded", "cert-changed"}) {
        Record record;
        record.service = "launcher";
        record.action = action;
        const auto fields = journal(record);
        CHECK(has(fields, "PRIORITY=5"));
        for (const std::string& field : fields) {
            if (field.starts_with("MESSAGE_ID=")) {
                CHECK(field.size() == 11 + 32);
                ids.insert(field);
            }
        }
    }
    CHECK(ids.size() == 14);
}

TEST_CASE("levels have their priorities") {
    struct Row {
        LogLevel level;
        int priority;
    };
    const auto row = GENERATE(values<Row>({{LogLevel::trace, 7},
                                           {LogLevel::debug, 7},
                                           {LogLevel::info, 6},
                                           {LogLevel::warn, 4},
                                           {LogLevel::error, 3},
                                           {LogLevel::fatal, 2}}));
    RecordView view;
    view.level = row.level;
    view.stream = Stream::out;
    CHECK(syslog_priority(view) == row.priority);
}

TEST_CASE("a record survives the way to views and back") {
    Record record = sample();
    record.fields = {{"a", "x"},     {"b", std::int64_t{-5}},      {"c", false},
                     {"d", nullptr}, {"e", JsonText{"{\"x\":1}"}}, {"f", 2.5}};
    record.spans = {{"s", {{"k", "v"}}}};
    TextArena arena;
    RecordView view;
    view_of(record, arena, view);
    CHECK(to_json_line(to_record(view)) == to_json_line(record));
}
