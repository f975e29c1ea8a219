#include "launcher/control/metrics_system.hpp"

#include <array>
#include <charconv>

#include <fcntl.h>
#include <unistd.h>

namespace launcher {
namespace {

/// The first 4 KiB of a file; nothing when it cannot be read.
std::optional<std::string> read_small(const std::string& path) {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return std::nullopt;
    std::array<char, 4096> buffer;
    const auto size = read(descriptor, buffer.data(), buffer.size());
    close(descriptor);
    if (size < 0) return std::nullopt;
    return std::string(buffer.data(), static_cast<std::size_t>(size));
}

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{}) return std::nullopt;
    return value;
}

std::optional<std::uint64_t> number_in(const std::string& path) {
    const auto text = read_small(path);
    return text ? number(*text) : std::nullopt;
}

std::string_view next_line(std::string_view& text) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    return line;
}

void sample_cgroup(SystemSample& sample) {
    const auto own = read_small("/proc/self/cgroup");
    if (!own) return;
    if (const auto path = cgroup_path(*own, false)) {
        const std::string folder = "/sys/fs/cgroup" + *path + "/";
        sample.cgroup_memory_bytes = number_in(folder + "memory.current");
        sample.cgroup_memory_limit_bytes = number_in(folder + "memory.max");
        if (const auto events = read_small(folder + "memory.events"))
            sample.cgroup_oom_kills = keyed_number(*events, "oom_kill");
        if (sample.cgroup_memory_bytes) return;
    }
    const auto path = cgroup_path(*own, true);
    if (!path) return;
    // Inside a container the hierarchy is mounted at the container's own group.
    for (const std::string& folder :
         {"/sys/fs/cgroup/memory" + *path + "/", std::string("/sys/fs/cgroup/memory/")}) {
        sample.cgroup_memory_bytes = number_in(folder + "memory.usage_in_bytes");
        if (!sample.cgroup_memory_bytes) continue;
        constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 62;
        const auto limit = number_in(folder + "memory.limit_in_bytes");
        if (limit && *limit < kNoLimit) sample.cgroup_memory_limit_bytes = limit;
        if (const auto control = read_small(folder + "memory.oom_control"))
            sample.cgroup_oom_kills = keyed_number(*control, "oom_kill");
        return;
    }
}

}  // namespace

std::vector<SystemSample::Pressure> parse_pressure(std::string_view resource,
                                                   std::string_view text) {
    std::vector<SystemSample::Pressure> result;
    constexpr std::string_view kTotal = " total=";
    while (!text.empty()) {
        const std::string_view line = next_line(text);
        const auto at = line.find(kTotal);
        const std::string_view kind = line.substr(0, line.find(' '));
        if (at == std::string_view::npos || (kind != "some" && kind != "full")) continue;
        if (const auto microseconds = number(line.substr(at + kTotal.size())))
            result.push_back({std::string(resource), std::string(kind),
                              static_cast<double>(*microseconds) / 1e6});
    }
    return result;
}

std::optional<std::uint64_t> keyed_number(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        const std::string_view line = next_line(text);
        if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ')
            return number(line.substr(key.size() + 1));
    }
    return std::nullopt;
}

std::optional<std::string> cgroup_path(std::string_view proc_self_cgroup, bool v1) {
    while (!proc_self_cgroup.empty()) {
        const std::string_view line = next_line(proc_self_cgroup);
        const auto first = line.find(':');
        const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
        if (second == std::string_view::npos) continue;
        const std::string_view controllers = line.substr(first + 1, second - first - 1);
        const bool wanted =
            v1 ? ("," + std::string(controllers) + ",").find(",memory,") != std::string::npos
               : controllers.empty() && line.substr(0, first) == "0";
        if (!wanted) continue;
        std::string path(line.substr(second + 1));
        if (path == "/") path.clear();
        return path;
    }
    return std::nullopt;
}

SystemSample sample_system() {
    SystemSample sample;
    sample.self = read_process_status(getpid());
    sample_cgroup(sample);
    for (const char* resource : {"cpu", "memory", "io"})
        if (const auto text = read_small(std::string("/proc/pressure/") + resource))
            for (auto& entry : parse_pressure(resource, *text))
                sample.pressure.push_back(std::move(entry));
    return sample;
}

}  // namespace launcher
