// Seeded mistakes in launcher.toml: each is found, at the right place, with words that help.
#include "launcher/plan/plan_loader.hpp"

#include <algorithm>
#include <string>

#include <catch2/catch.hpp>

using namespace launcher;

namespace {

/// `@` stands where the problem must point to; it is removed before the text is read.
struct Mistake {
    std::string toml;
    std::string text;  ///< a part of the sentence
    std::string hint;  ///< a part of the hint; empty = not looked at
    bool warning = false;
};

const std::string kService = "[service.kms]\ncommand = [\"/bin/true\"]\n";
const std::string kProbe = kService + "[service.kms.probe.startup]\ndeadline = \"30s\"\n";
const std::string kHttp = kProbe + "kind = \"http\"\nurl = \"http://127.0.0.1:9100/\"\n";

LoadedPlan load(const std::string& toml, Environment environment = {}) {
    PlanSources sources;
    sources.environment = std::move(environment);
    sources.offline = true;
    return load_plan_text(toml, "launcher.toml", sources);
}

}  // namespace

TEST_CASE("every seeded mistake is found at its place") {
    const auto row = GENERATE_COPY(values<Mistake>({
        // Not TOML, or not this TOML
        {"version = 1\n[launcher\n@", "", ""},
        {"version = 1\nversion = 1@\n", "", ""},
        {"version = @2\n" + kService, "out of range", ""},
        {"version = @\"1\"\n" + kService, "must be an integer", ""},
        {"@versoin = 1\n" + kService, "unknown key 'versoin'", "version"},
        {"[@lancher]\n" + kService, "unknown key 'lancher'", "launcher"},
        {"[launcher]\n@stop_totl = \"9s\"\n" + kService, "unknown key 'stop_totl'", "stop_total"},
        {"launcher = @3\n" + kService, "must be a table", ""},
        // Types and ranges
        {"[launcher]\nstop_total = @9\n" + kService, "stop_total", ""},
        {"[launcher]\nstop_total = @\"9 s\"\n" + kService, "not a duration", ""},
        {"[launcher]\nstop_total = @\"-1s\"\n" + kService, "not a duration", ""},
        {"[launcher]\nstop_total = @\"0s\"\n" + kService, "below its minimum", ""},
        {"[launcher]\nstop_order = @\"backwards\"\n" + kService, "not known", "reverse"},
        {"[launcher]\nstop_order = @\"paralel\"\n" + kService, "not known", "parallel"},
        {"[launcher]\nnotify_ready = @true\n" + kService, "must be text", ""},
        {kService + "stop_timeout = @\"soon\"\n", "not a duration", ""},
        {kService + "stop_signal = @\"SIGTERMINATE\"\n", "unknown signal", "SIGTERM"},
        {kService + "stop_signal = @\"SIGKILL\"\n", "cannot clean up", "SIGTERM"},
        {kService + "stop_mode = @\"tree\"\n", "not known", "leader"},
        {kService + "forward_signals = @[\"SIGFOO\"]\n", "unknown signal 'SIGFOO'", ""},
        {kService + "success_exit_status = [@300]\n", "out of range", ""},
        {kService + "success_exit_status = @[]\n", "empty list", ""},
        {kService + "nice = @40\n", "out of range", ""},
        {kService + "oom_score_adj = @-2000\n", "out of range", ""},
        {kService + "umask = @\"999\"\n", "no umask", "0077"},
        {kService + "umask = @\"01777\"\n", "no umask", ""},
        {kService + "stdin = @\"tty\"\n", "not known", "null"},
        {kService + "no_new_privs = @\"yes\"\n", "must be true or false", ""},
        {kService + "[service.kms.limits]\nnofile = @4\n", "out of range", ""},
        {kService + "[service.kms.limits]\ncpu_weight = @0\n", "out of range", ""},
        {kService + "[service.kms.limits]\nmemory_max = @\"1KiB\"\n", "out of range", ""},
        {kService + "[service.kms.limits]\n@nofiles = 4096\n", "unknown key", "nofile"},
        {kService + "[service.kms.log]\nformat = @\"pinot\"\n", "not known", "pino"},
        {kService + "[service.kms.log]\nmax_line = @\"16MiB\"\n", "out of range", ""},
        {kService + "[service.kms.log]\nprobe_noise = @\"drop\"\n", "not known", "suppress"},
        // Commands, environment, dependencies
        {"@[service.kms]\ncwd = \"/\"\n", "no command", "command ="},
        {"[service.kms]\ncommand = @\"dstack-kms --config x\"\n", "must be a list", "brackets"},
        {"[service.kms]\ncommand = @[]\n", "empty list", ""},
        {"[service.kms]\ncommand = @[\"\"]\n", "no command", ""},
        {"[service.kms]\ncommand = @[\"dstack-kms --config x\"]\n", "one word with blanks",
         "no shell", true},
        {kService + "cwd = @\"relative\"\n", "absolute", ""},
        {kService + "env = { API_TOKEN = @\"hunter22\" }\n", "looks like a secret", "secret_env"},
        {kService + "env = { PORT = @9200 }\n", "must be text", ""},
        {kService + "env_pass = @[\"A=b\"]\n", "lists names", ""},
        {kService + "secret_env = { K = @{ env = \"A\", file = \"/b\" } }\n", "exactly one source",
         "credential"},
        {kService + "secret_env = { K = @{ } }\n", "exactly one source", ""},
        {kService + "secret_env = { K = { @vault = \"x\", env = \"A\" } }\n", "unknown key 'vault'",
         ""},
        {kService + "env = { K = @\"value\" }\nsecret_env = { K = { env = \"K\" } }\n",
         "in env and in secret_env", ""},
        {kService + "depends_on = { auth = @\"started\" }\n[service.auth-eth]\ncommand = "
                    "[\"/bin/true\"]\n",
         "not configured", ""},
        {kService + "depends_on = { auth-et = @\"started\" }\n[service.auth-eth]\ncommand = "
                    "[\"/bin/true\"]\n",
         "not configured", "auth-eth"},
        {kService +
             "depends_on = @{ auth-eth = \"up\" }\n[service.auth-eth]\ncommand = [\"/bin/true\"]\n",
         "not 'up'", "started"},
        {kService + "depends_on = @{ kms = \"started\" }\n", "wait for each other: kms → kms", ""},
        {"[service.a]\ncommand = [\"x\"]\ndepends_on = @{ b = \"started\" }\n[service.b]\ncommand "
         "= [\"x\"]\ndepends_on = { a = "
         "\"ready\" }\n",
         "wait for each other: a → b → a", ""},
        {"[service.a]\ncommand = [\"x\"]\nstdin = \"inherit\"\n[service.b]\ncommand = "
         "[\"x\"]\nstdin = @\"inherit\"\n",
         "only one service", ""},
        {"@[service.KMS]\ncommand = [\"x\"]\n", "cannot be the name of a service", "lower-case"},
        {"@[service.launcher]\ncommand = [\"x\"]\n", "cannot be the name of a service", ""},
        {"version = 1\n", "no service is configured", ""},
        // Time that does not add up
        {kService + "stop_timeout = @\"20s\"\n", "longer than launcher.stop_total 9s", ""},
        {"[launcher]\nstop_total = @\"5s\"\n[service.a]\ncommand = [\"x\"]\nstop_timeout = "
         "\"3s\"\n[service.b]\ncommand = "
         "[\"x\"]\nstop_timeout = \"3s\"\n",
         "add up to 6s", "parallel"},
        {kHttp + "[service.kms.probe.startup.timeouts]\ntotal = @\"2s\"\n",
         "shorter than one of its stages", ""},
        {kHttp + "[service.kms.probe.liveness]\nkind = \"http\"\nurl = "
                 "\"http://127.0.0.1:9100/\"\ninterval = @\"500ms\"\n",
         "repeated every 500ms", "overlaps", true},
        {kHttp + "[service.kms.probe.liveness]\nkind = \"http\"\nurl = "
                 "\"http://127.0.0.1:9100/\"\ninterval = @\"1ms\"\n",
         "below its minimum", ""},
        // Probes
        {kProbe + "kind = @\"htp\"\nurl = \"http://127.0.0.1/\"\n", "not known", "http"},
        {kService + "@[service.kms.probe.startup]\nkind = \"http\"\ndeadline = \"1s\"\n",
         "needs a url", "url ="},
        {kProbe + "kind = \"http\"\nurl = @\"127.0.0.1:9100\"\n", "no http URL", ""},
        {kProbe + "kind = \"http\"\nurl = @\"http://127.0.0.1:99999/\"\n", "no http URL", ""},
        {kProbe + "kind = \"http\"\nurl = @\"https://127.0.0.1:9100/\"\n", "needs an http://", ""},
        {kProbe + "kind = \"https\"\nurl = @\"http://127.0.0.1:9100/\"\n", "needs an https://", ""},
        {kHttp + "method = @\"POST\"\n", "cannot use method", "GET"},
        {kHttp + "expect_status = @[]\n", "empty list", "leave the key out"},
        {kHttp + "expect_status = [200, @2000]\n", "out of range", ""},
        {kHttp + "expect_status = @200\n", "must be a list", ""},
        {kHttp + "expect_json = { status = @\"ok\" }\n", "no JSON pointer", "slash"},
        {kHttp + "verify = @\"ca-file\"\n", "needs ca_file", ""},
        {kHttp + "verify = \"pin-sha256\"\npin_sha256 = @\"abc\"\n", "64 hexadecimal digits", ""},
        {kHttp + "min_tls = @\"1.1\"\n", "not known", "1.2"},
        {kHttp + "client_cert_file = @\"/etc/kms/client.pem\"\n", "belong together", "both"},
        {kHttp + "success_threshold = @0\n", "out of range", ""},
        {kHttp + "headers = @[\"A: b\"]\n", "must be a table", ""},
        {kHttp + "interval = @\"5\"\n", "not a duration", ""},
        {kHttp + "timeouts = { total = @\"5min\" }\n", "not a duration", ""},
        {kHttp + "failure_threshold = @0\n", "out of range", ""},
        {kHttp + "max_body = @\"2MiB\"\n", "out of range", ""},
        {kHttp + "@retries = 3\n", "unknown key 'retries'", ""},
        {kHttp + "timeouts = { @header = \"1s\" }\n", "unknown key 'header'", "headers"},
        {kService +
             "@[service.kms.probe.startup]\nkind = \"tcp\"\nport = 9100\ndeadline = \"1s\"\n",
         "needs a host", ""},
        {kService + "@[service.kms.probe.startup]\nkind = \"tcp\"\nhost = \"127.0.0.1\"\ndeadline "
                    "= \"1s\"\n",
         "needs a port", ""},
        {kProbe + "kind = \"tcp\"\nhost = \"127.0.0.1\"\nport = @70000\n", "out of range", ""},
        {kProbe + "kind = \"tcp\"\nhost = \"127.0.0.1\"\nport = 80\nexpect_status = @[200]\n",
         "only http probes", ""},
        {kProbe + "kind = \"unix\"\npath = @\"run/kms.sock\"\n", "absolute path", ""},
        {kService + "@[service.kms.probe.startup]\nkind = \"log-line\"\ndeadline = \"1s\"\n",
         "needs a pattern", ""},
        {kProbe + "kind = \"log-line\"\npattern = \"up\"\nstream = @\"both\"\n", "unknown stream",
         "stdout"},
        {kService + "@[service.kms.probe.startup]\nkind = \"exec\"\ndeadline = \"1s\"\n",
         "needs a command", ""},
        {kService + "@[service.kms.probe.startup]\nkind = \"all\"\ndeadline = \"1s\"\n",
         "at least one", "probes"},
        {kProbe + "kind = \"any\"\n@[[service.kms.probe.startup.probes]]\nkind = \"http\"\n",
         "needs a url", ""},
        {kService +
             "@[service.kms.probe.startup]\nkind = \"http\"\nurl = \"http://127.0.0.1:1/\"\n",
         "no deadline", "30s", true},
        {kHttp + "[service.kms.probe.readiness]\nkind = \"http\"\nurl = "
                 "\"http://127.0.0.1:9100/\"\ndeadline = @\"3s\"\n",
         "only the startup probe", ""},
        {kHttp + "[service.kms.probe.@livness]\nkind = \"http\"\n", "unknown key 'livness'",
         "liveness"},
        {kHttp +
             "[service.a]\ncommand = [\"x\"]\n[service.a.probe.startup]\nkind = \"http\"\nurl = "
             "@\"http://127.0.0.1:9100/\"\ndeadline = \"1s\"\n",
         "also that of service 'kms'", "own port"},
        {kProbe + "kind = \"http\"\nurl = @\"http://127.0.0.1:9180/\"\n",
         "also that of the health endpoint", ""},
        // Log
        {"[log]\nfilter = \"info,foo=@warning\"\n" + kService, "", "warn"},
        {"[log]\nfilter = \"@noisy=loud\"\n" + kService, "", ""},
        {"[log]\nsyntax = @\"syslog\"\n" + kService, "not known", "tracing"},
        {"[[log.sink]]\nkind = @\"stdot\"\n" + kService, "not known", "stdout"},
        {"[[log.sink]]\nkind = \"stdout\"\nqueue = @\"4GB\"\n" + kService, "not a size", ""},
        {"[[log.sink]]\nkind = \"stdout\"\nqueue = @\"1KiB\"\n" + kService, "out of range", ""},
        {"@[[log.sink]]\nkind = \"file\"\n" + kService, "needs an absolute path", ""},
        {"[[log.sink]]\nkind = \"file\"\npath = \"/a\"\n[[log.sink]]\nkind = \"file\"\npath = "
         "@\"/a\"\n" +
             kService,
         "two sinks write to '/a'", ""},
        {"@[[log.sink]]\nkind = \"stdout\"\nqueue = \"8MiB\"\n[[log.sink]]\nkind = "
         "\"stderr\"\nqueue = \"8MiB\"\n" +
             kService,
         "add up to 16384 KiB", "12MiB"},
        {"[[log.sink]]\nkind = \"stdout\"\nfilter = \"info,@foo=warning\"\n" + kService, "", ""},
        {"[[log.sink]]\nkind = \"stdout\"\nmax_files = @0\n" + kService, "out of range", ""},
        {"[log]\n@sinks = [\"stdout\"]\n" + kService, "unknown key 'sinks'", ""},
        // Health
        {"[health]\nallow_remote = @\"yes\"\n" + kService, "must be true or false", ""},
        {"[health]\nlisten = @[\"9180\"]\n" + kService, "no address to listen on", ""},
        {"[health]\nlisten = @[\"0.0.0.0:9180\"]\n" + kService, "from other machines",
         "allow_remote"},
        {"[health]\nlisten = @[\"127.0.0.1:9180\", \"127.0.0.1:9180\"]\n" + kService,
         "listed twice", ""},
        {"[health]\nlisten = @[]\n" + kService, "listens nowhere", ""},
        {"[health]\nunix = @\"health.sock\"\n" + kService, "absolute path", ""},
    }));
    const auto at = row.toml.find('@');
    auto toml = row.toml;
    std::size_t line = 0, column = 0;
    if (at != std::string::npos) {
        toml.erase(at, 1);
        const auto begin = toml.rfind('\n', at == 0 ? std::string::npos : at - 1);
        line = 1 + static_cast<std::size_t>(std::count(
                       toml.begin(), toml.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
        column = at == 0 || begin == std::string::npos || begin >= at ? at + 1 : at - begin;
    }
    INFO(row.toml);
    const auto loaded = load(toml);
    INFO(loaded.problems.to_string());
    CHECK(loaded.ok() == row.warning);
    const auto& problems = loaded.problems.list();
    const auto found =
        std::find_if(problems.begin(), problems.end(), [&](const runtime::ConfigProblem& problem) {
            return problem.text.find(row.text) != std::string::npos &&
                   problem.hint.find(row.hint) != std::string::npos &&
                   (row.text.empty() || at == std::string::npos ||
                    (problem.line == line && problem.column == column));
        });
    REQUIRE(found != problems.end());
    if (at != std::string::npos && !row.text.empty()) {
        CHECK(found->line == line);
        CHECK(found->column == column);
    }
    CHECK(found->warning == row.warning);
}

TEST_CASE("all mistakes of a file are told at once, in one report") {
    const auto loaded = load("[launcher]\nstop_total = \"x\"\n[log]\nfilter = \"warning\"\n" +
                             kService + "stop_mode = \"tree\"\n");
    CHECK(loaded.problems.list().size() == 3);
}

TEST_CASE("a secret never appears in a report") {
    const auto loaded = load(kService +
                             "env = { DB_PASSWORD = \"hunter22hunter\" }\nsecret_env = { TOKEN = "
                             "\"hunter22hunter\" }\n");
    CHECK_FALSE(loaded.ok());
    CHECK_THAT(loaded.problems.to_string(), !Catch::Contains("hunter22"));
}
