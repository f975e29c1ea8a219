#include "launcher/runtime/config.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

using namespace runtime;
using namespace std::chrono_literals;

namespace {

/// A configuration as a program would have it, with its loader.
struct Settings {
    std::string name = "default";
    std::int64_t port = 80;
    bool verbose = false;
    std::chrono::milliseconds wait = 5s;
    std::uint64_t queue = 1024;
    std::string kind = "stdout";
    std::vector<std::string> hosts;
    std::vector<std::int64_t> codes;
    std::string token;
    std::vector<std::string> sinks;
};

Settings load(ConfigDocument& document, ConfigProblems& problems) {
    Settings s;
    ConfigTable root = document.root(problems);
    s.name = root.text("name").value_or(s.name);
    s.port = root.integer("port", 1, 65535).value_or(s.port);
    s.verbose = root.boolean("verbose").value_or(s.verbose);
    s.wait = root.duration("wait").value_or(s.wait);
    s.queue = root.size("queue").value_or(s.queue);
    s.kind = root.word("kind", {"stdout", "stderr", "file"}).value_or(s.kind);
    s.hosts = root.texts("hosts").value_or(s.hosts);
    s.codes = root.integers("codes", 100, 599).value_or(s.codes);
    s.token = root.text("api_token").value_or(s.token);
    if (auto log = root.table("log")) {
        for (ConfigTable& sink : log->tables("sink")) {
            s.sinks.push_back(sink.text("kind").value_or("?"));
            sink.finish();
        }
        log->finish();
    }
    root.finish();
    return s;
}

ConfigProblems problems_of(const std::string& toml) {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml(toml, "c.toml", problems);
    load(document, problems);
    return problems;
}

std::string temporary(const std::string& name) {
    return (std::filesystem::temp_directory_path() /
            ("config_test." + std::to_string(::getpid()) + "." + name))
        .string();
}

}  // namespace

TEST_CASE("a good file is read") {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml(R"(name = "n"
port = 8080
verbose = true
wait = "250ms"
queue = "4KiB"
kind = "file"
hosts = ["a", "b"]
codes = [200, 404]
[[log.sink]]
kind = "stdout"
[[log.sink]]
kind = "stderr"
)",
                        "c.toml", problems);
    const Settings s = load(document, problems);
    CHECK(problems.to_string().empty());
    CHECK(!problems.has_errors());
    CHECK(s.name == "n");
    CHECK(s.port == 8080);
    CHECK(s.verbose);
    CHECK(s.wait == 250ms);
    CHECK(s.queue == 4096);
    CHECK(s.kind == "file");
    CHECK(s.hosts == std::vector<std::string>{"a", "b"});
    CHECK(s.codes == std::vector<std::int64_t>{200, 404});
    CHECK(s.sinks == std::vector<std::string>{"stdout", "stderr"});
}

