/// A TCP socket that waits for connections, as a value.
#pragma once

#include <cstdint>
#include <string>

namespace launcher {

struct Listener {
    std::string address;  ///< "127.0.0.1", "::"
    std::uint16_t port = 0;
    int pid = 0;        ///< 0 when unknown
    std::string owner;  ///< service name, or the process's name; empty when unknown
};

}  // namespace launcher
