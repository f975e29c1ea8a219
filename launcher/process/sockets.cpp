#include "launcher/process/sockets.hpp"

#include "launcher/process/proc_stat.hpp"
#include "launcher/runtime/port_owner.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <arpa/inet.h>
#include <unistd.h>

namespace launcher {
namespace {

std::optional<std::uint32_t> hex(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// The kernel prints an address as numbers of 32 bits in the machine's own order.
std::string address_text(std::string_view digits, bool ipv6) {
    std::array<unsigned char, 16> bytes{};
    for (std::size_t i = 0; i * 8 < digits.size() && i < 4; ++i) {
        const auto word = hex(digits.substr(i * 8, 8)).value_or(0);
        std::memcpy(bytes.data() + i * 4, &word, sizeof word);
    }
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (::inet_ntop(ipv6 ? AF_INET6 : AF_INET, bytes.data(), text.data(), text.size()) == nullptr)
        return "";
    return text.data();
}

std::string whole(const char* path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// inode → name of the service that holds the socket, with the pid.
std::map<std::uint64_t, std::pair<int, std::string>> sockets_of(
    const std::map<int, std::string>& services) {
    std::map<std::uint64_t, std::pair<int, std::string>> owners;
    for (const auto& [leader, name] : services) {
        auto pids = live_descendants(leader);
        pids.insert(pids.begin(), leader);
        for (const int pid : pids) {
            std::error_code error;
            for (const auto& entry : std::filesystem::directory_iterator(
                     "/proc/" + std::to_string(pid) + "/fd", error)) {
                std::error_code gone;
                const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
                constexpr std::string_view kSocket = "socket:[";
                if (!target.starts_with(kSocket)) continue;
                owners.try_emplace(std::strtoull(target.c_str() + kSocket.size(), nullptr, 10), pid,
                                   name);
            }
        }
    }
    return owners;
}

}  // namespace

std::vector<ListenLine> parse_listeners(std::string_view text, bool ipv6) {
    constexpr std::string_view kListen = "0A";
    std::vector<ListenLine> lines;
    std::istringstream stream{std::string(text)};
    std::string line;
    std::getline(stream, line);  // the headings
    while (std::getline(stream, line)) {
        std::istringstream words(line);
        std::string slot, local, remote, state, queues, timer, retransmits, user, timeout, inode;
        if (!(words >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> user >>
              timeout >> inode))
            continue;
        const auto colon = local.find(':');
        if (state != kListen || colon == std::string::npos) continue;
        const auto port = hex(std::string_view(local).substr(colon + 1));
        if (!port) continue;
        lines.push_back({address_text(std::string_view(local).substr(0, colon), ipv6),
                         static_cast<std::uint16_t>(*port),
                         std::strtoull(inode.c_str(), nullptr, 10)});
    }
    return lines;
}

std::vector<Listener> find_listeners(const std::map<int, std::string>& services,
                                     std::uint16_t port) {
    auto lines = parse_listeners(whole("/proc/net/tcp"), false);
    const auto six = parse_listeners(whole("/proc/net/tcp6"), true);
    lines.insert(lines.end(), six.begin(), six.end());
    const auto owners = sockets_of(services);
    std::vector<Listener> listeners;
    for (const auto& line : lines) {
        Listener listener{line.address, line.port, 0, ""};
        if (const auto found = owners.find(line.inode); found != owners.end()) {
            listener.pid = found->second.first;
            listener.owner = found->second.second;
        } else if (line.port == port) {
            const auto owner = runtime::find_port_owner(port);
            if (owner) {
                listener.pid = owner->pid;
                listener.owner = owner->name;
            }
        }
        listeners.push_back(std::move(listener));
    }
    return listeners;
}

}  // namespace launcher
