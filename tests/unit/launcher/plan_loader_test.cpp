#include "launcher/plan/plan_loader.hpp"

#include "launcher/plan/builtin_config.hpp"
#include "launcher/plan/rust_log.hpp"
#include "launcher/plan/signals.hpp"
#include "launcher/plan/start_order.hpp"
#include "launcher/plan/url_parts.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <unistd.h>

using namespace launcher;
using namespace std::chrono_literals;

namespace {

const std::string kService = "[service.kms]\ncommand = [\"/bin/true\"]\n";

LoadedPlan load(const std::string& toml, Environment environment = {}, bool offline = true) {
    PlanSources sources;
    sources.environment = std::move(environment);
    sources.offline = offline;
    return load_plan_text(toml, "launcher.toml", sources);
}

LoadedPlan load_builtin(Environment environment) {
    PlanSources sources;
    sources.default_path = "/nonexistent/launcher.toml";
    sources.environment = std::move(environment);
    sources.offline = true;
    return load_plan(sources);
}

std::string origin_of(const LoadedPlan& loaded, const std::string& path) {
    for (const auto& value : loaded.effective)
        if (value.path == path) return value.value + " from " + value.origin;
    return "";
}

/// A directory that is removed at the end.
class Directory {
  public:
    Directory() {
        static int count = 0;
        path_ = std::filesystem::temp_directory_path() /
                ("plan-" + std::to_string(::getpid()) + "-" + std::to_string(++count));
        std::filesystem::create_directory(path_);
    }
    ~Directory() { std::filesystem::remove_all(path_); }
    std::string write(const std::string& name, const std::string& text,
                      std::filesystem::perms mode = std::filesystem::perms(0644)) {
        const auto path = path_ / name;
        std::ofstream(path) << text;
        std::filesystem::permissions(path, mode);
        return path.string();
    }
    std::string path() const { return path_.string(); }

  private:
    std::filesystem::path path_;
};

}  // namespace

TEST_CASE("the built-in configuration is valid and needs nothing but a deployment's variables") {
    const auto loaded =
        load_builtin({{"PORT", "9200"},
                      {"ETH_RPC_URL", "https://rpc.example/v3/0123456789abcdef0123"},
                      {"KMS_CONTRACT_ADDR", "0x00"},
                      {"RUST_LOG", "info"},
                      {"KMS_DOMAIN", "kms.example"}});
    INFO(loaded.problems.to_string());
    REQUIRE(loaded.ok());
    CHECK(loaded.problems.list().empty());
    REQUIRE(loaded.plan.services.size() == 2);
    const auto& auth = loaded.plan.services[0];
    const auto& kms = loaded.plan.services[1];
    CHECK(auth.name == "auth-eth");
    CHECK(auth.command == std::vector<std::string>{"auth-eth"});
    CHECK(auth.startup->expect_status == std::vector<unsigned>{404});
    CHECK(auth.startup->deadline == 30s);
    CHECK(auth.readiness->timeouts.headers == 5s);
    CHECK(auth.secret_env[0].second.name == "ETH_RPC_URL");
    CHECK(kms.name == "kms");
    CHECK(kms.depends_on[0] == std::pair<std::string, Dependency>{"auth-eth", Dependency::started});
    CHECK(kms.startup->kind == ProbeKind::http_auto);
    CHECK(kms.stop_timeout == 6s);
    CHECK(loaded.plan.health.listen == std::vector<std::string>{"127.0.0.1:9180"});
    CHECK(loaded.plan.source == "built-in");
}

TEST_CASE("PORT moves the webhook of the built-in configuration") {
    const auto loaded = load_builtin({{"PORT", "9300"}});
    REQUIRE(loaded.ok());
    CHECK(loaded.plan.services[0].env[0].second == "9300");
    CHECK(loaded.plan.services[0].liveness->url == "http://127.0.0.1:9300/launcher-probe");
    const auto bad = load_builtin({{"PORT", "http"}});
    CHECK_FALSE(bad.ok());
    CHECK_THAT(bad.problems.to_string(), Catch::Contains("PORT is 'http'"));
}

TEST_CASE("defaults") {
    const auto loaded = load(kService);
    REQUIRE(loaded.ok());
    CHECK(loaded.plan.stop_total == 9s);
    CHECK(loaded.plan.notify_ready == Dependency::started);
    CHECK(loaded.plan.services[0].stop_timeout == 6s);
    CHECK(loaded.plan.services[0].stop_signal == SIGTERM);
    CHECK(loaded.plan.services[0].no_new_privs);
    CHECK(loaded.plan.services[0].limits.core == 0);
    CHECK(loaded.plan.log.sinks.size() == 1);
}