TEST_CASE("every mistake is named with its place, its line and a hint") {
    struct Row {
        std::string toml;
        std::string report;
    };
    const auto row = GENERATE(values<Row>({
        {"prot = 80\n",
         "c.toml:1:1: error: unknown key 'prot'\n  prot = 80\n  ^\n  hint: did you mean 'port'?\n"},
        {"\n  Port = 80\n",
         "c.toml:2:3: error: unknown key 'Port'\n    Port = 80\n    ^\n  hint: did you mean "
         "'port'?\n"},
        {"zzzzzz = 1\n",
         "c.toml:1:1: error: unknown key 'zzzzzz'\n  zzzzzz = 1\n  ^\n  hint: known here: "
         "api_token, codes, "
         "hosts, kind, log, name, port, queue, verbose, wait\n"},
        {"[logs]\nx = 1\n",
         "c.toml:1:2: error: unknown key 'logs'\n  [logs]\n   ^\n  hint: did you mean 'log'?\n"},
        {"[log]\nsinks = []\n",
         "c.toml:2:1: error: unknown key 'sinks' in 'log'\n  sinks = []\n  ^\n  hint: did you mean "
         "'sink'?\n"},
        {"[[log.sink]]\nkind = \"a\"\nkidn = 2\n",
         "c.toml:3:1: error: unknown key 'kidn' in 'log.sink[0]'\n  kidn = 2\n  ^\n"
         "  hint: did you mean 'kind'?\n"},
        {"port = \"80\"\n",
         "c.toml:1:8: error: 'port' must be an integer, not text\n  port = \"80\"\n         ^\n  "
         "hint: write it without quotes\n"},
        {"port = \"http\"\n",
         "c.toml:1:8: error: 'port' must be an integer, not text\n  port = \"http\"\n         ^\n"},
        {"port = 80.5\n",
         "c.toml:1:8: error: 'port' must be an integer, not a number with a fraction\n  port = "
         "80.5\n         ^\n"},
        {"port = true\n",
         "c.toml:1:8: error: 'port' must be an integer, not true or false\n  port = true\n         "
         "^\n"},
        {"port = [80]\n",
         "c.toml:1:8: error: 'port' must be an integer, not a list\n  port = [80]\n         ^\n"},
        {"port = {}\n",
         "c.toml:1:8: error: 'port' must be an integer, not a table\n  port = {}\n         ^\n"},
        {"port = 2026-01-01\n",
         "c.toml:1:8: error: 'port' must be an integer, not a date or time\n  port = 2026-01-01\n  "
         "       ^\n"},
        {"port = 0\n",
         "c.toml:1:8: error: 'port': 0 is out of range: 1 to 65535 is allowed\n  port = 0\n        "
         " ^\n"},
        {"port = 65536\n",
         "c.toml:1:8: error: 'port': 65536 is out of range: 1 to 65535 is allowed\n  port = "
         "65536\n         ^\n"},
        {"name = 5\n",
         "c.toml:1:8: error: 'name' must be text, not an integer\n  name = 5\n         ^\n"},
        {"verbose = \"yes\"\n",
         "c.toml:1:11: error: 'verbose' must be true or false, not text\n  verbose = \"yes\"\n"
         "            ^\n  hint: write it without quotes\n"},
        {"verbose = 1\n",
         "c.toml:1:11: error: 'verbose' must be true or false, not an integer\n  verbose = 1\n     "
         "       ^\n"},
        {"wait = 5\n",
         "c.toml:1:8: error: 'wait' must be a duration, not an integer\n  wait = 5\n         ^\n"
         "  hint: write a number and a unit in quotes, as in \"5s\"\n"},
        {"wait = \"5\"\n",
         "c.toml:1:8: error: 'wait': '5' is not a duration: write a whole number and ms, s, m or "
         "h, as in "
         "5s\n  wait = \"5\"\n         ^\n"},
        {"wait = \"1d\"\n",
         "c.toml:1:8: error: 'wait': '1d' is not a duration: write a whole number and ms, s, m or "
         "h, as "
         "in 5s\n  wait = \"1d\"\n         ^\n"},
        {"queue = \"4MB\"\n",
         "c.toml:1:9: error: 'queue': '4MB' is not a size: write a whole number and B, KiB or MiB, "
         "as "
         "in 4MiB\n  queue = \"4MB\"\n          ^\n"},
        {"queue = -1\n",
         "c.toml:1:9: error: 'queue' must be a size, not an integer\n  queue = -1\n          ^\n"
         "  hint: write a number and a unit in quotes, as in \"4MiB\"\n"},
        {"queue = false\n",
         "c.toml:1:9: error: 'queue' must be a size, not true or false\n  queue = false\n          "
         "^\n"
         "  hint: write a number and a unit in quotes, as in \"4MiB\"\n"},
        {"kind = \"stdour\"\n",
         "c.toml:1:8: error: 'kind': 'stdour' is not known here\n  kind = \"stdour\"\n         ^\n"
         "  hint: did you mean 'stdout'?\n"},
        {"kind = \"syslog\"\n",
         "c.toml:1:8: error: 'kind': 'syslog' is not known here\n  kind = \"syslog\"\n         ^\n"
         "  hint: one of stdout, stderr, file\n"},
        {"kind = [1]\n",
         "c.toml:1:8: error: 'kind' must be text, not a list\n  kind = [1]\n         ^\n"},
        {"hosts = \"a\"\n",
         "c.toml:1:9: error: 'hosts' must be a list of texts, not text\n  hosts = \"a\"\n          "
         "^\n"
         "  hint: put the value into square brackets\n"},
        {"hosts = [\"a\", 2]\n",
         "c.toml:1:15: error: 'hosts' must be a list of texts, not an integer\n  hosts = [\"a\", "
         "2]\n                ^\n"},
        {"codes = [200, \"x\"]\n",
         "c.toml:1:15: error: 'codes' must be a list of integers, not text\n  codes = [200, "
         "\"x\"]\n                ^\n"},
        {"codes = [\n  200,\n  20,\n]\n",
         "c.toml:3:3: error: 'codes': 20 is out of range: 100 to 599 is allowed\n    20,\n    ^\n"},
        {"codes = 200\n",
         "c.toml:1:9: error: 'codes' must be a list of integers, not an integer\n  codes = 200\n   "
         "       ^\n"
         "  hint: put the value into square brackets\n"},
        {"log = 1\n",
         "c.toml:1:7: error: 'log' must be a table, not an integer\n  log = 1\n        ^\n"},
        {"[log.sink]\nkind = \"a\"\n",
         "c.toml:1:1: error: 'sink' must be a list of tables, not a table\n  [log.sink]\n  ^\n"
         "  hint: write [[log.sink]]\n"},
        {"log.sink = [1]\n",
         "c.toml:1:13: error: 'sink' must be a list of tables, not an integer\n  log.sink = [1]\n  "
         "            ^\n"},
        {"log = { sink = 1 }\n",
         "c.toml:1:16: error: 'sink' must be a list of tables, not an integer\n  log = { sink = 1 "
         "}\n                 ^\n"},
        {"\"odd name\" = 1\n",
         "c.toml:1:1: error: unknown key 'odd name'\n  \"odd name\" = 1\n  ^\n  hint: known here: "
         "api_token, "
         "codes, hosts, kind, log, name, port, queue, verbose, wait\n"},
        // A value whose name looks secret stays out of the report.
        {"api_token = 12345678\n",
         "c.toml:1:13: error: 'api_token' must be text, not an integer\n"},
        {"api_tokn = \"s3cr3t-value\"\n",
         "c.toml:1:1: error: unknown key 'api_tokn'\n  api_tokn = \"s3cr3t-value\"\n  ^\n  hint: "
         "did you mean 'api_token'?\n"},
        {"my_password = \"s3cr3t-value\"\n",
         "c.toml:1:1: error: unknown key 'my_password'\n  hint: known here: api_token, codes, "
         "hosts, kind, log, name, port, "
         "queue, verbose, wait\n"},
        {"prot = 1 # see \"x\"\r\n",
         "c.toml:1:1: error: unknown key 'prot'\n  prot = 1 # see \"x\"\n  ^\n  hint: did you mean "
         "'port'?\n"},
        {"\tprot = 1\n",
         "c.toml:1:2: error: unknown key 'prot'\n   prot = 1\n   ^\n  hint: did you mean "
         "'port'?\n"},
        {"name = \"h\xc3\xa9\" # \xe2\x82\xac\nhosts = [\"\xc3\xa9\xc3\xa9\", 1]\n",
         "c.toml:2:16: error: 'hosts' must be a list of texts, not an integer\n  hosts = "
         "[\"\xc3\xa9\xc3\xa9\", 1]\n"
         "                 ^\n"},
    }));
    INFO(row.toml);
    CHECK(problems_of(row.toml).to_string() == row.report);
}

