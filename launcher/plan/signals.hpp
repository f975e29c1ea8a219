/// Names of signals. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace launcher {

/// "SIGTERM", "TERM" (any case), "SIGRTMIN+3" or a decimal number; nothing when there is no such
/// signal.
std::optional<int> signal_number(std::string_view name);
/// "SIGTERM", "SIGRTMIN+3"; "signal 77" when it has no name.
std::string signal_name(int number);

}  // namespace launcher
