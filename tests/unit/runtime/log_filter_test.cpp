#include "launcher/runtime/log_filter.hpp"

#include "launcher/runtime/log.hpp"

#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace runtime;

namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

/// What an event looks like to a filter, owned.
struct Event {
    LogLevel level = LogLevel::info;
    std::string target;
    std::string span = {};  ///< empty = in no span
    Fields span_fields = {};
    Fields fields = {};
    std::string message = {};
    std::string service = {};
};

std::vector<LogFieldView> views(const Fields& fields) {
    std::vector<LogFieldView> result;
    for (const auto& [name, value] : fields) result.push_back({name, value});
    return result;
}

bool passes(const LogFilter& filter, const Event& event) {
    const auto span_fields = views(event.span_fields);
    const auto fields = views(event.fields);
    std::vector<LogSpanView> spans;
    if (!event.span.empty()) spans.push_back({event.span, span_fields});
    LogEventView view;
    view.level = event.level;
    view.target = event.target;
    view.service = event.service;
    view.message = event.message;
    view.spans = spans;
    view.fields = fields;
    return filter.enabled(view);
}

LogFilter parsed(const std::string& text, LogFilterSyntax syntax = LogFilterSyntax::tracing) {
    std::vector<LogFilterProblem> problems;
    const LogFilter filter = LogFilter::parse(text, syntax, problems);
    INFO(text);
    REQUIRE(problems.empty());
    return filter;
}

/// A row of the specification's table (section 4.4): '+' passes, '-' does not, 'E' the filter is
/// refused.
struct Row {
    int number;
    std::string filter;
    std::string target;
    LogLevel level;
    char tracing;
    char env_logger;
    std::string span = {};
    Fields span_fields = {};
    Fields fields = {};
    std::string message = {};
};