TEST_CASE("a syntax error has a place and a line") {
    struct Row {
        std::string toml;
        std::uint32_t line;
        std::uint32_t column;
        std::string source_line;
    };
    const auto row = GENERATE(values<Row>({
        {"port = \n", 1, 8, "port = "},
        {"name = \"n\"\nport 80\n", 2, 6, "port 80"},
        {"port = 1\nport = 2\n", 2, 8, "port = 2"},
        {"[log\n", 1, 5, "[log"},
        {"port = 99999999999999999999\n", 1, 28, "port = 99999999999999999999"},
        {"wait = 'x\n", 1, 10, "wait = 'x"},
        {"name = \"\\q\"\n", 1, 10, "name = \"\\q\""},
        {"hosts = [1, 2\n", 1, 15, "hosts = [1, 2"},
        {"[}x]\n", 1, 2, "[}x]"},
        {"[ = ]\n", 1, 3, "[ = ]"},
        {"port \xc3\xa9 = 1\n", 1, 6, "port \xc3\xa9 = 1"},
        {"port = 1 \xef\xbb\xb7\n", 1, 10, "port = 1 \xef\xbb\xb7"},
        {"\xe3\x80\x81\n", 1, 1, "\xe3\x80\x81"},
        {"a = { b = 1\n", 1, 12, "a = { b = 1"},
        {"name = \"\xff\"\n", 1, 8, "name = \"\xff\""},
    }));
    INFO(row.toml);
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml(row.toml, "c.toml", problems);
    REQUIRE(problems.list().size() == 1);
    const ConfigProblem& problem = problems.list()[0];
    INFO(problem.to_string());
    CHECK(problem.line == row.line);
    CHECK(problem.column == row.column);
    CHECK(problem.source_line == row.source_line);
    CHECK(!problem.text.empty());
    CHECK(document.leaves().empty());
}

