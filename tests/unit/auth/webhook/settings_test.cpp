#include "auth/webhook/settings.hpp"

#include "auth/webhook/mock_backend.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/unit/auth/boot_bodies.hpp"

#include <cstdlib>
#include <fstream>

#include <catch2/catch.hpp>
#include <unistd.h>

using auth::BackendKind;
using auth::CommandLine;
using auth::Environment;
using auth::FullLengths;
using Words = std::vector<std::string>;

namespace {

struct Reading {
    auth::Settings settings;
    std::string problems;
    bool refused = false;
};

Reading read(const Environment& environment, const Words& arguments = {}) {
    const auto line = auth::parse_command_line(arguments);
    REQUIRE(line.has_value());
    runtime::ConfigProblems problems;
    Reading out;
    out.settings = auth::read_settings(*line, environment, problems);
    out.problems = problems.to_string();
    out.refused = problems.has_errors();
    return out;
}

class TemporaryFile {
  public:
    explicit TemporaryFile(std::string_view text) {
        const int descriptor = ::mkstemp(name_.data());
        REQUIRE(descriptor >= 0);
        REQUIRE(::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        ::close(descriptor);
    }
    ~TemporaryFile() { ::unlink(name_.c_str()); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    const std::string& name() const { return name_; }

  private:
    std::string name_ = "/tmp/auth-settings-XXXXXX";
};

}  // namespace

TEST_CASE("the command line") {
    struct Row {
        Words arguments;
        CommandLine::Action action;
        std::string overrides;
    };
    const auto row = GENERATE(values<Row>({
        {{}, CommandLine::Action::run, ""},
        {{"run"}, CommandLine::Action::run, ""},
        {{"--check"}, CommandLine::Action::check, ""},
        {{"run", "--print-config"}, CommandLine::Action::print_config, ""},
        {{"--help"}, CommandLine::Action::help, ""},
        {{"-V"}, CommandLine::Action::version, ""},
        {{"--port", "1", "--host=::1", "--policy", "p.json", "--backend=simple", "--log", "debug"},
         CommandLine::Action::run,
         "listen.port=1 listen.host=::1 simple.policy_file=p.json backend=simple "
         "log.filter=debug "},
        {{"--policy=a=b"}, CommandLine::Action::run, "simple.policy_file=a=b "},
        {{"--unsafe-mock"}, CommandLine::Action::run, "mock.unsafe=true "},
    }));
    const auto line = auth::parse_command_line(row.arguments);
    REQUIRE(line.has_value());
    CHECK(line->action == row.action);
    std::string overrides;
    for (const auto& override : line->overrides) {
        for (const auto& name : override.path)
            overrides.append(name).append(name == override.path.back() ? "=" : ".");
        overrides.append(override.value).append(" ");
    }
    CHECK(overrides == row.overrides);
}

TEST_CASE("bad arguments are refused with a sentence") {
    struct Row {
        Words arguments;
        std::string expected;
    };
    const auto row = GENERATE(values<Row>({
        {{"start"}, "unknown argument 'start'"},
        {{"--port", "1", "run"}, "unknown argument 'run'"},
        {{"run", "run"}, "unknown argument 'run'"},
        {{"--prot", "1"}, "unknown option '--prot'"},
        {{"--prot=1"}, "unknown option '--prot'"},
        {{"-x"}, "unknown option '-x'"},
        {{"--check=yes"}, "unknown option '--check'"},
        {{"--port"}, "option --port needs a value"},
        {{"--port="}, "option --port needs a value"},
        {{"--config", ""}, "option --config needs a value"},
        {{"--env-file"}, "option --env-file needs a value"},
    }));
    const auto line = auth::parse_command_line(row.arguments);
    REQUIRE_FALSE(line.has_value());
    CHECK(line.error().code == runtime::ErrorCode::invalid_argument);
    CHECK(line.error().context == row.expected + "; see auth-eth --help");
}

TEST_CASE("--help names every option and variable that matters") {
    const auto text = auth::usage();
    for (const char* word : {"--config", "--env-file", "--backend", "--policy", "--host", "--port",
                             "--log", "--unsafe-mock", "--check", "--print-config", "AUTH_BACKEND",
                             "AUTH_CONFIG_PATH", "HOST", "PORT", "RUST_LOG"}) {
        INFO(word);
        CHECK(text.find(word) != std::string::npos);
    }
}

TEST_CASE("defaults") {
    const auto out = read({});
    CHECK(out.problems.empty());
    CHECK(out.settings.listen_address() == "127.0.0.1:8000");
    CHECK(out.settings.backend == BackendKind::simple);
    CHECK(out.settings.policy_file == "./auth-config.json");
    CHECK(out.settings.full_lengths == FullLengths::from_kms);
    CHECK(out.settings.request_limit == std::chrono::seconds(5));
    CHECK(out.settings.log_filter == "info");
}

TEST_CASE("the environment, with empty values as unset") {
    const auto out = read({{"HOST", "0.0.0.0"},
                           {"PORT", " 9200 "},
                           {"AUTH_CONFIG_PATH", "/etc/p.json"},
                           {"AUTH_FULL_LENGTHS", "always"},
                           {"AUTH_REQUEST_LIMIT", "2s"},
                           {"RUST_LOG", "warn"},
                           {"ETH_RPC_URL", ""},
                           {"KMS_CONTRACT_ADDR", " "},
                           {"AUTH_BACKEND", ""}});
    CHECK(out.problems.empty());
    CHECK(out.settings.listen_address() == "0.0.0.0:9200");
    CHECK(out.settings.backend == BackendKind::simple);
    CHECK(out.settings.policy_file == "/etc/p.json");
    CHECK(out.settings.full_lengths == FullLengths::always);
    CHECK(out.settings.request_limit == std::chrono::seconds(2));
    CHECK(out.settings.log_filter == "warn");
}

TEST_CASE("the command line beats the environment, which beats the file") {
    const TemporaryFile file(
        "backend = \"simple\"\n[listen]\nhost = \"::1\"\nport = 1\n"
        "[simple]\npolicy_file = \"f.json\"\n[limits]\nconnections = 7\n");
    const auto out = read({{"PORT", "2"}, {"AUTH_CONFIG_PATH", "e.json"}},
                          {"--config", file.name(), "--port", "3"});
    CHECK(out.problems.empty());
    CHECK(out.settings.listen_address() == "[::1]:3");
    CHECK(out.settings.policy_file == "e.json");
    CHECK(out.settings.connections == 7);
}

TEST_CASE("localhost is understood") {
    CHECK(read({{"HOST", "localhost"}}).settings.host == "127.0.0.1");
}

TEST_CASE("bad values are refused, each with a sentence that names its source") {
    struct Row {
        Environment environment;
        Words words;
    };
    const auto row = GENERATE(values<Row>({
        {{{"PORT", "abc"}}, {"PORT", "abc", "integer"}},
        {{{"PORT", "18700x"}}, {"PORT", "18700x"}},
        {{{"PORT", "70000"}}, {"PORT", "70000", "65535"}},
        {{{"PORT", "-1"}}, {"PORT", "-1"}},
        {{{"PORT", "80.5"}}, {"PORT", "80.5"}},
        {{{"AUTH_BACKEND", "sipmle"}}, {"AUTH_BACKEND", "sipmle", "simple"}},
        {{{"AUTH_FULL_LENGTHS", "yes"}}, {"AUTH_FULL_LENGTHS", "yes", "from-kms"}},
        {{{"AUTH_REQUEST_LIMIT", "5"}}, {"AUTH_REQUEST_LIMIT", "5"}},
        {{{"AUTH_REQUEST_LIMIT", "10m"}}, {"AUTH_REQUEST_LIMIT", "between 100ms and 50s"}},
        {{{"AUTH_UNSAFE_MOCK", "maybe"}}, {"AUTH_UNSAFE_MOCK", "maybe"}},
        {{{"MOCK_CHAIN_ID", "x"}}, {"MOCK_CHAIN_ID", "x"}},
        {{{"MOCK_POLICY", "deny"}}, {"MOCK_POLICY", "deny"}},
        {{{"AUTH_BACKEND", "mock"}}, {"AUTH_BACKEND", "allow-all", "--unsafe-mock"}},
        {{{"AUTH_BACKEND", "mock"}, {"MOCK_POLICY", "deny-kms"}}, {"deny-kms", "--unsafe-mock"}},
        {{{"AUTH_BACKEND", "mock"}, {"MOCK_POLICY", "deny-all"}, {"NODE_ENV", "production"}},
         {"NODE_ENV"}},
    }));
    const auto out = read(row.environment);
    CHECK(out.refused);
    for (const auto& word : row.words) CHECK_THAT(out.problems, Catch::Contains(word));
}

TEST_CASE("a settings file with mistakes: all of them, with their places") {
    const TemporaryFile file(
        "[listen]\nport = \"80\"\nhots = \"x\"\n[limit]\nrequest = \"5s\"\n[limits]\ndrain = 5\n");
    const auto out = read({}, {"--config", file.name()});
    CHECK(out.refused);
    for (const std::string place : {":2:", ":3:", ":4:", ":7:"})
        CHECK_THAT(out.problems, Catch::Contains(file.name() + place));
    CHECK_THAT(read({}, {"--config", "/nonexistent/auth.toml"}).problems,
               Catch::Contains("/nonexistent/auth.toml"));
}

TEST_CASE("a misspelt variable of ours is a warning, those of others are none of our business") {
    const auto out =
        read({{"AUTH_CONFIG_PAHT", "x"}, {"AUTH_TOKEN_OF_SOMEBODY", "y"}, {"MOCK_POLCY", "z"}});
    CHECK_FALSE(out.refused);
    CHECK_THAT(out.problems, Catch::Contains("AUTH_CONFIG_PAHT: warning") &&
                                 Catch::Contains("AUTH_CONFIG_PATH?") &&
                                 Catch::Contains("MOCK_POLICY?") && !Catch::Contains("SOMEBODY"));
}

TEST_CASE("the mock backend, as dstack's") {
    const auto out = read({{"AUTH_BACKEND", "mock"}, {"AUTH_UNSAFE_MOCK", "true"}});
    CHECK(out.problems.empty());
    CHECK(out.settings.backend == BackendKind::mock);
    test::ManualClock clock;
    boost::asio::io_context io;
    auth::MockBackend backend(out.settings.mock);
    const runtime::Deadline deadline(clock.now());
    const auto info = test::run(io, backend.info(deadline));
    REQUIRE(info.has_value());
    CHECK(
        to_json(*info) ==
        R"({"status":"ok","kmsContractAddr":"0xmockcontract1234567890123456789012345678","ethRpcUrl":"",)"
        R"("gatewayAppId":"0xmockgateway1234567890123456789012345678","chainId":1337,)"
        R"("appAuthImplementation":"0xmockapp9876543210987654321098765432109",)"
        R"("appImplementation":"0xmockapp9876543210987654321098765432109",)"
        R"("note":"this is a mock backend - all authentications will succeed"})");
    CHECK(test::run(io, backend.decide(auth::BootKind::kms, test::boot_request(), deadline)) ==
          auth::Decision{true, "mock KMS always allowed",
                         "0xmockgateway1234567890123456789012345678"});
    CHECK_FALSE(backend.request_rules().check_hex);
}

TEST_CASE("the mock backend's settings") {
    const auto out = read({{"AUTH_BACKEND", "mock"},
                           {"MOCK_POLICY", "allowlist-mr"},
                           {"MOCK_ALLOWED_MR_AGGREGATED", "AA, bb"},
                           {"MOCK_ALLOWED_DEVICE_IDS", "cc"},
                           {"MOCK_GATEWAY_APP_ID", "gw"},
                           {"MOCK_CHAIN_ID", "5"},
                           {"MOCK_APP_IMPLEMENTATION", "impl"},
                           {"KMS_CONTRACT_ADDR", "kms"},
                           {"ETH_RPC_URL", "https://user:secret@eth.example/key"}});
    CHECK(out.problems.empty());
    const auto& mock = out.settings.mock;
    CHECK(mock.rule == auth::MockRule::allowlist_mr);
    CHECK(mock.allowed == Words{"aa", "bb"});
    CHECK(mock.info.gateway_app_id == "gw");
    CHECK(mock.info.chain_id == 5);
    CHECK(mock.info.app_implementation == "impl");
    CHECK(mock.info.kms_contract_addr == "kms");
    CHECK(mock.info.eth_rpc_url == "https://eth.example");
    CHECK(read({{"AUTH_BACKEND", "mock"},
                {"MOCK_POLICY", "allowlist-device"},
                {"MOCK_ALLOWED_DEVICE_IDS", "CC"}})
              .settings.mock.allowed == Words{"cc"});
}

TEST_CASE("a chain in the environment is never passed over in silence") {
    const Environment environment = GENERATE(
        values<Environment>({{{"ETH_RPC_URL", "http://127.0.0.1:8545"}},
                             {{"KMS_CONTRACT_ADDR", "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0"}},
                             {{"AUTH_BACKEND", "eth"}}}));
    const auto out = read(environment);
    CHECK(out.settings.backend == BackendKind::eth);
    auto with_name = environment;
    with_name["AUTH_BACKEND"] = "simple";
    CHECK(read(with_name).settings.backend == BackendKind::simple);
    CHECK_FALSE(read(with_name).refused);
}

TEST_CASE("a chain and a policy file together must be decided by name") {
    const Environment both = {{"ETH_RPC_URL", "http://127.0.0.1:8545"},
                              {"AUTH_CONFIG_PATH", "p.json"}};
    const auto out = read(both);
    CHECK(out.refused);
    CHECK_THAT(out.problems, Catch::Contains("AUTH_BACKEND=simple"));
    auto named = both;
    named["AUTH_BACKEND"] = "simple";
    CHECK_FALSE(read(named).refused);
}

TEST_CASE("printed settings can be read back") {
    const auto out = read(
        {{"PORT", "9200"}, {"AUTH_CONFIG_PATH", "a \"b\".json"}, {"AUTH_FULL_LENGTHS", "never"}});
    const TemporaryFile file(auth::to_toml(out.settings));
    const auto again = read({}, {"--config", file.name()});
    CHECK(again.problems.empty());
    CHECK(auth::to_toml(again.settings) == auth::to_toml(out.settings));
    CHECK(again.settings.policy_file == "a \"b\".json");
}
