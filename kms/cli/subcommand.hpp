/// Subcommands of dstack-kms that look at files and end. Source: docs/attestation.md.
#pragma once

#include <optional>
#include <span>

namespace kms::cli {

/// Runs the subcommand that the command line names and returns the exit status; nothing when it
/// names none.
std::optional<int> run_subcommand(std::span<char*> words);

/// `verify-quote` and `inspect-attestation`; `words` are the arguments after the name. 0: accepted,
/// 1: refused, 2: something that was given cannot be read.
int verify_quote(std::span<char*> words);
int inspect_attestation(std::span<char*> words);

}  // namespace kms::cli
