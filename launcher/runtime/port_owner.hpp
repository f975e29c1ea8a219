/// Who listens on a port: for messages that name the process in the way, and for diagnoses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace runtime {

struct PortOwner {
    int pid = 0;       ///< 0 when /proc does not show it (another user's process)
    std::string name;  ///< the process' short name; empty when not shown
};

/// The process that listens on TCP `port` (any address, v4 or v6) in this network namespace, or
/// nothing when nobody does. Reads /proc; takes milliseconds, so for failures only.
std::optional<PortOwner> find_port_owner(std::uint16_t port);

}  // namespace runtime