const std::vector<Row>& rows() {
    static const std::vector<Row> table = {
        // clang-format off
        {1, "", "app", LogLevel::error, '+', '+'},
        {2, "", "app", LogLevel::warn, '+', '-'},
        {3, "info", "app", LogLevel::info, '+', '+'},
        {4, "info", "app", LogLevel::debug, '-', '-'},
        {5, "iNfO", "app", LogLevel::info, '+', '+'},
        {6, "3", "app", LogLevel::info, '+', '-'},
        {7, "3", "app", LogLevel::debug, '-', '-'},
        {8, "0", "app", LogLevel::error, '-', '-'},
        {9, "6", "app", LogLevel::info, 'E', '-'},
        {10, "off", "app", LogLevel::error, '-', '-'},
        {11, "dstack_kms=debug", "dstack_kms::main_service", LogLevel::debug, '+', '+'},
        {12, "dstack_kms=debug", "dstack_kms::main_service", LogLevel::trace, '-', '-'},
        {13, "dstack_kms=debug", "dstack_kms_client", LogLevel::debug, '+', '+'},
        {14, "dstack_kms=debug", "rocket::server", LogLevel::error, '-', '-'},
        {15, "dstack_kms", "dstack_kms::x", LogLevel::trace, '+', '+'},
        {16, "warn,dstack_kms=debug", "dstack_kms::x", LogLevel::debug, '+', '+'},
        {17, "warn,dstack_kms=debug", "rocket", LogLevel::info, '-', '-'},
        {18, "dstack_kms=debug,warn", "rocket", LogLevel::warn, '+', '+'},
        {19, "info,rocket=off", "rocket::server", LogLevel::error, '-', '-'},
        {20, "crate1::mod1=off,crate1=trace", "crate1::mod1::x", LogLevel::error, '-', '-'},
        {21, "crate1=info,crate1::mod1=off", "crate1::mod2", LogLevel::info, '+', '+'},
        {22, "trace,foo=warn,foo::bar=info,foo::bar::baz=off", "foo::bar::baz", LogLevel::error, '-', '-'},
        {23, "trace,foo=warn,foo::bar=info,foo::bar::baz=off", "foo::bar::qux", LogLevel::info, '+', '+'},
        {24, "trace,foo=warn,foo::bar=info,foo::bar::baz=off", "foo::qux", LogLevel::info, '-', '-'},
        {25, "trace,foo=warn,foo::bar=info,foo::bar::baz=off", "other", LogLevel::trace, '+', '+'},
        {26, "a=debug,a=info", "a", LogLevel::debug, '-', '-'},
        {27, "info,debug", "x", LogLevel::debug, '+', '+'},
        {28, "debug,info", "x", LogLevel::debug, '-', '-'},
        {29, "crate1::mod1=warn=info,crate2=debug", "crate2", LogLevel::debug, 'E', '+'},
        {30, "crate1=noNumber", "crate1", LogLevel::error, 'E', '+'},
        {31, "crate2=", "crate2", LogLevel::trace, '+', '+'},
        {32, ",info", "app", LogLevel::info, '+', '+'},
        {32, "info,", "app", LogLevel::info, '+', '+'},
        {33, " info", "app", LogLevel::info, '+', '+'},
        {34, "info, debug", "app", LogLevel::debug, '+', '+'},
        {35, "warn, foo=debug", "foo", LogLevel::debug, '+', '+'},
        {36, "warn,foo= debug", "foo", LogLevel::debug, '+', '+'},
        {37, "warn,foo =debug", "foo", LogLevel::debug, '+', '-'},
        {38, "target-name=info", "target-name", LogLevel::info, '+', '+'},
        {39, "FOO=debug", "foo", LogLevel::debug, '-', '-'},
        {40, "h2*=debug", "h2x", LogLevel::debug, '-', '-'},
        {41, "*=debug", "app", LogLevel::debug, 'E', '-'},
        {42, "=debug", "app", LogLevel::debug, 'E', '+'},
        {43, "foo=warning", "foo", LogLevel::warn, 'E', '-'},
        {44, "foo=5", "foo", LogLevel::trace, '+', '-'},
        {45, "foo=+3", "foo", LogLevel::info, 'E', '-'},
        {46, "info,foo[", "foo", LogLevel::trace, 'E', '-'},
        {47, "foo[bar]=debug", "zed", LogLevel::debug, '-', '-', "bar"},
        {48, "foo[bar]=debug", "foo", LogLevel::debug, '+', '-', "bar"},
        {49, "foo[bar]=debug", "foo", LogLevel::error, '-', '-'},
        {50, "foo[bar]=debug", "foo", LogLevel::debug, '+', '-', "bar"},
        {51, "[bar]", "foo", LogLevel::trace, '+', '-', "bar"},
        {52, "info,[bar]=off", "foo", LogLevel::info, '+', '+', "bar"},
        {53, "warn,[bar]=debug", "foo", LogLevel::debug, '+', '-', "bar"},
        {54, "warn,[bar]=debug", "foo", LogLevel::debug, '-', '-', "other"},
        {55, "[{id}]=debug", "foo", LogLevel::debug, '+', '-', "req", {{"id", "7"}}},
        {56, "[{id}]=debug", "foo", LogLevel::debug, '+', '-', "", {}, {{"id", "7"}}},
        {57, "[{id}]=debug", "foo", LogLevel::error, '-', '-', "", {}, {{"other", "7"}}},
        {58, "[{id=7}]=debug", "foo", LogLevel::debug, '+', '-', "req", {{"id", "7"}}},
        {59, "[{id=7}]=debug", "foo", LogLevel::debug, '-', '-', "req", {{"id", "8"}}},
        {60, "[{name=bob}]=debug", "foo", LogLevel::debug, '+', '-', "req", {{"name", "bob"}}},
        {61, "[{name=bob}]=debug", "foo", LogLevel::debug, '-', '-', "req", {{"name", "bobby"}}},
        {62, "[{name=b.b}]=debug", "foo", LogLevel::debug, '+', '-', "req", {{"name", "bib"}}},
        {63, "[req{id=7}]=debug", "foo", LogLevel::debug, '-', '-', "res", {{"id", "7"}}},
        {64, "foo[req{id=7,name}]=debug", "foo", LogLevel::debug, '+', '-', "req", {{"id", "7"}, {"name", "x"}}},
        {65, "foo[req{}]=debug", "foo", LogLevel::debug, 'E', '-', "req"},
        {66, "foo=debug,foo[bar]=trace", "foo", LogLevel::trace, '+', '-', "bar"},
        {67, "off,dstack_kms=info", "dstack_kms", LogLevel::info, '+', '+'},
        {68, "info,hyper=warn,rustls=error", "rustls::conn", LogLevel::warn, '-', '-'},
        {69, "info/hello", "foo", LogLevel::info, 'E', '+', "", {}, {}, "say hello"},
        {70, "info/hello", "foo", LogLevel::info, 'E', '-', "", {}, {}, "goodbye"},
        {71, "foo=debug/[0-9]scopes", "foo", LogLevel::debug, 'E', '+', "", {}, {}, "3scopes"},
        {72, "debug/abc/a.c", "foo", LogLevel::debug, 'E', '-', "", {}, {}, "abc"},
        {73, "info/(", "foo", LogLevel::info, 'E', '+', "", {}, {}, "abc"},
        // clang-format on
    };
    return table;
}

