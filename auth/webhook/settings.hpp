/// Settings of auth-eth: command line over environment over file over defaults, every mistake in
/// one report.
///
/// The environment's names are those of dstack's auth-eth, auth-simple and auth-mock, so that an
/// existing environment file keeps its meaning. Source: spec "auth-api" sections 1.5, 3.1 and 3.3.
#pragma once

#include "auth/policy/mock_policy.hpp"
#include "auth/webhook/chain_settings.hpp"
#include "auth/webhook/handlers.hpp"
#include "launcher/runtime/config.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace auth {

using Environment = std::map<std::string, std::string, std::less<>>;

enum class BackendKind { simple, eth, mock };
std::string_view to_string(BackendKind kind);

struct Settings {
    std::string host = "127.0.0.1";  ///< numeric address, or "localhost"
    std::uint16_t port = 8000;       ///< 0 takes a free one
    BackendKind backend = BackendKind::simple;
    FullLengths full_lengths = FullLengths::from_kms;
    std::string policy_file = "./auth-config.json";  ///< of the simple backend
    ChainSettings chain;                             ///< of the eth backend
    MockPolicy mock;
    std::chrono::milliseconds request_limit{5'000};  ///< from a request's last byte to its answer
    std::chrono::milliseconds drain_limit{
        1'500};                      ///< for open requests, after a stop was asked for
    std::size_t connections = 1024;  ///< open at a time
    std::string log_filter = "info";

    /// "127.0.0.1:8000", "[::1]:8000".
    std::string listen_address() const;
};

/// What the command line said.
struct CommandLine {
    enum class Action {
        run,
        check,        ///< settings and policy file
        check_chain,  ///< `check`: ask every endpoint
        decide,       ///< `decide FILE`: one request from a file
        print_config,
        help,
        version
    } action = Action::run;
    std::string config_file;        ///< empty: none
    std::string env_file;           ///< empty: ".env" of the working directory, if there is one
    std::string request_file;       ///< of Action::decide; "-" is standard input
    BootKind kind = BootKind::app;  ///< of Action::decide
    struct Override {
        std::vector<std::string> path;
        std::string value;
        std::string option;  ///< for messages
    };
    std::vector<Override> overrides;
};

/// `arguments` without the program's name. Errors (invalid_argument): one sentence.
runtime::Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments);
/// What --help prints.
std::string usage();

/// Mistakes go to `problems`; with an error among them the settings must not be used.
Settings read_settings(const CommandLine& command_line, const Environment& environment,
                       runtime::ConfigProblems& problems);
/// The effective settings as TOML, with what is secret left out.
std::string to_toml(const Settings& settings);

}  // namespace auth
