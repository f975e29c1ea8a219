/// The command line of dstack-kms. Pure.
#pragma once

#include "launcher/runtime/result.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kms {

enum class Action { serve, check, print_config, inspect_certificate, help, version };

struct CommandLine {
    Action action = Action::serve;
    std::optional<std::string> config_file;
    std::string certificate_file;  ///< of inspect-cert
};

/// `words` is argv with the program's name. Errors (invalid_argument): an unknown word, or one
/// missing.
runtime::Result<CommandLine> parse_command_line(std::span<char*> words);
std::string_view help_text();

}  // namespace kms
