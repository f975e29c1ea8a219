/// Descriptors and sockets as /proc shows them. Pure. Source: proc(5); spec "launcher" section 6.1
/// steps 5 and 6, 6.2.
#pragma once

#include "launcher/evidence/facts.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace launcher::evidence {

/// What a link of /proc/PID/fd leads to: "pipe:[17]", "socket:[4]", "anon_inode:[eventpoll]",
/// "/etc/kms/kms.toml". Files below one of `secret_directories` are shown as that directory.
DescriptorFacts parse_link(int number, std::string_view link,
                           const std::vector<std::string>& secret_directories);
/// What is worth knowing of fdinfo: "watches 3", "count 0", "fires in 1.5 s", "non-blocking".
std::string parse_fdinfo(std::string_view kind, std::string_view text);

/// "ESTABLISHED" for 1 and so on; "state 13" for an unknown one.
std::string tcp_state(unsigned state);
/// "127.0.0.1:80", "[::1]:80"; `words` are one or four 32-bit words as the kernel keeps them.
std::string address_text(const std::uint32_t* words, bool ipv6, std::uint16_t port);

/// /proc/PID/net/tcp or tcp6. The limit of a listener is not shown there.
std::vector<SocketFacts> parse_net_tcp(std::string_view text, bool ipv6);
/// /proc/PID/net/unix.
std::vector<SocketFacts> parse_net_unix(std::string_view text);

/// Those of the process: by inode, and the connections that wait in its listeners.
std::vector<SocketFacts> own_sockets(std::vector<SocketFacts> all,
                                     const std::vector<DescriptorFacts>& descriptors);

}  // namespace launcher::evidence
