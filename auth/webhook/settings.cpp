#include "auth/webhook/settings.hpp"

#include "auth/policy/json_text.hpp"
#include "auth/policy/public_url.hpp"

#include <array>
#include <limits>
#include <optional>

namespace auth {
namespace {

using runtime::ConfigDocument;
using runtime::ConfigProblems;
using runtime::ConfigTable;

constexpr std::size_t kMaxSettingsBytes = 1024 * 1024;

struct Variable {
    std::string_view name;
    std::string_view table;  ///< empty: the root
    std::string_view key;
};
constexpr std::array<Variable, 23> kVariables = {{
    {"HOST", "listen", "host"},
    {"PORT", "listen", "port"},
    {"AUTH_BACKEND", "", "backend"},
    {"AUTH_FULL_LENGTHS", "", "full_lengths"},
    {"AUTH_CONFIG_PATH", "simple", "policy_file"},
    {"AUTH_REQUEST_LIMIT", "limits", "request"},
    {"AUTH_UNSAFE_MOCK", "mock", "unsafe"},
    {"MOCK_POLICY", "mock", "policy"},
    {"MOCK_ALLOWED_DEVICE_IDS", "mock", "allowed_device_ids"},
    {"MOCK_ALLOWED_MR_AGGREGATED", "mock", "allowed_mr_aggregated"},
    {"MOCK_GATEWAY_APP_ID", "mock", "gateway_app_id"},
    {"MOCK_CHAIN_ID", "mock", "chain_id"},
    {"MOCK_APP_IMPLEMENTATION", "mock", "app_implementation"},
    {"ETH_RPC_URL", "eth", "secret_rpc_url"},
    {"KMS_CONTRACT_ADDR", "eth", "kms_contract_addr"},
    {"ETH_CHAIN_ID", "eth", "chain_id"},
    {"ETH_FINALITY_CONFIRMATIONS", "eth", "confirmations"},
    {"AUTH_ETH_BLOCK", "eth", "block"},
    {"AUTH_ETH_BATCHES", "eth", "batches"},
    {"AUTH_ETH_CONNECT_LIMIT", "eth", "connect_limit"},
    {"AUTH_ETH_EXCHANGE_LIMIT", "eth", "exchange_limit"},
    {"AUTH_ETH_CA_FILE", "eth", "ca_file"},
    {"RUST_LOG", "log", "filter"},
}};

std::string trimmed(std::string_view text) {
    constexpr std::string_view kBlanks = " \t\r\n";
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    return std::string(text.substr(0, text.find_last_not_of(kBlanks) + 1));
}

std::string_view variable(const Environment& environment, std::string_view name) {
    const auto place = environment.find(name);
    return place == environment.end() ? std::string_view() : std::string_view(place->second);
}

/// Names of ours that mean nothing: most likely misspelt.
void warn_of_unknown_variables(const Environment& environment, ConfigProblems& problems) {
    std::vector<std::string> known;
    for (const auto& variable : kVariables) known.emplace_back(variable.name);
    for (const auto& [name, value] : environment) {
        const bool ours = name.starts_with("AUTH_") || name.starts_with("MOCK_");
        const bool is_known = std::find(known.begin(), known.end(), name) != known.end();
        const auto nearest = runtime::nearest_word(name, known);
        if (!ours || is_known || !nearest) continue;
        runtime::ConfigProblem problem;
        problem.file = name;
        problem.text = "this variable means nothing to auth-eth";
        problem.hint = "did you mean " + *nearest + "?";
        problem.warning = true;
        problems.add(std::move(problem));
    }
}

void add_problem(ConfigProblems& problems, const std::string& where, std::string text) {
    runtime::ConfigProblem problem;
    problem.file = where;
    problem.text = std::move(text);
    problems.add(std::move(problem));
}

/// File, environment and command line in one document; later ones win.
ConfigDocument merged(const CommandLine& line, const Environment& environment,
                      ConfigProblems& problems) {
    ConfigDocument document;
    if (!line.config_file.empty()) {
        const auto text = runtime::read_file(line.config_file, kMaxSettingsBytes);
        if (text)
            document.merge_toml(*text, line.config_file, problems);
        else
            add_problem(problems, "--config", text.error().context);
    }
    for (const auto& [name, table, key] : kVariables) {
        auto value = trimmed(variable(environment, name));
        if (value.empty()) continue;  // an empty value counts as unset
        std::vector<std::string> path;
        if (!table.empty()) path.emplace_back(table);
        path.emplace_back(key);
        document.set(path, value, std::string(name));
    }
    for (const auto& override : line.overrides)
        document.set(override.path, override.value, override.option);
    return document;
}

template <class T, class U>
void take(T& out, std::optional<U> value) {
    if (value) out = static_cast<T>(std::move(*value));
}

void read_listen(ConfigTable& root, Settings& settings) {
    auto listen = root.table("listen");
    if (!listen) return;
    take(settings.host, listen->text("host"));
    if (settings.host == "localhost") settings.host = "127.0.0.1";
    take(settings.port, listen->integer("port", 0, std::numeric_limits<std::uint16_t>::max()));
    listen->finish();
}

void read_limits(ConfigTable& root, Settings& settings) {
    using std::chrono::milliseconds;
    auto limits = root.table("limits");
    if (!limits) return;
    take(settings.request_limit, limits->duration("request"));
    if (settings.request_limit < milliseconds(100) || settings.request_limit > milliseconds(50'000))
        limits->problem(
            "request",
            "the limit of a request must lie between 100ms and 50s: guests give up after 60 s");
    take(settings.drain_limit, limits->duration("drain"));
    if (settings.drain_limit > milliseconds(60'000))
        limits->problem("drain", "the drain limit must be at most 60s");
    take(settings.connections, limits->integer("connections", 1, 100'000));
    limits->finish();
}

void read_backend(ConfigTable& root, bool policy_file_given, Settings& settings) {
    const bool chain_given = settings.chain.rpc_url_given || settings.chain.contract_given;
    if (const auto name = root.word("backend", {"simple", "eth", "mock"})) {
        settings.backend = *name == "eth"    ? BackendKind::eth
                           : *name == "mock" ? BackendKind::mock
                                             : BackendKind::simple;
        return;
    }
    if (chain_given && policy_file_given)
        root.problem(
            "backend",
            "both a policy file and a chain are configured, and they may decide differently",
            "say which one decides: AUTH_BACKEND=simple or AUTH_BACKEND=eth");
    settings.backend = chain_given ? BackendKind::eth : BackendKind::simple;
}

/// Numbers of the environment that dstack takes only in their shortest form. "010" could be meant
/// as eight or ten.
void refuse_odd_numbers(const Environment& environment, ConfigProblems& problems) {
    for (const std::string name : {"ETH_CHAIN_ID", "ETH_FINALITY_CONFIRMATIONS"}) {
        const auto value = trimmed(variable(environment, name));
        if (value.size() > 1 && (value.front() == '0' || value.front() == '-'))
            add_problem(problems, name, "a non-negative integer without leading zeros is expected");
    }
}

void read_mock(ConfigTable& root, const Environment& environment, Settings& settings) {
    const auto& chain = settings.chain;
    auto& mock = settings.mock;
    mock.rule = MockRule::allow_all;
    mock.info = {.kms_contract_addr = chain.contract_given
                                          ? chain.contract
                                          : "0xmockcontract1234567890123456789012345678",
                 .eth_rpc_url = chain.rpc_url_given ? public_url(chain.rpc_url) : "",
                 .gateway_app_id = "0xmockgateway1234567890123456789012345678",
                 .chain_id = 1337,
                 .app_implementation = "0xmockapp9876543210987654321098765432109",
                 .note = std::string(kMockNote)};
    bool unsafe = false;
    if (auto table = root.table("mock")) {
        take(unsafe, table->boolean("unsafe"));
        const auto rule = table->word("policy", {"allow-all", "deny-all", "deny-kms", "deny-app",
                                                 "allowlist-device", "allowlist-mr"});
        if (rule) mock.rule = *mock_rule_from(*rule);
        const auto devices = table->text("allowed_device_ids");
        const auto measurements = table->text("allowed_mr_aggregated");
        const auto& allowed = mock.rule == MockRule::allowlist_mr ? measurements : devices;
        if (allowed) mock.allowed = mock_list_from(*allowed);
        take(mock.info.gateway_app_id, table->text("gateway_app_id"));
        take(mock.info.chain_id,
             table->integer("chain_id", 0, std::numeric_limits<std::int64_t>::max()));
        take(mock.info.app_implementation, table->text("app_implementation"));
        table->finish();
    }
    if (settings.backend != BackendKind::mock) return;
    if (variable(environment, "NODE_ENV") == "production")
        root.problem("backend", "the mock backend does not start where NODE_ENV is production");
    if (allows_strangers(mock.rule) && !unsafe)
        root.problem("backend",
                     "the mock policy " + std::string(to_string(mock.rule)) +
                         " gives keys to machines that nobody has checked",
                     "accept that with --unsafe-mock (AUTH_UNSAFE_MOCK=true), or set MOCK_POLICY");
}

void read_full_lengths(ConfigTable& root, Settings& settings) {
    const auto word = root.word("full_lengths", {"from-kms", "always", "never"});
    if (!word) return;
    settings.full_lengths = *word == "always"  ? FullLengths::always
                            : *word == "never" ? FullLengths::never
                                               : FullLengths::from_kms;
}

std::string_view to_string(FullLengths full_lengths) {
    switch (full_lengths) {
        case FullLengths::from_kms:
            return "from-kms";
        case FullLengths::always:
            return "always";
        case FullLengths::never:
            return "never";
    }
    return "unknown";
}

std::string milliseconds(std::chrono::milliseconds span) {
    return "\"" + std::to_string(span.count()) + "ms\"";
}

}  // namespace

std::string_view to_string(BackendKind kind) {
    switch (kind) {
        case BackendKind::simple:
            return "simple";
        case BackendKind::eth:
            return "eth";
        case BackendKind::mock:
            return "mock";
    }
    return "unknown";
}

std::string Settings::listen_address() const {
    const bool v6 = host.find(':') != std::string::npos && !host.starts_with('[');
    return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Settings read_settings(const CommandLine& command_line, const Environment& environment,
                       ConfigProblems& problems) {
    Settings settings;
    warn_of_unknown_variables(environment, problems);
    auto document = merged(command_line, environment, problems);
    auto root = document.root(problems);

    read_listen(root, settings);
    read_limits(root, settings);
    bool policy_file_given = false;
    if (auto simple = root.table("simple")) {
        const auto file = simple->text("policy_file");
        policy_file_given = file.has_value();
        take(settings.policy_file, file);
        simple->finish();
    }
    settings.chain = read_chain_settings(root);
    refuse_odd_numbers(environment, problems);
    read_backend(root, policy_file_given, settings);
    if (settings.backend == BackendKind::eth) check_chain_settings(root, settings.chain);
    read_mock(root, environment, settings);
    read_full_lengths(root, settings);
    if (auto log = root.table("log")) {
        take(settings.log_filter, log->text("filter"));
        log->finish();
    }
    root.finish();
    return settings;
}

std::string to_toml(const Settings& settings) {
    // JSON's escapes are a subset of those of TOML's basic strings.
    std::string out;
    out += "backend = " + json_text(to_string(settings.backend)) + "\n";
    out += "full_lengths = " + json_text(to_string(settings.full_lengths)) + "\n";
    out += "\n[listen]\nhost = " + json_text(settings.host) +
           "\nport = " + std::to_string(settings.port) + "\n";
    out += "\n[simple]\npolicy_file = " + json_text(settings.policy_file) + "\n";
    out += "\n[limits]\nrequest = " + milliseconds(settings.request_limit) +
           "\ndrain = " + milliseconds(settings.drain_limit) +
           "\nconnections = " + std::to_string(settings.connections) + "\n";
    out += "\n[log]\nfilter = " + json_text(settings.log_filter) + "\n";
    if (settings.backend == BackendKind::eth) out += to_toml(settings.chain);
    if (settings.backend == BackendKind::mock) {
        const auto& info = settings.mock.info;
        out += "\n[mock]\npolicy = " + json_text(to_string(settings.mock.rule)) +
               "\ngateway_app_id = " + json_text(info.gateway_app_id) +
               "\nchain_id = " + std::to_string(info.chain_id) +
               "\napp_implementation = " + json_text(info.app_implementation) + "\n";
    }
    return out;
}

}  // namespace auth
