#include "auth/webhook/chain_settings.hpp"

#include "auth/webhook/settings.hpp"

#include <cstdlib>

#include <catch2/catch.hpp>
#include <unistd.h>

using auth::BackendKind;
using auth::Environment;
using Words = std::vector<std::string>;
using namespace std::chrono_literals;

namespace {

const std::string kUrl = "https://user:topsecret@eth.example/v2/0123456789hiddenkey?token=abcdefgh";
const std::string kContract = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0";

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

Environment good_with(const Environment& changes) {
    Environment environment = {{"ETH_RPC_URL", "http://127.0.0.1:8545"},
                               {"KMS_CONTRACT_ADDR", kContract}};
    for (const auto& [name, value] : changes) environment[name] = value;
    return environment;
}

/// The name of a file with this text, removed at the end of the test.
struct TemporaryFile {
    explicit TemporaryFile(std::string_view text) {
        const int descriptor = ::mkstemp(name.data());
        REQUIRE(descriptor >= 0);
        REQUIRE(::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
        ::close(descriptor);
    }
    ~TemporaryFile() { ::unlink(name.c_str()); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    std::string name = "/tmp/auth-chain-settings-XXXXXX";
};

}  // namespace

TEST_CASE("an environment file of dstack's auth-eth") {
    const auto out = read({{"HOST", "0.0.0.0"},
                           {"PORT", "8000"},
                           {"ETH_RPC_URL", kUrl},
                           {"KMS_CONTRACT_ADDR", kContract}});
    CHECK(out.problems.empty());
    CHECK(out.settings.backend == BackendKind::eth);
    const auto& chain = out.settings.chain;
    CHECK(chain.contract == kContract);
    CHECK(chain.options.contract == kContract);
    CHECK(chain.options.endpoints == Words{kUrl});
    CHECK_FALSE(chain.options.chain_id.has_value());
    CHECK(chain.options.block.tag == "latest");
    CHECK(chain.options.block.confirmations == 0);
    CHECK(chain.options.use_batches);
    CHECK(chain.options.connect_limit == 2s);
    CHECK(chain.options.exchange_limit == 3s);
}

TEST_CASE("everything that can be set") {
    const auto out = read(good_with({{"ETH_CHAIN_ID", "31337"},
                                     {"ETH_FINALITY_CONFIRMATIONS", "2"},
                                     {"AUTH_ETH_BATCHES", "false"},
                                     {"AUTH_ETH_CONNECT_LIMIT", "1s"},
                                     {"AUTH_ETH_EXCHANGE_LIMIT", "1500ms"}}));
    CHECK(out.problems.empty());
    const auto& options = out.settings.chain.options;
    CHECK(options.chain_id == 31337);
    CHECK(options.block.confirmations == 2);
    CHECK_FALSE(options.use_batches);
    CHECK(options.connect_limit == 1s);
    CHECK(options.exchange_limit == 1500ms);
    CHECK(read(good_with({{"AUTH_ETH_BLOCK", "finalized"}})).settings.chain.options.block.tag ==
          "finalized");
    const TemporaryFile file(
        "[eth]\nsecret_rpc_url = \"http://a http://b\"\nkms_contract_addr = \"" +
        kContract.substr(2) +
        "\"\nchain_id = 1\nconfirmations = 3\nmax_answer = \"64KiB\"\nmax_reads = 7\n"
        "batches = true\nconnect_limit = \"1s\"\nexchange_limit = \"2s\"\nblock = \"latest\"\n");
    const auto from_file = read({}, {"--config", file.name});
    CHECK(from_file.problems.empty());
    const auto& chain = from_file.settings.chain;
    CHECK(chain.options.endpoints == Words{"http://a", "http://b"});
    CHECK(chain.contract == kContract.substr(2));  // shown as it was configured
    CHECK(chain.options.contract == kContract);    // asked with 0x
    CHECK(chain.options.max_answer_bytes == 65536);
    CHECK(chain.options.max_reads == 7);
}

TEST_CASE("several endpoints, between blanks and commas") {
    using List = Words;
    CHECK(auth::split_urls("http://a") == List{"http://a"});
    CHECK(auth::split_urls(" http://a, http://b\thttp://c ,, ") ==
          List{"http://a", "http://b", "http://c"});
    CHECK(auth::split_urls(" , ").empty());
    const auto out = read(good_with({{"ETH_RPC_URL", "http://a http://b"}}));
    CHECK_FALSE(out.refused);
    CHECK_THAT(out.problems, Catch::Contains("warning") && Catch::Contains("ETH_CHAIN_ID"));
    CHECK(read(good_with({{"ETH_RPC_URL", "http://a http://b"}, {"ETH_CHAIN_ID", "1"}}))
              .problems.empty());
}

TEST_CASE("what cannot work is refused or warned of, one sentence each, without secrets") {
    struct Row {
        std::string name;
        Environment changes;
        bool refused;
        Words words;
    };
    const auto row = GENERATE(values<Row>({
        {"short", {{"KMS_CONTRACT_ADDR", "0x1234"}}, true, {"40 hexadecimal digits"}},
        {"wrong checksum",
         {{"KMS_CONTRACT_ADDR", "0x9FE46736679d2D9a65F0992F2272dE9f3c7fa6e0"}},
         true,
         {"EIP-55"}},
        {"a name", {{"KMS_CONTRACT_ADDR", "kms.eth"}}, true, {"KMS_CONTRACT_ADDR"}},
        {"no contract", {{"KMS_CONTRACT_ADDR", ""}}, false, {"warning", "nothing will be allowed"}},
        {"no endpoint", {{"ETH_RPC_URL", ""}}, false, {"warning", "http://localhost:8545"}},
        {"no URL",
         {{"ETH_RPC_URL", "0123456789hiddenkey"}},
         false,
         {"warning", "URL 1 is no http"}},
        {"a web socket", {{"ETH_RPC_URL", "wss://eth.example/hiddenkey"}}, false, {"URL 1 is no"}},
        {"only commas", {{"ETH_RPC_URL", ",,"}}, true, {"one to eight", "not 0"}},
        {"nine",
         {{"ETH_RPC_URL",
           "http://1 http://2 http://3 http://4 http://5 http://6 http://7 "
           "http://8 http://9"}},
         true,
         {"not 9"}},
        {"chain id", {{"ETH_CHAIN_ID", "mainnet"}}, true, {"ETH_CHAIN_ID", "integer"}},
        {"negative chain id", {{"ETH_CHAIN_ID", "-1"}}, true, {"ETH_CHAIN_ID"}},
        {"chain id with zeros", {{"ETH_CHAIN_ID", "010"}}, true, {"ETH_CHAIN_ID", "leading zeros"}},
        {"minus nothing", {{"ETH_CHAIN_ID", "-0"}}, true, {"ETH_CHAIN_ID"}},
        {"hex chain id", {{"ETH_CHAIN_ID", "0x1"}}, true, {"ETH_CHAIN_ID"}},
        {"confirmations",
         {{"ETH_FINALITY_CONFIRMATIONS", "1.5"}},
         true,
         {"ETH_FINALITY_CONFIRMATIONS"}},
        {"confirmations with zeros",
         {{"ETH_FINALITY_CONFIRMATIONS", "02"}},
         true,
         {"leading zeros"}},
        {"two ways at once",
         {{"ETH_FINALITY_CONFIRMATIONS", "2"}, {"AUTH_ETH_BLOCK", "safe"}},
         true,
         {"choose one"}},
        {"block", {{"AUTH_ETH_BLOCK", "pending"}}, true, {"AUTH_ETH_BLOCK", "pending"}},
        {"limit", {{"AUTH_ETH_EXCHANGE_LIMIT", "0s"}}, true, {"between 10ms and 50s"}},
        {"limit without a unit",
         {{"AUTH_ETH_CONNECT_LIMIT", "2"}},
         true,
         {"AUTH_ETH_CONNECT_LIMIT"}},
        {"CA file", {{"AUTH_ETH_CA_FILE", "/nonexistent/ca.pem"}}, true, {"/nonexistent/ca.pem"}},
        {"misspelt", {{"AUTH_ETH_BLOK", "safe"}}, false, {"warning", "AUTH_ETH_BLOCK?"}},
    }));
    INFO(row.name);
    const auto out = read(good_with(row.changes));
    INFO(out.problems);
    CHECK(out.refused == row.refused);
    CHECK_FALSE(out.problems.empty());
    for (const auto& word : row.words) CHECK_THAT(out.problems, Catch::Contains(word));
    CHECK(out.problems.find("hiddenkey") == std::string::npos);
}

TEST_CASE("a file of certificates must be there; what is in it shows when it is used") {
    const TemporaryFile file("no certificate\n");
    CHECK(read(good_with({{"AUTH_ETH_CA_FILE", file.name}})).problems.empty());
}

TEST_CASE("a settings file with a secret in a wrong URL does not show it") {
    const TemporaryFile file(
        "[eth]\nsecret_rpc_url = \"wss://eth.example/0123456789hiddenkey\"\n"
        "kms_contract_addr = \"" +
        kContract + "\"\n");
    const auto out = read({}, {"--config", file.name});
    CHECK_THAT(out.problems, Catch::Contains(file.name + ":2:") && Catch::Contains("URL 1 is no"));
    CHECK(out.problems.find("hiddenkey") == std::string::npos);
    const TemporaryFile list(
        "[eth]\nsecret_rpc_url = [\"https://eth.example/0123456789hiddenkey\"]\n");
    const auto wrong_kind = read({}, {"--config", list.name});
    CHECK_THAT(wrong_kind.problems, Catch::Contains(list.name + ":2:"));
    CHECK(wrong_kind.problems.find("hiddenkey") == std::string::npos);
}

TEST_CASE("printed settings hide what is secret in URLs") {
    const auto out = read(
        good_with({{"ETH_RPC_URL", kUrl + ",http://127.0.0.1:8545"}, {"ETH_CHAIN_ID", "31337"}}));
    const auto text = auth::to_toml(out.settings);
    CHECK_THAT(
        text, Catch::Contains("secret_rpc_url = \"https://eth.example http://127.0.0.1:8545\"\n") &&
                  Catch::Contains("chain_id = 31337\n") && Catch::Contains("left out"));
    for (const char* secret : {"topsecret", "hiddenkey", "abcdefgh"})
        CHECK(text.find(secret) == std::string::npos);
    const TemporaryFile file(text);
    const auto again = read({}, {"--config", file.name});
    CHECK(again.problems.empty());
    CHECK(again.settings.chain.options.chain_id == 31337);
}

TEST_CASE("a chain's mistakes do not matter to the other backends") {
    CHECK_FALSE(read({{"AUTH_BACKEND", "simple"}, {"KMS_CONTRACT_ADDR", "0xKms"}}).refused);
}

TEST_CASE("the commands that ask a chain") {
    using Action = auth::CommandLine::Action;
    struct Row {
        Words arguments;
        Action action;
        std::string file;
        auth::BootKind kind;
    };
    const auto row = GENERATE(values<Row>({
        {{"check"}, Action::check_chain, "", auth::BootKind::app},
        {{"decide", "r.json"}, Action::decide, "r.json", auth::BootKind::app},
        {{"decide", "-"}, Action::decide, "-", auth::BootKind::app},
        {{"decide", "--kms", "r.json"}, Action::decide, "r.json", auth::BootKind::kms},
        {{"decide", "r.json", "--kms", "--log", "debug"},
         Action::decide,
         "r.json",
         auth::BootKind::kms},
    }));
    const auto line = auth::parse_command_line(row.arguments);
    REQUIRE(line.has_value());
    CHECK(line->action == row.action);
    CHECK(line->request_file == row.file);
    CHECK(line->kind == row.kind);
    for (const auto& bad : std::vector<Words>{{"decide"},
                                              {"decide", "a", "b"},
                                              {"check", "x"},
                                              {"--kms"},
                                              {"run", "--kms"},
                                              {"decide", "--kms"}}) {
        const auto refused = auth::parse_command_line(bad);
        REQUIRE_FALSE(refused.has_value());
        CHECK_THAT(refused.error().context, Catch::Contains("see auth-eth --help"));
    }
}