TEST_CASE("services without a stop_timeout share stop_total") {
    const auto loaded = load(
        "[service.a]\ncommand = [\"x\"]\n[service.b]\ncommand = [\"x\"]\nstop_timeout = "
        "\"2s\"\n[service.c]\ncommand = [\"x\"]\n");
    INFO(loaded.problems.to_string());
    REQUIRE(loaded.ok());
    CHECK(loaded.plan.services[0].stop_timeout == 3500ms);
    CHECK(loaded.plan.services[1].stop_timeout == 2s);
    CHECK(loaded.plan.services[2].stop_timeout == 3500ms);
}

TEST_CASE("variables override the file, whatever the type of the key") {
    const auto loaded = load(kService + "[service.auth-eth]\ncommand = [\"auth-eth\"]\n",
                             {{"LAUNCHER_LAUNCHER__STOP_TOTAL", "20s"},
                              {"LAUNCHER_LAUNCHER__STOP_ORDER", "parallel"},
                              {"LAUNCHER_SERVICE__KMS__STOP_TIMEOUT", "8s"},
                              {"LAUNCHER_SERVICE__AUTH_ETH__COMMAND", "node,dist/src/main.js"},
                              {"LAUNCHER_SERVICE__KMS__NO_NEW_PRIVS", "false"},
                              {"LAUNCHER_SERVICE__KMS__NICE", "5"},
                              {"LAUNCHER_SERVICE__KMS__SUCCESS_EXIT_STATUS", "3,4"},
                              {"LAUNCHER_SERVICE__KMS__ENV__RUST_BACKTRACE", "1"},
                              {"LAUNCHER_SERVICE__KMS__ENV_PASS", "KMS_DOMAIN,RUST_LOG"},
                              {"LAUNCHER_SERVICE__KMS__PROBE__STARTUP__KIND", "tcp"},
                              {"LAUNCHER_SERVICE__KMS__PROBE__STARTUP__HOST", "127.0.0.1"},
                              {"LAUNCHER_SERVICE__KMS__PROBE__STARTUP__PORT", "9100"},
                              {"LAUNCHER_SERVICE__KMS__PROBE__STARTUP__DEADLINE", "3s"},
                              {"LAUNCHER_HEALTH__LISTEN", "127.0.0.1:1,127.0.0.1:2"},
                              {"LAUNCHER_LOG", "debug"},
                              {"LAUNCHER_HEALTH", "127.0.0.1:1"}});
    INFO(loaded.problems.to_string());
    REQUIRE(loaded.ok());
    const auto& kms = loaded.plan.services[0];
    CHECK(loaded.plan.stop_total == 20s);
    CHECK(loaded.plan.stop_parallel);
    CHECK(kms.stop_timeout == 8s);
    CHECK_FALSE(kms.no_new_privs);
    CHECK(kms.nice == 5);
    CHECK(kms.success_exit_status == std::vector<int>{3, 4});
    CHECK(kms.env == std::vector<std::pair<std::string, std::string>>{{"RUST_BACKTRACE", "1"}});
    CHECK(kms.env_pass == std::vector<std::string>{"KMS_DOMAIN", "RUST_LOG"});
    CHECK(kms.startup->kind == ProbeKind::tcp);
    CHECK(kms.startup->port == 9100);
    CHECK(loaded.plan.services[1].command == std::vector<std::string>{"node", "dist/src/main.js"});
    CHECK(loaded.plan.health.listen == std::vector<std::string>{"127.0.0.1:1", "127.0.0.1:2"});
    CHECK(loaded.filter.may_enable(runtime::LogLevel::debug));
}

TEST_CASE("a variable that belongs to no key is an error with the nearest name") {
    const auto row = GENERATE(values<std::pair<std::string, std::string>>({
        {"LAUNCHER_SERVICE__KMS__STOP_TIMOUT", "LAUNCHER_SERVICE__KMS__STOP_TIMEOUT"},
        {"LAUNCHER_LOGG", "LAUNCHER_LOG"},
        {"LAUNCHER_SERVICE__KNS__NICE", "LAUNCHER_SERVICE__KMS__NICE"},
        {"LAUNCHER_LOG__SINK__0__KIND", "__ for each dot"},
        {"LAUNCHER_SERVICE__KMS__ENV__", "LAUNCHER_SERVICE__KMS__ENV"},
    }));
    const auto loaded = load(kService, {{row.first, "x"}});
    CHECK_FALSE(loaded.ok());
    CHECK_THAT(loaded.problems.to_string(),
               Catch::Contains(row.first) && Catch::Contains(row.second));
}