Event event_of(const Row& row) {
    return {row.level, row.target, row.span, row.span_fields, row.fields, row.message, ""};
}

}  // namespace

TEST_CASE("the launcher's filter language answers as the specification's 73 vectors say") {
    CHECK(rows().size() == 74);  // vector 32 has two filters
    for (const Row& row : rows()) {
        INFO("vector " << row.number << ": " << row.filter);
        std::vector<LogFilterProblem> problems;
        const LogFilter filter = LogFilter::parse(row.filter, LogFilterSyntax::tracing, problems);
        CHECK(problems.empty() == (row.tracing != 'E'));
        if (row.tracing != 'E') CHECK(passes(filter, event_of(row)) == (row.tracing == '+'));
    }
}

TEST_CASE("the env_logger syntax answers as the specification's 73 vectors say") {
    for (const Row& row : rows()) {
        INFO("vector " << row.number << ": " << row.filter);
        std::vector<LogFilterProblem> problems;
        const LogFilter filter =
            LogFilter::parse(row.filter, LogFilterSyntax::env_logger, problems);
        CHECK(passes(filter, event_of(row)) == (row.env_logger == '+'));
    }
}

TEST_CASE("may_enable never contradicts enabled") {
    for (const auto syntax : {LogFilterSyntax::tracing, LogFilterSyntax::env_logger})
        for (const Row& row : rows()) {
            INFO("vector " << row.number << ": " << row.filter);
            std::vector<LogFilterProblem> problems;
            const LogFilter filter = LogFilter::parse(row.filter, syntax, problems);
            if (passes(filter, event_of(row))) CHECK(filter.may_enable(row.level));
        }
    CHECK(!parsed("info").may_enable(LogLevel::debug));
    CHECK(parsed("info,x=trace").may_enable(LogLevel::trace));
    CHECK(!parsed("off").may_enable(LogLevel::fatal));
    CHECK(!parsed("trace").may_enable(LogLevel::off));
}