TEST_CASE("a syntax error inside a secret does not show it") {
    const auto text =
        GENERATE(as<std::string>{}, "api_token = \"s3cr3t\n", "ETH_RPC_URL = s3cr3t\n",
                 "x = { private_key = s3cr3t }\n", "key = \"\"\"\ns3cr3t\ns3cr3t \\q\n\"\"\"\n",
                 "command = [\"--password\", s3cr3t]\n",
                 "plain = \"\"\"\ns3cr3t==\nx = 1\ns3cr3t \\q\n\"\"\"\n",
                 "secrets = [\n  \"s3cr3t==\",\n  \"s3cr3t\\q\",\n]\n");
    INFO(text);
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml(text, "c.toml", problems);
    REQUIRE(problems.list().size() == 1);
    CHECK(problems.list()[0].source_line.empty());
    CHECK(problems.to_string().find("s3cr3t") == std::string::npos);
}

TEST_CASE("all mistakes of a file come in one report, in the order of the checks") {
    const ConfigProblems problems = problems_of("prot = 1\nport = 0\nwait = 3\nverbose = \"no\"\n");
    REQUIRE(problems.list().size() == 4);
    CHECK(problems.has_errors());
    CHECK(problems.list()[0].text == "'port': 0 is out of range: 1 to 65535 is allowed");
    CHECK(problems.list()[3].text == "unknown key 'prot'");
}

TEST_CASE("wrong values leave the defaults in place") {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml("port = 0\nwait = \"x\"\nhosts = [1]\nname = \"good\"\n", "c.toml",
                        problems);
    const Settings s = load(document, problems);
    CHECK(s.port == 80);
    CHECK(s.wait == 5s);
    CHECK(s.hosts.empty());
    CHECK(s.name == "good");
}

TEST_CASE("unknown keys can be warnings, which do not make a file invalid") {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml("x = 1\n", "c.toml", problems);
    document.root(problems).finish(true);
    CHECK(problems.to_string() == "c.toml:1:1: warning: unknown key 'x'\n  x = 1\n  ^\n");
    CHECK(!problems.has_errors());
}

TEST_CASE("a loader's own problem stands at its value, or inside of it") {
    struct Row {
        std::string toml;
        std::size_t inside;
        std::uint32_t column;
    };
    const auto row = GENERATE(values<Row>({
        {"f = \"info,foo=loud\"\n", ConfigTable::kWholeValue, 5},
        {"f = \"info,foo=loud\"\n", 0, 6},
        {"f = \"info,foo=loud\"\n", 9, 15},
        {"f = 'info,foo=loud'\n", 9, 15},
        {"f = \"a\\tb\\u0041c\"\n", 2, 9},
        {"f = \"a\\tb\\u0041c\"\n", 4, 16},
        {"f = \"\xc3\xa9,x\"\n", 3, 8},
        {"f = \"abc\"\n", 50, 9},
        {"f = \"\"\"abc\ndef\"\"\"\n", 4, 5},
        {"f = 7\n", 3, 5},
    }));
    INFO(row.toml << row.inside);
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml(row.toml, "c.toml", problems);
    ConfigTable root = document.root(problems);
    root.problem("f", "bad", "hint", row.inside);
    REQUIRE(problems.list().size() == 1);
    CHECK(problems.list()[0].line == 1);
    CHECK(problems.list()[0].column == row.column);
    CHECK(problems.list()[0].hint == "hint");
}

