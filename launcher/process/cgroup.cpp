#include "launcher/process/cgroup.hpp"

#include "launcher/runtime/config.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace launcher {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

constexpr std::size_t kMaxFile = 64 * 1024;
constexpr const char* kOwnLeaf = "/launcher";
constexpr std::array kControllers = {"memory", "pids", "cpu"};

Error failure(std::string_view what, const std::string& path) {
    return {ErrorCode::unavailable,
            "cannot " + std::string(what) + " '" + path + "': " + std::strerror(errno)};
}

Result<void> write_file(const std::string& path, std::string_view text) {
    const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.is_open() || ::write(file.get(), text.data(), text.size()) < 0)
        return failure("write", path);
    return {};
}

Result<void> make_directory(const std::string& path) {
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return failure("make", path);
    return {};
}

std::vector<std::string> words_of(const std::string& line) {
    std::istringstream stream(line);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) words.push_back(word);
    return words;
}

/// The mount point of cgroup v2 and the part of the hierarchy that it shows.
struct Mount {
    std::string point, root;
};
Mount cgroup2_mount(std::string_view mountinfo) {
    std::istringstream lines{std::string(mountinfo)};
    for (std::string line; std::getline(lines, line);) {
        const auto dash = line.find(" - ");
        if (dash == std::string::npos || !line.substr(dash + 3).starts_with("cgroup2 ")) continue;
        const auto words = words_of(line.substr(0, dash));
        if (words.size() >= 5) return {words[4], words[3]};
    }
    return {};
}

}  // namespace

std::vector<std::pair<std::string, std::string>> cgroup_settings(const ServiceLimits& limits) {
    std::vector<std::pair<std::string, std::string>> settings;
    const auto add = [&](const char* file, std::uint64_t value) {
        settings.emplace_back(file, std::to_string(value));
    };
    if (limits.memory_high) add("memory.high", *limits.memory_high);
    if (limits.memory_max) {
        add("memory.max", *limits.memory_max);
        // Half a service is no service: when memory is short, all of it ends, and that is seen.
        add("memory.oom.group", 1);
    }
    if (limits.pids_max) add("pids.max", *limits.pids_max);
    if (limits.cpu_weight) add("cpu.weight", static_cast<std::uint64_t>(*limits.cpu_weight));
    return settings;
}

std::string own_cgroup(std::string_view cgroup_file, std::string_view mountinfo_file) {
    const auto mount = cgroup2_mount(mountinfo_file);
    if (mount.point.empty()) return "";
    std::istringstream lines{std::string(cgroup_file)};
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("0::/")) continue;
        auto path = line.substr(3);
        // Inside a cgroup namespace the mount shows a part of the tree.
        if (mount.root != "/" && path.starts_with(mount.root)) path.erase(0, mount.root.size());
        return path == "/" ? mount.point : mount.point + path;
    }
    return "";
}

std::string own_cgroup() {
    const auto cgroup = runtime::read_file("/proc/self/cgroup", kMaxFile);
    const auto mounts = runtime::read_file("/proc/self/mountinfo", kMaxFile);
    return cgroup && mounts ? own_cgroup(*cgroup, *mounts) : "";
}

ServiceCgroups::~ServiceCgroups() {
    for (const auto& path : leaves_) ::rmdir(path.c_str());
}

/// A cgroup that hands controllers down must not hold processes itself: the launcher moves into a
/// leaf, too.
Result<void> ServiceCgroups::make_room() {
    if (has_room_) return {};
    if (directory_.empty())
        return Error{ErrorCode::unavailable, "there is no cgroup v2 hierarchy here"};
    // Looked at before anything is changed: where nothing is delegated, everything stays as it is.
    const auto controllers = runtime::read_file(directory_ + "/cgroup.controllers", kMaxFile);
    const auto offered = controllers ? words_of(*controllers) : std::vector<std::string>{};
    for (const auto* wanted : kControllers)
        if (std::find(offered.begin(), offered.end(), wanted) == offered.end())
            return Error{
                ErrorCode::unavailable,
                "the cgroup '" + directory_ + "' has no controller '" + wanted + "' to give"};
    TRY_VOID(make_directory(directory_ + kOwnLeaf));
    TRY_VOID(write_file(directory_ + kOwnLeaf + "/cgroup.procs", "0"));
    TRY_VOID(write_file(directory_ + "/cgroup.subtree_control", "+memory +pids +cpu"));
    has_room_ = true;
    return {};
}

Result<Descriptor> ServiceCgroups::prepare(const ServicePlan& service) {
    TRY_VOID(make_room());
    const auto path = leaf(service.name);
    TRY_VOID(make_directory(path));
    leaves_.push_back(path);
    for (const auto& [file, value] : cgroup_settings(service.limits)) {
        TRY_VOID(write_file(path + "/" + file, value));
    }
    const auto processes = path + "/cgroup.procs";
    Descriptor descriptor(::open(processes.c_str(), O_WRONLY | O_CLOEXEC));
    if (!descriptor.is_open()) return failure("open", processes);
    return descriptor;
}

std::map<std::string, std::string> ServiceCgroups::effective(const std::string& service) const {
    std::map<std::string, std::string> values;
    for (const auto* file : {"memory.high", "memory.max", "pids.max", "cpu.weight"}) {
        auto text = runtime::read_file(leaf(service) + "/" + file, kMaxFile);
        if (!text) continue;
        while (text->ends_with('\n')) text->pop_back();
        values.emplace(file, std::move(*text));
    }
    return values;
}

}  // namespace launcher
