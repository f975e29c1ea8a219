#include "launcher/runtime/port_owner.hpp"

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <system_error>

namespace runtime {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kListening = "0A";  // TCP_LISTEN in /proc/net/tcp

/// Inodes of the sockets that listen on `port`.
void add_listening_inodes(const char* table, std::uint16_t port, std::set<std::string>& inodes) {
    std::ifstream file(table);
    std::string line;
    std::getline(file, line);  // column titles
    while (std::getline(file, line)) {
        std::istringstream columns(line);
        std::string slot, local, remote, state, queues, timer, retransmits, uid, timeout, inode;
        columns >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> uid >>
            timeout >> inode;
        const auto colon = local.rfind(':');
        if (state != kListening || colon == std::string::npos) continue;
        if (std::strtoul(local.c_str() + colon + 1, nullptr, 16) == port) inodes.insert(inode);
    }
}

std::string process_name(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
    std::string name;
    std::getline(file, name);
    return name;
}

bool holds_one_of(int pid, const std::set<std::string>& links) {
    std::error_code error;
    for (fs::directory_iterator entry("/proc/" + std::to_string(pid) + "/fd", error), end;
         !error && entry != end; entry.increment(error)) {
        std::error_code unreadable;
        if (links.contains(fs::read_symlink(entry->path(), unreadable).string())) return true;
    }
    return false;
}

}  // namespace

std::optional<PortOwner> find_port_owner(std::uint16_t port) {
    std::set<std::string> inodes;
    add_listening_inodes("/proc/net/tcp", port, inodes);
    add_listening_inodes("/proc/net/tcp6", port, inodes);
    if (inodes.empty()) return std::nullopt;
    std::set<std::string> links;
    for (const auto& inode : inodes) links.insert("socket:[" + inode + "]");
    std::error_code error;
    for (fs::directory_iterator entry("/proc", error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename();
        int pid = 0;
        const auto [rest, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (bad != std::errc{} || rest != name.data() + name.size()) continue;
        if (holds_one_of(pid, links)) return PortOwner{pid, process_name(pid)};
    }
    return PortOwner{};
}

}  // namespace runtime