TEST_CASE("a problem of an absent key stands at its table") {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml("a = 1\n[x.y]\nb = 2\n", "c.toml", problems);
    ConfigTable root = document.root(problems);
    root.problem("missing", "'missing' is required");
    auto x = root.table("x");
    REQUIRE(x);
    x->problem("missing", "'missing' is required");
    auto y = x->table("y");
    REQUIRE(y);
    y->problem("missing", "'missing' is required");
    y->problem("", "the table as a whole");
    CHECK(y->path() == "x.y");
    REQUIRE(problems.list().size() == 4);
    CHECK(problems.list()[0].to_string() == "c.toml: error: 'missing' is required");
    CHECK(problems.list()[1].line == 2);
    CHECK(problems.list()[2].to_string() ==
          "c.toml:2:1: error: 'missing' is required\n  [x.y]\n  ^");
    CHECK(problems.list()[3].line == 2);
}

TEST_CASE("later documents win key by key, and places stay with the values") {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml(
        "name = \"one\"\nport = 1\nhosts = [\"a\", \"b\"]\n[log]\nsink = [{kind = \"x\"}]\n",
        "built-in", problems);
    document.merge_toml("\nport = 2\nhosts = [\"c\"]\n", "c.toml", problems);
    document.merge_json(R"({"name": "three", "verbose": null})", "d.json", problems);
    const Settings s = load(document, problems);
    CHECK(problems.to_string().empty());
    CHECK(s.name == "three");
    CHECK(s.port == 2);
    CHECK(s.hosts == std::vector<std::string>{"c"});
    CHECK(s.sinks == std::vector<std::string>{"x"});

    std::string all;
    for (const auto& leaf : document.leaves())
        all += leaf.path + " = " + leaf.value + "  # " + leaf.origin + "\n";
    CHECK(all == R"(hosts = ["c"]  # c.toml:3
log.sink[0].kind = "x"  # built-in
name = "three"  # d.json
port = 2  # c.toml:2
)");
    ConfigTable root = document.root(problems);
    root.problem("port", "p");
    root.problem("name", "n");
    root.problem("log", "l");
    CHECK(problems.list()[0].to_string() == "c.toml:2:8: error: p\n  port = 2\n         ^");
    CHECK(problems.list()[1].to_string() == "d.json: error: n");
    CHECK(problems.list()[2].file == "built-in");
    CHECK(root.keys() == std::vector<std::string>{"name", "port", "hosts", "log"});
    CHECK(root.has("port"));
    CHECK(!root.has("verbose"));
}

TEST_CASE("a table replaces a value and a value a table") {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml("a = 1\n[b]\nc = 2\n", "1", problems);
    document.merge_toml("b = 3\n[a]\nd = 4\n", "2", problems);
    std::string all;
    for (const auto& leaf : document.leaves()) all += leaf.path + "=" + leaf.value + " ";
    CHECK(all == "a.d=4 b=3 ");
}

TEST_CASE("values from variables take the type of what they replace") {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml("name = \"n\"\nport = 1\nverbose = false\nhosts = [\"x\"]\ncodes = [200]\n",
                        "c.toml", problems);
    document.set({"port"}, "8080", "LAUNCHER_PORT");
    document.set({"verbose"}, "true", "LAUNCHER_VERBOSE");
    document.set({"hosts"}, "a, b,c", "LAUNCHER_HOSTS");
    document.set({"codes"}, "201,202", "LAUNCHER_CODES");
    document.set({"name"}, "true", "LAUNCHER_NAME");
    document.set({"wait"}, "8s", "LAUNCHER_WAIT");
    document.set({"queue"}, "9", "LAUNCHER_QUEUE");
    std::string all;
    for (const auto& leaf : document.leaves())
        all += leaf.path + " = " + leaf.value + "  # " + leaf.origin + "\n";
    CHECK(all == R"(codes = [201, 202]  # LAUNCHER_CODES
hosts = ["a", "b", "c"]  # LAUNCHER_HOSTS
name = "true"  # LAUNCHER_NAME
port = 8080  # LAUNCHER_PORT
queue = "9"  # LAUNCHER_QUEUE
verbose = true  # LAUNCHER_VERBOSE
wait = "8s"  # LAUNCHER_WAIT
)");
    const Settings s = load(document, problems);
    CHECK(problems.to_string().empty());
    CHECK(s.port == 8080);
    CHECK(s.verbose);
    CHECK(s.hosts == std::vector<std::string>{"a", "b", "c"});
    CHECK(s.codes == std::vector<std::int64_t>{201, 202});
    CHECK(s.name == "true");
    CHECK(s.wait == 8s);
    CHECK(s.queue == 9);
}