TEST_CASE("mistakes in a filter are named with their column and a hint") {
    struct Mistake {
        std::string filter;
        LogFilterSyntax syntax;
        std::size_t column;
        std::string text;
        std::string hint;
    };
    const auto tracing = LogFilterSyntax::tracing;
    const auto env_logger = LogFilterSyntax::env_logger;
    const auto row = GENERATE_COPY(values<Mistake>({
        {"info,foo=warning", tracing, 9, "'warning' is not a level", "did you mean 'warn'?"},
        {"warning", tracing, 0, "'warning' is not a level", "did you mean 'warn'?"},
        {"Warning", tracing, 0, "'Warning' is not a level", "did you mean 'warn'?"},
        {"info, err", tracing, 6, "'err' is not a level", "did you mean 'error'?"},
        {"fatal", tracing, 0, "'fatal' is not a level", "did you mean 'error'?"},
        {"critical", tracing, 0, "'critical' is not a level", "did you mean 'error'?"},
        {"none", tracing, 0, "'none' is not a level", "did you mean 'off'?"},
        {"6", tracing, 0, "'6' is not a level", "numbers go from 0 (off) to 5 (trace)"},
        {"-1", tracing, 0, "'-1' is not a level", "numbers go from 0 (off) to 5 (trace)"},
        {"foo=+3", tracing, 4, "'+3' is not a level", "numbers go from 0 (off) to 5 (trace)"},
        {"foo=degub", tracing, 4, "'degub' is not a level", "did you mean 'debug'?"},
        {"foo=loud", tracing, 4, "'loud' is not a level",
         "levels are trace, debug, info, warn, error, off"},
        {"a=warn=info", tracing, 2, "'warn=info' is not a level",
         "levels are trace, debug, info, warn, error, off"},
        {"info,=debug", tracing, 5, "a target is missing in front of '='",
         "write the level alone to set it for all targets"},
        {"*=debug", tracing, 0, "'*' is not a target",
         "there are no wildcards; a target matches everything that starts with it"},
        {"?x=debug", tracing, 0, "'?x' is not a target", ""},
        {"info/hello", tracing, 4, "'/' cannot be part of a target",
         "searching messages needs log.syntax = \"env_logger\""},
        {"foo[", tracing, 3, "'[' is never closed", "close it with ']'"},
        {"foo[bar=debug", tracing, 3, "'[' is never closed", "close it with ']'"},
        {"foo[bar{id]=debug", tracing, 7, "'{' is never closed", "close it with '}' and then ']'"},
        {"foo[bar{id}=debug", tracing, 11, "']' is expected after the fields", ""},
        {"foo[bar{id}", tracing, 3, "'[' is never closed", "close it with ']'"},
        {"foo[{}]", tracing, 5, "a field is missing between '{' and '}'", ""},
        {"foo[{a,}]", tracing, 7, "the name of a field is missing", ""},
        {"foo[{=1}]", tracing, 5, "the name of a field is missing", ""},
        {"foo[bar]debug", tracing, 8, "'=' and a level are expected after ']'", ""},
        {"foo[bar]=loud", tracing, 9, "'loud' is not a level",
         "levels are trace, debug, info, warn, error, off"},
        {"[{a=(}]", tracing, 4, "'(' is not a regular expression: missing ): (", ""},
        {"service:=debug", tracing, 0, "the name of a service is missing after 'service:'", ""},
        {"info, foo=debug, bar=x5", tracing, 21, "'x5' is not a level",
         "levels are trace, debug, info, warn, error, off"},
        {"info,foo=warning", env_logger, 9, "'warning' is not a level", "did you mean 'warn'?"},
        {"foo=a=b", env_logger, 5, "a second '=' in 'foo=a=b'", "write one level for each target"},
        {"info/a/b", env_logger, 6, "a second '/'",
         "everything after the first '/' is one regular expression"},
        {"info/(", env_logger, 5, "'(' is not a regular expression: missing ): (", ""},
    }));
    INFO(row.filter);
    std::vector<LogFilterProblem> problems;
    LogFilter::parse(row.filter, row.syntax, problems);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].column == row.column);
    CHECK(problems[0].text == row.text);
    CHECK(problems[0].hint == row.hint);
}

TEST_CASE("all mistakes of a filter are reported and what is left still works") {
    std::vector<LogFilterProblem> problems;
    const LogFilter filter =
        LogFilter::parse("warn,foo=loud,bar=debug,*", LogFilterSyntax::tracing, problems);
    CHECK(problems.size() == 2);
    CHECK(passes(filter, {LogLevel::debug, "bar::x"}));
    CHECK(!passes(filter, {LogLevel::info, "foo"}));
    CHECK(passes(filter, {LogLevel::warn, "foo"}));
}

TEST_CASE("a filter of which nothing is left does not silence anybody") {
    for (const std::string text : {"", " ", ",", " , ,", "foo=loud", "6"}) {
        INFO(text);
        std::vector<LogFilterProblem> problems;
        const LogFilter filter = LogFilter::parse(text, LogFilterSyntax::tracing, problems);
        CHECK(passes(filter, {LogLevel::info, "x"}));
        CHECK(!passes(filter, {LogLevel::debug, "x"}));
    }
    CHECK(parsed("").text() == "info");
    CHECK(parsed("", LogFilterSyntax::env_logger).text() == "error");
    CHECK(parsed("  warn,x=debug ").text() == "warn,x=debug");
    CHECK(LogFilter().text() == "info");
    CHECK(passes(LogFilter(), {LogLevel::info, "x"}));
    CHECK(!passes(LogFilter(), {LogLevel::debug, "x"}));
}