TEST_CASE("a variable with a bad value is named in the report") {
    const auto loaded = load(kService, {{"LAUNCHER_SERVICE__KMS__NICE", "very"}});
    CHECK_FALSE(loaded.ok());
    CHECK_THAT(loaded.problems.to_string(), Catch::Contains("LAUNCHER_SERVICE__KMS__NICE"));
}

TEST_CASE("the launcher's filter comes from the first source that is set") {
    const std::string with_filter = "[log]\nfilter = \"warn\"\n" + kService;
    PlanSources sources;
    sources.offline = true;
    sources.environment = {{"RUST_LOG", "error"}};
    CHECK(load_plan_text(kService, "f", sources).plan.log.filter == "error");
    CHECK(load_plan_text(with_filter, "f", sources).plan.log.filter == "warn");
    sources.environment["LAUNCHER_LOG"] = "debug";
    CHECK(load_plan_text(with_filter, "f", sources).plan.log.filter == "debug");
    sources.log_filter = "trace";
    const auto loaded = load_plan_text(with_filter, "f", sources);
    CHECK(loaded.plan.log.filter == "trace");
    CHECK(origin_of(loaded, "log.filter") == "\"trace\" from --log");
    CHECK(load(kService).plan.log.filter == "info");
}

TEST_CASE("a mistake in RUST_LOG warns; in --log it is an error") {
    auto loaded = load(kService, {{"RUST_LOG", "debug,foo=nonsense"}});
    CHECK(loaded.ok());
    CHECK(loaded.problems.list().size() == 1);
    CHECK(loaded.filter.may_enable(runtime::LogLevel::debug));
    PlanSources sources;
    sources.offline = true;
    sources.log_filter = "foo=nonsense";
    CHECK_FALSE(load_plan_text(kService, "f", sources).ok());
}

TEST_CASE("print-config tells the origin of every key, and no secret") {
    const auto loaded =
        load("[launcher]\nstop_total = \"8s\"\n" + kService +
                 "env = { A = \"b\" }\nsecret_env = { TOKEN = { env = \"TOKEN\" }, GONE = { env = "
                 "\"GONE\" } }\n",
             {{"TOKEN", "hunter22hunter"}, {"LAUNCHER_SERVICE__KMS__STOP_TIMEOUT", "3s"}});
    INFO(loaded.problems.to_string());
    REQUIRE(loaded.ok());
    CHECK(origin_of(loaded, "launcher.stop_total") == "\"8s\" from launcher.toml:2");
    CHECK(origin_of(loaded, "service.kms.stop_timeout") ==
          "\"3s\" from LAUNCHER_SERVICE__KMS__STOP_TIMEOUT");
    CHECK(origin_of(loaded, "service.kms.stop_mode") == "\"leader\" from default");
    CHECK_THAT(origin_of(loaded, "service.kms.command"),
               Catch::StartsWith("[\"/bin/true\"] from launcher.toml:4"));
    CHECK_THAT(origin_of(loaded, "service.kms.secret_env.TOKEN"), Catch::StartsWith("[set]"));
    CHECK_THAT(origin_of(loaded, "service.kms.secret_env.GONE"), Catch::StartsWith("[unset]"));
    for (const auto& value : loaded.effective)
        CHECK_THAT(value.value, !Catch::Contains("hunter22"));
}

TEST_CASE("the digest follows the values, not the text") {
    const auto one = load(kService), two = load("# comment\n" + kService),
               other = load(kService + "nice = 1\n");
    CHECK(one.plan.digest.size() == 64);
    CHECK(one.plan.digest == two.plan.digest);
    CHECK(one.plan.digest != other.plan.digest);
}

TEST_CASE("what is printed reads back as the same configuration") {
    const auto first =
        load(kService + "nice = 3\nforward_signals = [\"SIGUSR2\"]\numask = \"0027\"\n");
    REQUIRE(first.ok());
    std::string text;
    for (const auto& value : first.effective)
        if (value.path.find('[') == std::string::npos)
            text += value.path + " = " + value.value + "\n";
    const auto second = load(text);
    INFO(text << second.problems.to_string());
    REQUIRE(second.ok());
    CHECK(second.plan.services[0].nice == 3);
    CHECK(second.plan.services[0].umask == 027);
    CHECK(second.plan.services[0].forward_signals == std::vector<int>{SIGUSR2});
}