TEST_CASE("values from variables that replace nothing take the type that is asked for") {
    ConfigProblems problems;
    ConfigDocument document;
    document.set({"port"}, "8080", "LAUNCHER_PORT");
    document.set({"verbose"}, "true", "LAUNCHER_VERBOSE");
    document.set({"hosts"}, "a,b", "LAUNCHER_HOSTS");
    document.set({"codes"}, "", "LAUNCHER_CODES");
    const Settings s = load(document, problems);
    CHECK(problems.to_string().empty());
    CHECK(s.port == 8080);
    CHECK(s.verbose);
    CHECK(s.hosts == std::vector<std::string>{"a", "b"});
    CHECK(s.codes.empty());
}

TEST_CASE("paths of variables go through tables, with '-' and '_' alike") {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml("[service.auth-eth]\nstop_timeout = \"2s\"\n", "c.toml", problems);
    document.set({"service", "auth_eth", "stop_timeout"}, "8s",
                 "LAUNCHER_SERVICE__AUTH_ETH__STOP_TIMEOUT");
    document.set({"health", "listen"}, "a", "LAUNCHER_HEALTH__LISTEN");
    document.set({}, "ignored", "nothing");
    std::string all;
    for (const auto& leaf : document.leaves()) all += leaf.path + " = " + leaf.value + "\n";
    CHECK(all == "health.listen = \"a\"\nservice.auth-eth.stop_timeout = \"8s\"\n");
}

TEST_CASE("mistakes in variables are named by the variable") {
    struct Row {
        std::vector<std::string> path;
        std::string value;
        std::string report;
    };
    const auto row = GENERATE(values<Row>({
        {{"port"}, "x", "LAUNCHER_X: error: 'port' must be an integer, not 'x'\n"},
        {{"port"}, "0", "LAUNCHER_X: error: 'port': 0 is out of range: 1 to 65535 is allowed\n"},
        {{"verbose"}, "yes", "LAUNCHER_X: error: 'verbose' must be true or false, not 'yes'\n"},
        {{"prot"}, "1", "LAUNCHER_X: error: unknown key 'prot'\n  hint: did you mean 'port'?\n"},
        {{"log", "snk"},
         "1",
         "LAUNCHER_X: error: unknown key 'snk' in 'log'\n  hint: did you mean 'sink'?\n"},
        {{"log"}, "1", "LAUNCHER_X: error: 'log' must be a table, not '1'\n"},
        {{"port", "x"}, "1", "LAUNCHER_X: error: 'port' must be an integer, not a table\n"},
        {{"codes"}, "200,x", "LAUNCHER_X: error: 'codes' must be a list of integers, not 'x'\n"},
        {{"kind"},
         "stdou",
         "LAUNCHER_X: error: 'kind': 'stdou' is not known here\n  hint: did you mean 'stdout'?\n"},
    }));
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml("port = 1\ncodes = [1]\n", "c.toml", problems);
    document.merge_toml("codes = [200]\n", "c.toml", problems);
    document.set(row.path, row.value, "LAUNCHER_X");
    load(document, problems);
    CHECK(problems.to_string() == row.report);
}

