/// Who listens where, from /proc/net/tcp. For diagnoses: takes milliseconds, longer with many
/// connections.
#pragma once

#include "launcher/plan/listener.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace launcher {

/// One line of /proc/net/tcp or tcp6 in state LISTEN.
struct ListenLine {
    std::string address;
    std::uint16_t port = 0;
    std::uint64_t inode = 0;
};
/// Pure: every listening socket of the text.
std::vector<ListenLine> parse_listeners(std::string_view text, bool ipv6);

/// All TCP listeners of this network namespace. `services` names processes (leader → service); a
/// listener of a descendant of such a process belongs to its service, too. Other owners are looked
/// up for `port` only.
std::vector<Listener> find_listeners(const std::map<int, std::string>& services,
                                     std::uint16_t port);

}  // namespace launcher
