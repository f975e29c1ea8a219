#include "launcher/process/proc_stat.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace launcher {
namespace {

/// A whole small file of /proc; empty when it cannot be read.
std::string slurp(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return "";
    std::string text;
    std::array<char, 4096> buffer{};
    ssize_t size = 0;
    while ((size = ::read(file, buffer.data(), buffer.size())) > 0)
        text.append(buffer.data(), static_cast<std::size_t>(size));
    ::close(file);
    return text;
}

template <class Each>
bool for_each_number(const std::string& directory, Each each) {
    DIR* entries = ::opendir(directory.c_str());
    if (entries == nullptr) return false;
    while (const dirent* entry = ::readdir(entries)) {
        int number = 0;
        const std::string_view name(entry->d_name);
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
        if (error == std::errc{} && end == name.data() + name.size()) each(number);
    }
    ::closedir(entries);
    return true;
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    while (!text.empty()) {
        const auto end = text.find_first_of(" \n");
        if (end != 0) words.push_back(text.substr(0, end));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + 1);
    }
    return words;
}

std::uint64_t number_in(std::string_view text) {
    while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0)
        text.remove_prefix(1);
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

/// The number after "Name:" at the start of a line.
std::uint64_t field(std::string_view text, std::string_view name) {
    const auto label = std::string(name) + ":";
    std::size_t at = 0;
    while (at < text.size()) {
        const auto end = std::min(text.find('\n', at), text.size());
        const auto line = text.substr(at, end - at);
        if (line.starts_with(label)) return number_in(line.substr(label.size()));
        at = end + 1;
    }
    return 0;
}

/// The fields of a stat line after the name: [0] is the state (field 3 of proc(5)).
std::vector<std::string_view> after_name(std::string_view line) {
    const auto close = line.rfind(')');
    return close == std::string_view::npos ? std::vector<std::string_view>{}
                                           : words_of(line.substr(close + 1));
}

std::uint64_t descriptor_limit(const std::string& limits) {
    constexpr std::string_view kLabel = "Max open files";
    const auto at = limits.find(kLabel);
    return at == std::string::npos ? 0
                                   : number_in(std::string_view(limits).substr(at + kLabel.size()));
}

}  // namespace

std::optional<ProcessEntry> parse_process_entry(std::string_view line) {
    const auto open = line.find('(');
    const auto close = line.rfind(')');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open)
        return std::nullopt;
    const auto words = after_name(line);
    if (words.size() < 4 || words[0].size() != 1) return std::nullopt;
    ProcessEntry entry;
    entry.pid = static_cast<int>(number_in(line));
    entry.comm = std::string(line.substr(open + 1, close - open - 1));
    entry.state = words[0].front();
    entry.parent = static_cast<int>(number_in(words[1]));
    entry.session = static_cast<int>(number_in(words[3]));
    if (entry.pid <= 0) return std::nullopt;
    return entry;
}

std::optional<ProcessEntry> read_process_entry(int pid) {
    return parse_process_entry(slurp("/proc/" + std::to_string(pid) + "/stat"));
}

std::optional<ProcessStatus> read_process_status(int pid) {
    const auto directory = "/proc/" + std::to_string(pid) + "/";
    const auto stat = slurp(directory + "stat");
    const auto words = after_name(stat);
    if (words.size() < 22) return std::nullopt;
    static const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    ProcessStatus status;
    status.major_faults = number_in(words[9]);
    status.user_seconds = static_cast<double>(number_in(words[11])) / ticks;
    status.system_seconds = static_cast<double>(number_in(words[12])) / ticks;
    status.threads = number_in(words[17]);
    status.virtual_bytes = number_in(words[20]);
    status.rss_bytes = number_in(words[21]) * page;
    const auto text = slurp(directory + "status");
    status.swap_bytes = field(text, "VmSwap") * 1024;
    for_each_number(directory + "task", [&](int thread) {
        const auto task = directory + "task/" + std::to_string(thread) + "/";
        const auto entry = parse_process_entry(slurp(task + "stat"));
        if (entry) ++status.thread_states[entry->state];
        const auto switches = slurp(task + "status");
        status.voluntary_switches += field(switches, "voluntary_ctxt_switches");
        status.involuntary_switches += field(switches, "nonvoluntary_ctxt_switches");
    });
    for_each_number(directory + "fd", [&](int) { ++status.open_fds; });
    status.max_fds = descriptor_limit(slurp(directory + "limits"));
    const auto io = slurp(directory + "io");
    status.read_bytes = field(io, "read_bytes");
    status.written_bytes = field(io, "write_bytes");
    return status;
}

std::map<std::string, std::string> read_process_limits(int pid) {
    struct Named {
        const char* name;
        __rlimit_resource resource;
    };
    constexpr std::array kLimits = {Named{"nofile", RLIMIT_NOFILE}, Named{"core", RLIMIT_CORE},
                                    Named{"nproc", RLIMIT_NPROC},
                                    Named{"address_space", RLIMIT_AS}};
    std::map<std::string, std::string> limits;
    for (const auto& [name, resource] : kLimits) {
        rlimit limit{};
        if (::prlimit(pid, resource, nullptr, &limit) != 0) continue;
        limits.emplace(
            name, limit.rlim_cur == RLIM_INFINITY ? "unlimited" : std::to_string(limit.rlim_cur));
    }
    return limits;
}

std::vector<int> live_descendants(int root) {
    // The whole table once: /proc/PID/task/*/children needs a kernel option, and misses children
    // that are born while it is read.
    std::vector<ProcessEntry> all;
    for_each_number("/proc", [&](int pid) {
        if (auto entry = read_process_entry(pid)) all.push_back(std::move(*entry));
    });
    std::vector<int> found;
    std::vector<int> parents = {root};
    while (!parents.empty()) {
        std::vector<int> children;
        for (const auto& entry : all)
            if (std::find(parents.begin(), parents.end(), entry.parent) != parents.end())
                children.push_back(entry.pid);
        for (const auto& entry : all)
            if (entry.state != 'Z' && entry.state != 'X' &&
                std::find(children.begin(), children.end(), entry.pid) != children.end())
                found.push_back(entry.pid);
        parents = std::move(children);
    }
    return found;
}

}  // namespace launcher
