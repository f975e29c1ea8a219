#include "auth/webhook/settings.hpp"

#include <array>

namespace auth {
namespace {

using Action = CommandLine::Action;

struct ValueOption {
    std::string_view name;
    std::string_view table;  ///< empty: the root
    std::string_view key;
    std::string_view help;
};
constexpr std::array<ValueOption, 5> kValueOptions = {{
    {"--backend", "", "backend", "NAME       who decides: simple, eth or mock (AUTH_BACKEND)"},
    {"--policy", "simple", "policy_file",
     "FILE        policy file of the simple backend (AUTH_CONFIG_PATH)"},
    {"--host", "listen", "host", "ADDRESS       address to listen on (HOST; 127.0.0.1)"},
    {"--port", "listen", "port", "NUMBER        port to listen on, 0 for a free one (PORT; 8000)"},
    {"--log", "log", "filter", "FILTER         log filter (RUST_LOG; info)"},
}};

struct ActionOption {
    std::string_view name;
    Action action;
};
constexpr std::array<ActionOption, 6> kActionOptions = {{
    {"--check", Action::check},
    {"--print-config", Action::print_config},
    {"--help", Action::help},
    {"-h", Action::help},
    {"--version", Action::version},
    {"-V", Action::version},
}};

runtime::Error mistake(std::string text) {
    return {runtime::ErrorCode::invalid_argument, std::move(text) + "; see auth-eth --help"};
}

/// Walks the arguments; "--name=value" and "--name value" are the same.
class ArgumentReader {
  public:
    explicit ArgumentReader(const std::vector<std::string>& arguments) : arguments_(arguments) {}

    bool next() {
        if (place_ == arguments_.size()) return false;
        const auto& argument = arguments_[place_++];
        const auto equals = argument.starts_with("--") ? argument.find('=') : std::string::npos;
        name_ = argument.substr(0, equals);
        value_.reset();
        if (equals != std::string::npos) value_ = argument.substr(equals + 1);
        return true;
    }
    const std::string& name() const { return name_; }
    bool has_value() const { return value_.has_value(); }
    runtime::Result<std::string> value() {
        if (!value_ && place_ < arguments_.size()) value_ = arguments_[place_++];
        if (!value_ || value_->empty()) return mistake("option " + name_ + " needs a value");
        return *value_;
    }

  private:
    const std::vector<std::string>& arguments_;
    std::size_t place_ = 0;
    std::string name_;
    std::optional<std::string> value_;
};

const ValueOption* find_value_option(std::string_view name) {
    for (const auto& option : kValueOptions)
        if (option.name == name) return &option;
    return nullptr;
}

const ActionOption* find_action(std::string_view name) {
    for (const auto& option : kActionOptions)
        if (option.name == name) return &option;
    return nullptr;
}

std::vector<std::string> path_to(std::string_view table, std::string_view key) {
    if (table.empty()) return {std::string(key)};
    return {std::string(table), std::string(key)};
}

}  // namespace

runtime::Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments) {
    CommandLine line;
    ArgumentReader reader(arguments);
    for (bool first = true; reader.next(); first = false) {
        const auto& name = reader.name();
        if (name == "--config") {
            TRY(line.config_file, reader.value());
        } else if (name == "--env-file") {
            TRY(line.env_file, reader.value());
        } else if (const auto* option = find_value_option(name)) {
            TRY(auto value, reader.value());
            line.overrides.push_back(
                {path_to(option->table, option->key), std::move(value), std::string(option->name)});
        } else if (reader.has_value()) {
            return mistake("unknown option '" + name + "'");
        } else if (const auto* action = find_action(name)) {
            line.action = action->action;
        } else if (name == "--unsafe-mock") {
            line.overrides.push_back({{"mock", "unsafe"}, "true", name});
        } else if (name == "--kms" && line.action == Action::decide) {
            line.kind = BootKind::kms;
        } else if (first && name == "check") {
            line.action = Action::check_chain;
        } else if (first && name == "decide") {
            line.action = Action::decide;
        } else if (line.action == Action::decide && line.request_file.empty() &&
                   (name == "-" || !name.starts_with('-'))) {
            line.request_file = name;
        } else if (!(first && name == "run")) {
            return mistake((name.starts_with('-') ? "unknown option '" : "unknown argument '") +
                           name + "'");
        }
    }
    if (line.action == Action::decide && line.request_file.empty())
        return mistake("decide needs a file with a request, or - for standard input");
    return line;
}

std::string usage() {
    std::string text =
        "usage: auth-eth [run] [OPTION]...\n"
        "       auth-eth check [OPTION]...\n"
        "       auth-eth decide FILE [--kms] [OPTION]...\n"
        "Answers a dstack key management service's question whether a machine may have keys.\n\n"
        "  check                ask every endpoint of the chain once, and say what to mend\n"
        "  decide FILE          decide one request (JSON; - is standard input) and show what the\n"
        "                       decision rests on; --kms asks for a KMS instead of an "
        "application\n\n"
        "  --config FILE        settings in TOML; the command line beats the environment beats the "
        "file\n"
        "  --env-file FILE      variables that the environment lacks (.env of the working "
        "directory)\n";
    for (const auto& option : kValueOptions)
        text.append("  ").append(option.name).append(" ").append(option.help).append("\n");
    text +=
        "  --unsafe-mock        let the mock backend give keys to machines that nobody has "
        "checked\n"
        "                       (AUTH_UNSAFE_MOCK=true)\n"
        "  --check              check the settings and the policy file, then exit\n"
        "  --print-config       print the settings in effect, then exit\n"
        "  --help, --version\n\n"
        "Without a backend named, ETH_RPC_URL or KMS_CONTRACT_ADDR choose eth; otherwise it is "
        "simple.\n"
        "Exit status: 0 after SIGTERM or SIGINT, 1 cannot listen (decide: not allowed), 64 bad "
        "arguments,\n65 bad request file, 69 the chain cannot be asked, 78 bad settings.\n";
    return text;
}

}  // namespace auth
