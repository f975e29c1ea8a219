/// What the command line tells about itself: one screen for `--help`, and the usage of each
/// subcommand. The man page kms-launcher(1) and the completions are tested against these texts.
/// Source: spec "launcher" section 8.4.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace launcher {

/// At most 24 lines of 80 columns.
std::string_view help_text();
/// Every subcommand, in the order of the help.
const std::vector<std::string>& cli_commands();
/// "usage: kms-launcher NAME …" with every option of the subcommand; empty for unknown names.
std::string_view usage_of(std::string_view command);
/// "unknown command 'polll'; did you mean 'poll'?"
std::string unknown_command(std::string_view word);

}  // namespace launcher