TEST_CASE("directives for services and effective targets") {
    struct Case {
        std::string filter;
        Event event;
        bool pass;
    };
    const auto line = [](LogLevel level, std::string target, std::string service) {
        Event event;
        event.level = level;
        event.target = std::move(target);
        event.service = std::move(service);
        return event;
    };
    using L = LogLevel;
    const auto row = GENERATE_COPY(values<Case>({
        {"warn,service:kms=debug", line(L::debug, "dstack_kms::x", "kms"), true},
        {"warn,service:kms=debug", line(L::debug, "kms", "auth-eth"), false},
        {"warn,service:kms=debug", line(L::debug, "kms", ""), false},
        // The qualifier counts as longer than any target.
        {"service:kms=warn,dstack_kms::main_service=trace",
         line(L::info, "dstack_kms::main_service", "kms"), false},
        {"dstack_kms::main_service=trace,service:kms=warn",
         line(L::info, "dstack_kms::main_service", "kms"), false},
        {"dstack_kms::main_service=trace,service:kms=warn",
         line(L::info, "dstack_kms::main_service", "other"), true},
        // '-' and '_' are the same in the names of services, and only there.
        {"off,service:auth_eth=info", line(L::info, "auth-eth", "auth-eth"), true},
        {"off,service:auth-eth=info", line(L::info, "auth-eth", "auth-eth"), true},
        {"off,service:auth=info", line(L::info, "auth-eth", "auth-eth"), false},
        {"off,auth_eth=info", line(L::info, "auth-eth", "auth-eth"), true},
        {"off,auth_eth::stderr=info", line(L::info, "auth-eth::stderr", "auth-eth"), true},
        {"off,auth_eth::std=info", line(L::info, "auth-eth::stderr", "auth-eth"), true},
        {"off,auth_e=info", line(L::info, "auth-eth::stderr", "auth-eth"), true},
        {"off,auth_eth::stdout=info", line(L::info, "auth-eth::stderr", "auth-eth"), false},
        {"off,auth_eth::stderr::more=info", line(L::info, "auth-eth::stderr", "auth-eth"), false},
        {"off,dstack-kms=info", line(L::info, "dstack_kms::x", "kms"), false},
        {"off,auth_ethx=info", line(L::info, "auth-ethx", "auth-eth"), false},
        {"off,kms::std-out=info", line(L::info, "kms::std_out", "kms"), false},
        {"kms::=debug,off", line(L::debug, "kms::stdout", "kms"), true},
        // A service with a span.
        {"service:kms[req]=debug", line(L::debug, "x", "kms"), false},
        {"service:kms", line(L::trace, "x", "kms"), true},
    }));
    INFO(row.filter << " on " << row.event.target << " of " << row.event.service);
    CHECK(passes(parsed(row.filter), row.event) == row.pass);
}