TEST_CASE("a problem inside the value of a variable shows the value") {
    ConfigProblems problems;
    ConfigDocument document;
    document.set({"filter"}, "info,foo=loud", "LAUNCHER_LOG");
    document.set({"my_secret"}, "info,foo=loud", "LAUNCHER_SECRET");
    ConfigTable root = document.root(problems);
    root.problem("filter", "'loud' is not a level", "", 9);
    root.problem("my_secret", "bad", "", 9);
    CHECK(problems.to_string() ==
          "LAUNCHER_LOG: error: 'loud' is not a level\n  info,foo=loud\n           "
          "^\nLAUNCHER_SECRET: error: bad\n");
}

TEST_CASE("secrets are never shown, in problems or in the list of values") {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_toml(R"([service.kms]
env = { PORT = 80, ETH_RPC_URL = "https://x/s3cr3t" }
secret_env = { PLAIN = "s3cr3t", RPC_URL = { env = "VARIABLE" } }
dsn = """
s3cr3t
s3cr3t"""
empty_password = ""
tokens = ["s3cr3t"]
)",
                        "c.toml", problems);
    std::string all;
    for (const auto& leaf : document.leaves()) all += leaf.path + " = " + leaf.value + "\n";
    CHECK(all == R"(service.kms.dsn = [set]
service.kms.empty_password = [unset]
service.kms.env.ETH_RPC_URL = [set]
service.kms.env.PORT = 80
service.kms.secret_env.PLAIN = [set]
service.kms.secret_env.RPC_URL.env = "VARIABLE"
service.kms.tokens = [set]
)");
    ConfigTable root = document.root(problems);
    auto service = root.table("service");
    REQUIRE(service);
    auto kms = service->table("kms");
    REQUIRE(kms);
    for (const std::string& key : kms->keys()) {
        kms->integer(key, 0, 1);
        kms->duration(key);
        kms->size(key);
        kms->word(key, {"a"});
        kms->integers(key, 0, 1);
        kms->problem(key, "a problem", "", 0);
    }
    for (const char* name : {"env", "secret_env"}) {
        auto table = kms->table(name);
        REQUIRE(table);
        for (const std::string& key : table->keys()) {
            table->duration(key);
            table->word(key, {"a"});
            table->problem(key, "a problem", "", 0);
        }
    }
    root.finish();
    CHECK(problems.list().size() > 20);
    CHECK(problems.to_string().find("s3cr3t") == std::string::npos);
}

TEST_CASE("names that look secret") {
    for (const char* name :
         {"API_KEY", "api_token", "Secret", "PASSWORD", "PASSWD", "DB_PASS", "privateKey",
          "credentials", "mnemonic", "SENTRY_DSN", "ETH_RPC_URL", "x_URL"})
        CHECK(looks_secret(name));
    for (const char* name : {"PORT", "HOST", "url", "auth_url", "KMS_DOMAIN", "RUST_LOG", ""})
        CHECK(!looks_secret(name));
}

TEST_CASE("mistakes in JSON have a place where one is known") {
    struct Row {
        std::string json;
        std::string report;
    };
    const auto row = GENERATE(values<Row>({
        {"", "c.json:1:1: error: invalid JSON: incomplete JSON"},
        {"{", "c.json:1:2: error: invalid JSON: incomplete JSON"},
        {"[]", "c.json:1:1: error: a JSON object was expected"},
        {"{} x", "c.json:1:4: error: invalid JSON: "},
        {"{\n \"a\": tru }", "c.json:2:"},
    }));
    INFO(row.json);
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_json(row.json, "c.json", problems);
    INFO(problems.to_string());
    REQUIRE(problems.list().size() == 1);
    CHECK(problems.list()[0].to_string().starts_with(row.report));
}

TEST_CASE("JSON values have the types that TOML has") {
    ConfigProblems problems;
    ConfigDocument document;
    document.merge_json(R"({"name": "x", "port": 9, "verbose": true, "hosts": ["a"], "codes": [200],
                            "log": {"sink": [{"kind": "k"}]}, "odd": 1.5, "big": 18446744073709551615})",
                        "c.json", problems);
    const Settings s = load(document, problems);
    CHECK(s.name == "x");
    CHECK(s.port == 9);
    CHECK(s.verbose);
    CHECK(s.hosts == std::vector<std::string>{"a"});
    CHECK(s.sinks == std::vector<std::string>{"k"});
    REQUIRE(problems.list().size() == 2);
    CHECK(problems.list()[0].text == "unknown key 'odd'");
    ConfigTable root = document.root(problems);
    CHECK(!root.integer("big", 0, std::numeric_limits<std::int64_t>::max()));
    CHECK(!root.integer("odd", 0, 9));
}

