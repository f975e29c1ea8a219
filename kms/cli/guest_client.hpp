/// "dstack-kms guest-client": does what a guest does when it boots, and says how long each step
/// took. For people and for tests. Source: spec "kms-protocol" sections 6.6 and 11.
#pragma once

#include <optional>
#include <span>

namespace kms::cli {

/// Runs the subcommand when the command line names it and returns its exit status: 0: keys and
/// certificate received, 1: the KMS refused, 2: the arguments cannot be understood, 3: the KMS or
/// the guest agent gave no usable answer. `agent_address` is used unless --agent is given; null or
/// empty = the usual sockets.
std::optional<int> run_guest_client(std::span<char*> words, const char* agent_address);

}  // namespace kms::cli