TEST_CASE("spans and fields") {
    struct Case {
        std::string filter;
        Event event;
        bool pass;
    };
    using L = LogLevel;
    const auto row = GENERATE(values<Case>({
        {"[{id=7}]=debug", {L::debug, "x", "", {}, {{"id", "7"}}}, true},
        {"[{id=7}]=debug", {L::debug, "x", "", {}, {{"id", "70"}}}, false},
        {"[{id=+007}]=debug", {L::debug, "x", "", {}, {{"id", "7"}}}, true},
        {"[{id=-7}]=debug", {L::debug, "x", "", {}, {{"id", "-7"}}}, true},
        {"[{id=-7}]=debug", {L::debug, "x", "", {}, {{"id", "7"}}}, false},
        {"[{x=1.50}]=debug", {L::debug, "x", "", {}, {{"x", "1.5"}}}, true},
        {"[{x=1.5}]=debug", {L::debug, "x", "", {}, {{"x", "1.5 "}}}, false},
        {"[{x=1.5}]=debug", {L::debug, "x", "", {}, {{"x", "1.6"}}}, false},
        {"[{x=true}]=debug", {L::debug, "x", "", {}, {{"x", "true"}}}, true},
        {"[{x=true}]=debug", {L::debug, "x", "", {}, {{"x", "false"}}}, false},
        {"[{x=a{2,3}}]=debug", {L::debug, "x", "", {}, {{"x", "aaa"}}}, true},
        {"[{x=a{2,3}}]=debug", {L::debug, "x", "", {}, {{"x", "aaaa"}}}, false},
        {"[{x=a\\{b}]=debug", {L::debug, "x", "", {}, {{"x", "a{b"}}}, true},
        {"[{x=a|b, y}]=debug", {L::debug, "x", "", {}, {{"x", "b"}, {"y", ""}}}, true},
        {"[{x=a|b, y}]=debug", {L::debug, "x", "", {}, {{"x", "b"}}}, false},
        {"[{x=v=w}]=debug", {L::debug, "x", "", {}, {{"x", "v"}}}, true},
        // A named span is meant: fields of the event itself do not count.
        {"[req{id=7}]=debug", {L::debug, "x", "", {}, {{"id", "7"}}}, false},
        {"[req{id=7}]=debug", {L::debug, "x", "req", {}, {{"id", "7"}}}, false},
        {"[req{id=7}]=debug", {L::debug, "x", "req", {{"id", "7"}}, {}}, true},
        {" x [ req { id = 7 } ] = debug ", {L::debug, "x", "req", {{"id", "7"}}, {}}, true},
        // Without a value the ordered directives decide about the event's own fields.
        {"info,[{id}]=warn", {L::info, "x", "", {}, {{"id", "7"}}}, false},
        {"info,[{id}]=warn", {L::info, "x", "", {}, {{"other", "7"}}}, true},
        {"x=off,[{id}]=debug", {L::debug, "x", "", {}, {{"id", "7"}}}, false},
        {"x=off,[{id}]=debug", {L::debug, "x", "req", {{"id", "7"}}, {}}, true},
        {"x[{id}]=debug,x=off", {L::debug, "x", "", {}, {{"id", "7"}}}, true},
        // The same condition twice: the later level counts.
        {"[req]=off,[req]=debug", {L::debug, "x", "req", {}, {}}, true},
        {"[req]=debug,[req]=off", {L::debug, "x", "req", {}, {}}, false},
        {"[{a=1.5}]=debug,[{a=1.5}]=off", {L::debug, "x", "", {}, {{"a", "1.5"}}}, false},
        {"[{a=b.}]=debug,[{a=c.}]=off", {L::debug, "x", "", {}, {{"a", "bx"}}}, true},
        {"foo[]=debug", {L::debug, "foo", "", {}, {}}, true},
        {"fatal=debug", {L::fatal, "fatal", "", {}, {}}, true},
        {"error", {L::fatal, "x", "", {}, {}}, true},
        {"off", {L::fatal, "x", "", {}, {}}, false},
    }));
    INFO(row.filter);
    CHECK(passes(parsed(row.filter), row.event) == row.pass);
}

TEST_CASE("a regular expression is matched in linear time") {
    const LogFilter filter = parsed("[{x=(a*)*b}]=debug");
    Event event{LogLevel::debug, "x", "", {}, {{"x", std::string(100'000, 'a')}}};
    CHECK(!passes(filter, event));
    event.fields[0].second += 'b';
    CHECK(passes(filter, event));
}

TEST_CASE("an absurd regular expression is refused, not compiled") {
    std::vector<LogFilterProblem> problems;
    LogFilter::parse("[{x=((a{100}){100}){100}}]", LogFilterSyntax::tracing, problems);
    REQUIRE(problems.size() == 1);
    CHECK(problems[0].column == 4);
}

TEST_CASE("the environment's filter is read with leniency") {
    std::vector<LogFilterProblem> problems;
    CHECK(log_filter_from_environment(nullptr, problems).text() == "info");
    CHECK(problems.empty());
    const LogFilter filter = log_filter_from_environment("x=loud,debug", problems);
    CHECK(problems.size() == 1);
    CHECK(passes(filter, {LogLevel::debug, "y"}));
}

TEST_CASE("levels have names") {
    std::string names;
    for (int level = 0; level <= static_cast<int>(LogLevel::off); ++level)
        names.append(to_string(static_cast<LogLevel>(level))).append(" ");
    CHECK(names == "trace debug info warn error fatal off ");
}