TEST_CASE("nearest words") {
    const std::vector<std::string> known = {"port", "host", "stop_timeout", "a", "filter"};
    CHECK(nearest_word("prot", known) == "port");
    CHECK(nearest_word("stop-timeout", known) == "stop_timeout");
    CHECK(nearest_word("stoptimeouts", known) == "stop_timeout");
    CHECK(nearest_word("filters", known) == "filter");
    CHECK(nearest_word("hots", known) == "host");
    CHECK(!nearest_word("nothing", known));
    CHECK(!nearest_word("b", known));
    CHECK(!nearest_word("", known));
    CHECK(did_you_mean("prot", known) == "did you mean 'port'?");
    CHECK(did_you_mean("nothing", known).empty());
}

TEST_CASE("durations and sizes") {
    CHECK(parse_duration("250ms").value() == 250ms);
    CHECK(parse_duration("5s").value() == 5s);
    CHECK(parse_duration("2m").value() == 2min);
    CHECK(parse_duration("1h").value() == 1h);
    CHECK(parse_duration("0s").value() == 0s);
    for (const char* bad : {"", "5", "s", "-5s", "+5s", "5 s", " 5s", "5s ", "1.5s", "5S", "5sec",
                            "1d", "1h30m", "99999999999h", "99999999999999999999ms"}) {
        INFO(bad);
        CHECK(!parse_duration(bad).has_value());
    }
    CHECK(parse_size("512B").value() == 512);
    CHECK(parse_size("64KiB").value() == 65536);
    CHECK(parse_size("4MiB").value() == 4194304);
    CHECK(parse_size("7").value() == 7);
    for (const char* bad : {"", "B", "4MB", "4M", "4kib", "-4", "4 MiB", "0x10",
                            "9223372036854775808", "9223372036854775807KiB"}) {
        INFO(bad);
        CHECK(!parse_size(bad).has_value());
    }
}

TEST_CASE("long and hostile source lines are shown in part and without control characters") {
    ConfigProblem problem;
    problem.file = "f";
    problem.line = 1;
    problem.text = "t";
    problem.source_line = std::string(500, 'a') + "B" + std::string(500, 'c');
    problem.column = 501;
    const std::string shown = problem.to_string();
    CHECK(shown.size() < 250 + 100);
    const auto first_line = shown.find('\n') + 1;
    const auto second_line = shown.find('\n', first_line) + 1;
    CHECK(shown[first_line + (shown.find('^') - second_line)] == 'B');

    problem.source_line = "a\x1b[31m\tb\xff\xc3\xa9";
    problem.column = 1;
    CHECK(problem.to_string() == "f:1:1: error: t\n  a?[31m b???\n  ^");
    problem.source_line =
        "\xc2\x9b"
        "31m\xc3\xa9";
    CHECK(problem.to_string() == "f:1:1: error: t\n  ?31m\xc3\xa9\n  ^");
}

TEST_CASE("files are read whole, within bounds") {
    const std::string path = temporary("file");
    std::ofstream(path) << "content";
    CHECK(read_file(path, 7).value() == "content");
    const auto large = read_file(path, 6);
    REQUIRE(!large.has_value());
    CHECK(large.error().code == ErrorCode::invalid_argument);
    CHECK(large.error().context == "cannot read '" + path + "': larger than 6 bytes");
    std::filesystem::remove(path);

    const auto absent = read_file(path, 7);
    REQUIRE(!absent.has_value());
    CHECK(absent.error().code == ErrorCode::not_found);
    CHECK(absent.error().context == "cannot read '" + path + "': No such file or directory");

    CHECK(read_file("/", 7).error().code == ErrorCode::invalid_argument);
    // A FIFO without a writer must not be waited for.
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    CHECK(read_file(path, 7).error().context == "cannot read '" + path + "': not a regular file");
    std::filesystem::remove(path);
}
