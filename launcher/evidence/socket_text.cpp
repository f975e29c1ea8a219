#include "launcher/evidence/socket_text.hpp"

#include "launcher/evidence/text.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <arpa/inet.h>

namespace launcher::evidence {
namespace {

std::uint64_t bracketed(std::string_view link) {
    const auto open = link.find('[');
    return open == std::string_view::npos ? 0 : number_of(link.substr(open + 1)).value_or(0);
}

/// "0100007F:1F90" → words and port.
struct Endpoint {
    std::array<std::uint32_t, 4> words{};
    std::uint16_t port = 0;
};
Endpoint parse_endpoint(std::string_view text) {
    Endpoint endpoint;
    const auto colon = text.find(':');
    if (colon == std::string_view::npos) return endpoint;
    for (std::size_t i = 0; i < 4 && (i + 1) * 8 <= colon; ++i)
        endpoint.words[i] = number_of<std::uint32_t>(text.substr(i * 8, 8), 16).value_or(0);
    endpoint.port = number_of<std::uint16_t>(text.substr(colon + 1), 16).value_or(0);
    return endpoint;
}

}  // namespace

DescriptorFacts parse_link(int number, std::string_view link,
                           const std::vector<std::string>& secret_directories) {
    DescriptorFacts facts;
    facts.number = number;
    if (link.starts_with("socket:[") || link.starts_with("pipe:[")) {
        facts.kind = link.starts_with("socket") ? "socket" : "pipe";
        facts.inode = bracketed(link);
        return facts;
    }
    if (link.starts_with("anon_inode:")) {
        auto kind = link.substr(link.find(':') + 1);
        if (kind.starts_with('[') && kind.ends_with(']')) kind = kind.substr(1, kind.size() - 2);
        facts.kind = kind.empty() ? "anonymous" : std::string(kind);
        return facts;
    }
    facts.kind = link.starts_with("/dev/") ? "device" : link.starts_with('/') ? "file" : "other";
    facts.text = link;
    for (const auto& directory : secret_directories)
        if (!directory.empty() && link.starts_with(directory + "/")) facts.text = directory + "/";
    return facts;
}

std::string parse_fdinfo(std::string_view kind, std::string_view text) {
    if (kind == "eventpoll") {
        const auto lines = lines_of(text);
        const auto watches = std::count_if(lines.begin(), lines.end(), [](std::string_view line) {
            return line.starts_with("tfd:");
        });
        return "watches " + std::to_string(watches);
    }
    if (kind == "eventfd") {
        const auto count = number_of(field_of(text, "eventfd-count"), 16);
        return count ? "count " + std::to_string(*count) : "";
    }
    if (kind == "timerfd") {
        // "it_value: (1, 500000000)"
        auto value = field_of(text, "it_value");
        if (!value.starts_with('(')) return "";
        value.remove_prefix(1);
        const auto seconds = number_of(value);
        const auto comma = value.find(',');
        if (!seconds || comma == std::string_view::npos) return "";
        const auto nanoseconds = number_of(trimmed(value.substr(comma + 1))).value_or(0);
        if (*seconds == 0 && nanoseconds == 0) return "not armed";
        return "fires in " + std::to_string(*seconds * 1000 + nanoseconds / 1'000'000) + " ms";
    }
    const auto flags = number_of(field_of(text, "flags"), 8).value_or(0);
    return (flags & 04000U) != 0 ? "non-blocking" : "";
}

std::string tcp_state(unsigned state) {
    constexpr std::array kNames = {"",           "ESTABLISHED", "SYN_SENT",  "SYN_RECV",
                                   "FIN_WAIT1",  "FIN_WAIT2",   "TIME_WAIT", "CLOSE",
                                   "CLOSE_WAIT", "LAST_ACK",    "LISTEN",    "CLOSING"};
    return state > 0 && state < kNames.size() ? kNames[state] : "state " + std::to_string(state);
}

std::string address_text(const std::uint32_t* words, bool ipv6, std::uint16_t port) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(ipv6 ? AF_INET6 : AF_INET, words, text.data(), text.size());
    const std::string host = ipv6 ? "[" + std::string(text.data()) + "]" : text.data();
    return host + ":" + std::to_string(port);
}

std::vector<SocketFacts> parse_net_tcp(std::string_view text, bool ipv6) {
    std::vector<SocketFacts> sockets;
    for (const auto line : lines_of(text)) {
        const auto words = words_of(line);
        if (words.size() < 10 || !words[0].ends_with(':')) continue;
        const auto local = parse_endpoint(words[1]);
        const auto peer = parse_endpoint(words[2]);
        const auto queues = words[4];
        const auto colon = queues.find(':');
        if (colon == std::string_view::npos) continue;
        SocketFacts socket;
        socket.family = ipv6 ? "tcp6" : "tcp";
        socket.state = tcp_state(number_of<unsigned>(words[3], 16).value_or(0));
        socket.local = address_text(local.words.data(), ipv6, local.port);
        socket.local_port = local.port;
        socket.send_queue = number_of(queues.substr(0, colon), 16).value_or(0);
        socket.receive_queue = number_of(queues.substr(colon + 1), 16).value_or(0);
        socket.inode = number_of(words[9]).value_or(0);
        if (socket.listening()) {
            socket.limit_known = false;
        } else {
            socket.peer = address_text(peer.words.data(), ipv6, peer.port);
            socket.peer_port = peer.port;
        }
        sockets.push_back(std::move(socket));
    }
    return sockets;
}

std::vector<SocketFacts> parse_net_unix(std::string_view text) {
    std::vector<SocketFacts> sockets;
    for (const auto line : lines_of(text)) {
        const auto words = words_of(line);
        if (words.size() < 7 || !words[0].ends_with(':')) continue;
        SocketFacts socket;
        socket.family = "unix";
        const bool listens = (number_of(words[3], 16).value_or(0) & 0x10000U) != 0;
        socket.state = listens ? "LISTEN" : words[5] == "03" ? "ESTABLISHED" : "UNCONNECTED";
        socket.limit_known = false;
        socket.inode = number_of(words[6]).value_or(0);
        if (listens && words.size() > 7) socket.local = words[7];
        sockets.push_back(std::move(socket));
    }
    return sockets;
}

std::vector<SocketFacts> own_sockets(std::vector<SocketFacts> all,
                                     const std::vector<DescriptorFacts>& descriptors) {
    std::set<std::uint64_t> inodes;
    for (const auto& each : descriptors)
        if (each.kind == "socket") inodes.insert(each.inode);
    std::set<std::uint16_t> ports;
    for (const auto& socket : all)
        if (socket.listening() && socket.local_port != 0 && inodes.contains(socket.inode))
            ports.insert(socket.local_port);
    std::erase_if(all, [&](const SocketFacts& socket) {
        // A connection that nobody has accepted belongs to no descriptor yet.
        const bool waits = socket.inode == 0 && ports.contains(socket.local_port);
        return !waits && !inodes.contains(socket.inode);
    });
    return all;
}

}  // namespace launcher::evidence