TEST_CASE("a file that cannot be read is a problem with a way out") {
    PlanSources sources;
    sources.config_path = "/nonexistent/launcher.toml";
    const auto loaded = load_plan(sources);
    CHECK_FALSE(loaded.ok());
    CHECK_THAT(loaded.problems.to_string(),
               Catch::Contains("/nonexistent/launcher.toml") && Catch::Contains("--config"));
}

TEST_CASE("services start after what they depend on") {
    const auto order_of =
        [](const std::vector<std::pair<std::string, std::vector<std::string>>>& graph) {
            std::vector<ServicePlan> services;
            for (const auto& [name, needs] : graph) {
                services.emplace_back().name = name;
                for (const auto& need : needs)
                    services.back().depends_on.emplace_back(need, Dependency::started);
            }
            const auto result = start_order(services);
            std::string text;
            for (const auto index : result.order) text += services[index].name + " ";
            for (const auto& name : result.cycle) text += "!" + name;
            return text;
        };
    CHECK(order_of({{"a", {}}, {"b", {}}}) == "a b ");
    CHECK(order_of({{"kms", {"auth"}}, {"auth", {}}}) == "auth kms ");
    CHECK(order_of({{"c", {"a", "b"}}, {"b", {"a"}}, {"a", {}}}) == "a b c ");
    CHECK(order_of({{"a", {"nobody"}}}) == "a ");
    CHECK_THAT(order_of({{"a", {"b"}}, {"b", {"c"}}, {"c", {"b"}}}), Catch::EndsWith("!b!c!b"));
}

TEST_CASE("the machine is looked at, too") {
    Directory directory;
    const auto program = directory.write("program", "#!/bin/sh\n", std::filesystem::perms(0755));
    const auto plain = directory.write("plain", "text");
    const auto kms_toml = directory.write(
        "kms.toml",
        "[rpc]\nport = 9101\n[core.auth_api.webhook]\nurl = \"http://127.0.0.1:9201\"\n");

    SECTION("ports are compared with the KMS's own file") {
        const auto loaded =
            load("[service.auth-eth]\ncommand = [\"" + program +
                     "\"]\nenv = { PORT = \"9202\" }\n[service.auth-eth.probe.startup]\n"
                     "kind = \"http\"\nurl = \"http://127.0.0.1:9200/\"\ndeadline = "
                     "\"1s\"\n[service.kms]\ncommand = [\"" +
                     program + "\", \"--config\", \"" + kms_toml +
                     "\"]\ndepends_on = { auth-eth = \"started\" }\n[service.kms.probe.startup]\n"
                     "kind = \"http\"\nurl = \"http://127.0.0.1:9100/\"\ndeadline = \"1s\"\n",
                 {}, false);
        const auto report = loaded.problems.to_string();
        CHECK_FALSE(loaded.ok());
        CHECK_THAT(report, Catch::Contains("'kms' is probed on port 9100, but [rpc] port in " +
                                           kms_toml + " is 9101"));
        CHECK_THAT(
            report,
            Catch::Contains("'auth-eth' is probed on port 9200, but [core.auth_api.webhook] url"));
        CHECK_THAT(report,
                   Catch::Contains("told to listen on port 9202, but is probed on port 9200"));
    }
    SECTION("programs") {
        CHECK(find_command(program, "", "").error == 0);
        CHECK(find_command("program", directory.path(), "").path == program);
        CHECK(find_command("program", "/nonexistent:" + directory.path(), "").error == 0);
        CHECK(find_command("./program", "", directory.path()).error == 0);
        CHECK(find_command(plain, "", "").error == EACCES);
        CHECK(find_command("plain", "/nonexistent:" + directory.path(), "").error == EACCES);
        CHECK(find_command(directory.path(), "", "").error == EACCES);
        CHECK(find_command("nothing", directory.path(), "").error == ENOENT);
        const auto loaded =
            load("[service.a]\ncommand = [\"/nonexistent/a\"]\n[service.b]\ncommand = [\"" + plain +
                 "\"]\n");
        const auto faults = find_command_faults(loaded.plan, {});
        REQUIRE(faults.size() == 2);
        CHECK(faults[0].exit_code == 127);
        CHECK(faults[1].exit_code == 126);
        CHECK_THAT(faults[1].to_string(),
                   Catch::Contains(plain) && Catch::Contains("Permission denied"));
    }
    SECTION("credentials and secret files") {
        const auto text =
            "[service.kms]\ncommand = [\"" + program +
            "\"]\nsecret_env = { A = { credential = \"a\" }, B = { file = \"/nonexistent/b\" } }\n";
        const auto without = load(text, {}, false);
        CHECK_THAT(without.problems.to_string(),
                   Catch::Contains("CREDENTIALS_DIRECTORY is not set") &&
                       Catch::Contains("/nonexistent/b"));
        directory.write("a", "secret");
        const auto with = load(text, {{"CREDENTIALS_DIRECTORY", directory.path()}}, false);
        CHECK_THAT(with.problems.to_string(), !Catch::Contains("CREDENTIALS_DIRECTORY"));
    }
    SECTION("surroundings") {
        const auto loaded =
            load("[service.kms]\ncommand = [\"" + program + "\"]\ncwd = \"/nonexistent\"\n",
                 {{"WATCHDOG_USEC", "1000"}, {"KUBERNETES_SERVICE_HOST", "10.0.0.1"}}, false);
        const auto report = loaded.problems.to_string();
        CHECK_THAT(report, Catch::Contains("WATCHDOG_USEC") && Catch::Contains("Kubernetes") &&
                               Catch::Contains("cannot enter '/nonexistent'"));
    }
}

TEST_CASE("URLs and addresses are split") {
    const auto parts = split_url("HTTPS://user:pw@[::1]:9100/health?x#y");
    REQUIRE(parts);
    CHECK(parts->scheme == "https");
    CHECK(parts->host == "::1");
    CHECK(parts->port == 9100);
    CHECK(parts->path == "/health?x");
    CHECK(split_url("http://h")->port == 80);
    CHECK(split_url("http://h?q")->path == "/?q");
    for (const auto* bad : {"", "h:1", "ftp://h/", "http://", "http://:80/", "http://h:0/",
                            "http://h:x/", "http://[::1/"})
        CHECK_FALSE(split_url(bad));
    CHECK(split_address("127.0.0.1:0", true));
    CHECK_FALSE(split_address("127.0.0.1:0", false));
    CHECK_FALSE(split_address("127.0.0.1", true));
}

TEST_CASE("signals have names both ways") {
    CHECK(signal_number("SIGTERM") == SIGTERM);
    CHECK(signal_number("usr1") == SIGUSR1);
    CHECK(signal_number("15") == 15);
    CHECK(signal_number("SIGRTMIN+3") == SIGRTMIN + 3);
    for (const auto* bad : {"", "SIG", "0", "-1", "99", "SIGRTMIN+99", "SIGRTMIN-1", "SIGFOO"})
        CHECK_FALSE(signal_number(bad));
    CHECK(signal_name(SIGSEGV) == "SIGSEGV");
    CHECK(signal_name(SIGRTMIN + 3) == "SIGRTMIN+3");
    CHECK(signal_name(99) == "signal 99");
}

TEST_CASE("RUST_LOG is normalised, and a warning tells what the service would make of it") {
    struct Row {
        std::string text, normalised, warning;
    };
    const auto row = GENERATE(values<Row>({
        {"info", "info", ""},
        {" info , dstack_kms = debug,,", "info,dstack_kms=debug", ""},
        {"INFO", "INFO", ""},
        {"dstack_kms", "dstack_kms", ""},
        {"", "", "silences"},
        {" , ", "", "silences"},
        {"information", "information", "names a module"},
        {"6", "6", "names a module"},
        {"info/listen", "info/listen", "names a module"},
        {"off", "off", "lets nothing pass"},
        {"dstack_kms=nonsense", "dstack_kms=nonsense", "plain info"},
    }));
    INFO(row.text);
    const auto made = normalise_rust_log(row.text);
    CHECK(made.text == row.normalised);
    if (row.warning.empty())
        CHECK(made.warning.empty());
    else
        CHECK_THAT(made.warning, Catch::Contains(row.warning));
}

TEST_CASE("names of secrets are recognised") {
    for (const auto* name : {"API_KEY", "token", "ETH_RPC_URL", "db_password", "MNEMONIC",
                             "SENTRY_DSN", "PRIVATE_THING"})
        CHECK(is_secret_name(name));
    for (const auto* name : {"PORT", "HOST", "RUST_LOG", "KMS_DOMAIN", "URL_PREFIX"})
        CHECK_FALSE(is_secret_name(name));
}
