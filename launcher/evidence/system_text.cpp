#include "launcher/evidence/system_text.hpp"

#include "launcher/evidence/text.hpp"

#include <algorithm>
#include <array>

namespace launcher::evidence {
namespace {

constexpr std::size_t kLevels = 6;
constexpr std::array<std::string_view, 3> kControllers = {"memory", "cpu", "pids"};

std::string_view text_in(const Texts& texts, const std::string& name) {
    const auto found = texts.find(name);
    return found == texts.end() ? std::string_view() : std::string_view(found->second);
}

std::uint64_t grown(std::uint64_t now, std::uint64_t before) {
    return now > before ? now - before : 0;
}

std::uint64_t io_growth(const Texts& before, const Texts& now, std::string_view name) {
    const auto later = number_of(field_of(text_in(now, "io"), name));
    const auto earlier = number_of(field_of(text_in(before, "io"), name));
    return later && earlier ? grown(*later, *earlier) : 0;
}

/// Words of a stat line behind the name: [0] is the state.
std::vector<std::string_view> after_name(std::string_view stat) {
    const auto close = stat.rfind(')');
    return close == std::string_view::npos ? std::vector<std::string_view>{}
                                           : words_of(stat.substr(close + 1));
}

std::optional<std::uint64_t> limit_in(const Texts& texts, const std::string& file) {
    const auto number = number_of(trimmed(text_in(texts, file)));
    // v1 says "no limit" with a number near 2^63.
    if (number && *number > (std::uint64_t{1} << 60)) return std::nullopt;
    return number;
}

struct Mount {
    std::string point, root, type, options;
};
std::vector<Mount> cgroup_mounts(std::string_view mountinfo) {
    std::vector<Mount> mounts;
    for (const auto line : lines_of(mountinfo)) {
        const auto dash = line.find(" - ");
        if (dash == std::string_view::npos) continue;
        const auto head = words_of(line.substr(0, dash));
        const auto tail = words_of(line.substr(dash + 3));
        if (head.size() < 5 || tail.size() < 3 || !tail[0].starts_with("cgroup")) continue;
        mounts.push_back({std::string(head[4]), std::string(head[3]), std::string(tail[0]),
                          std::string(tail[2])});
    }
    return mounts;
}

bool has_word(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        const auto each = list.substr(0, list.find(','));
        if (each == word) return true;
        list.remove_prefix(std::min(each.size() + 1, list.size()));
    }
    return false;
}

void add_levels(std::vector<CgroupPlace>& places, const Mount& mount, std::string path, bool v2) {
    // Inside a cgroup namespace the mount shows a part of the tree.
    if (mount.root != "/" && path.starts_with(mount.root)) path.erase(0, mount.root.size());
    for (std::size_t level = 0; level < kLevels; ++level) {
        if (path == "/") path.clear();
        places.push_back({mount.point + path, path.empty() ? "/" : path, v2});
        if (path.empty()) return;
        path.resize(path.rfind('/'));
    }
}

}  // namespace

ProcessFacts parse_process(const Texts& before, const Texts& now) {
    ProcessFacts facts;
    const auto status = text_in(now, "status");
    const auto stat = after_name(text_in(now, "stat"));
    if (!stat.empty()) facts.state = stat[0].front();
    const auto kib = [&](std::string_view name) {
        return number_of(field_of(status, name)).value_or(0) * 1024;
    };
    facts.tracer = number_of<int>(field_of(status, "TracerPid")).value_or(0);
    facts.rss_bytes = kib("VmRSS");
    facts.swap_bytes = kib("VmSwap");
    facts.threads = number_of(field_of(status, "Threads")).value_or(0);
    for (const auto line : lines_of(text_in(now, "limits")))
        if (line.starts_with("Max open files"))
            facts.fd_limit = number_of(trimmed(line.substr(14))).value_or(0);
    facts.read_bytes = io_growth(before, now, "read_bytes");
    facts.written_bytes = io_growth(before, now, "write_bytes");
    facts.read_calls = io_growth(before, now, "syscr");
    facts.write_calls = io_growth(before, now, "syscw");
    facts.oom_score = number_of<std::int64_t>(trimmed(text_in(now, "oom_score")));
    return facts;
}

bool file_table_full(std::string_view file_nr) {
    const auto words = words_of(file_nr);
    if (words.size() < 3) return false;
    const auto used = number_of(words[0]), limit = number_of(words[2]);
    return used && limit && *limit > 0 && *used >= *limit;
}

std::map<std::string, std::uint64_t> parse_pairs(std::string_view text) {
    std::map<std::string, std::uint64_t> pairs;
    for (const auto line : lines_of(text)) {
        const auto words = words_of(line);
        if (words.size() != 2) continue;
        if (const auto number = number_of(words[1])) pairs.emplace(words[0], *number);
    }
    return pairs;
}

std::vector<CgroupPlace> cgroup_places(std::string_view cgroup, std::string_view mountinfo) {
    std::vector<CgroupPlace> places;
    const auto mounts = cgroup_mounts(mountinfo);
    for (const auto line : lines_of(cgroup)) {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string_view::npos || second == std::string_view::npos) continue;
        const auto controllers = line.substr(first + 1, second - first - 1);
        const auto path = line.substr(second + 1);
        if (!path.starts_with('/')) continue;
        const bool v2 = line.starts_with("0:") && controllers.empty();
        for (const auto& mount : mounts) {
            const bool fits =
                v2 ? mount.type == "cgroup2"
                   : mount.type == "cgroup" && std::any_of(kControllers.begin(), kControllers.end(),
                                                           [&](std::string_view each) {
                                                               return has_word(controllers, each) &&
                                                                      has_word(mount.options, each);
                                                           });
            if (!fits) continue;
            add_levels(places, mount, std::string(path), v2);
            break;
        }
    }
    return places;
}

std::vector<std::string> cgroup_files(bool v2) {
    if (v2)
        return {"memory.current",  "memory.max", "memory.high",  "memory.events",
                "memory.pressure", "cpu.stat",   "pids.current", "pids.max"};
    return {"memory.usage_in_bytes",
            "memory.limit_in_bytes",
            "memory.failcnt",
            "memory.oom_control",
            "cpu.stat",
            "pids.current",
            "pids.max"};
}

CgroupFacts parse_cgroup(const CgroupPlace& place, const Texts& before, const Texts& now) {
    CgroupFacts facts;
    facts.path = place.shown;
    facts.memory_current = limit_in(now, place.v2 ? "memory.current" : "memory.usage_in_bytes");
    facts.memory_max = limit_in(now, place.v2 ? "memory.max" : "memory.limit_in_bytes");
    facts.memory_high = limit_in(now, "memory.high");
    facts.pids_current = limit_in(now, "pids.current");
    facts.pids_max = limit_in(now, "pids.max");
    const auto events = [&](const Texts& texts) {
        if (place.v2) return parse_pairs(text_in(texts, "memory.events"));
        auto pairs = parse_pairs(text_in(texts, "memory.oom_control"));
        std::erase_if(pairs, [](const auto& pair) { return pair.first != "oom_kill"; });
        if (const auto failures = number_of(trimmed(text_in(texts, "memory.failcnt"))))
            pairs.emplace("max", *failures);
        return pairs;
    };
    facts.memory_events = events(now);
    for (const auto& [name, count] : events(before))
        if (const auto later = facts.memory_events.find(name);
            later != facts.memory_events.end() && later->second > count)
            facts.new_events.emplace(name, later->second - count);
    auto cpu_before = parse_pairs(text_in(before, "cpu.stat"));
    auto cpu_now = parse_pairs(text_in(now, "cpu.stat"));
    if (!cpu_before.empty()) {
        facts.periods = grown(cpu_now["nr_periods"], cpu_before["nr_periods"]);
        facts.throttled = grown(cpu_now["nr_throttled"], cpu_before["nr_throttled"]);
    }
    facts.memory_full_avg10 = stalled_avg10("full", text_in(now, "memory.pressure"));
    return facts;
}

namespace {
/// The number behind "NAME=" in the line that starts with `kind`.
std::string_view pressure_value(std::string_view kind, std::string_view name,
                                std::string_view text) {
    for (const auto line : lines_of(text)) {
        const auto words = words_of(line);
        if (words.empty() || words[0] != kind) continue;
        for (const auto word : words)
            if (word.starts_with(name) && word.size() > name.size() && word[name.size()] == '=')
                return word.substr(name.size() + 1);
    }
    return {};
}
}  // namespace

std::optional<double> stalled_share(std::string_view kind, std::string_view before,
                                    std::string_view now, std::chrono::microseconds span) {
    const auto first = number_of(pressure_value(kind, "total", before));
    const auto last = number_of(pressure_value(kind, "total", now));
    if (!first || !last || span.count() <= 0) return std::nullopt;
    return std::min(
        100.0, 100 * static_cast<double>(grown(*last, *first)) / static_cast<double>(span.count()));
}

std::optional<double> stalled_avg10(std::string_view kind, std::string_view text) {
    const auto value = pressure_value(kind, "avg10", text);
    double number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (value.empty() || error != std::errc{}) return std::nullopt;
    return number;
}

std::map<std::string, std::uint64_t> parse_meminfo(std::string_view text) {
    std::map<std::string, std::uint64_t> lines;
    for (const auto* name : {"MemTotal", "MemFree", "MemAvailable", "SwapTotal", "SwapFree"})
        if (const auto value = number_of(field_of(text, name))) lines.emplace(name, *value);
    return lines;
}

std::vector<OtherProcess> busiest(const std::map<int, std::string>& before,
                                  const std::map<int, std::string>& now,
                                  std::chrono::microseconds span, long ticks_per_second,
                                  const std::vector<int>& excluded, std::size_t count) {
    std::vector<OtherProcess> others;
    if (span.count() <= 0 || ticks_per_second <= 0) return others;
    const auto ticks = [](std::string_view stat) {
        const auto words = after_name(stat);
        return words.size() > 12
                   ? number_of(words[11]).value_or(0) + number_of(words[12]).value_or(0)
                   : std::uint64_t{0};
    };
    for (const auto& [pid, stat] : now) {
        const auto earlier = before.find(pid);
        if (earlier == before.end() ||
            std::find(excluded.begin(), excluded.end(), pid) != excluded.end())
            continue;
        const auto used = grown(ticks(stat), ticks(earlier->second));
        if (used == 0) continue;
        const auto open = stat.find('('), close = stat.rfind(')');
        if (open == std::string::npos || close == std::string::npos || close < open) continue;
        others.push_back({pid, stat.substr(open + 1, close - open - 1),
                          static_cast<double>(used) * 1e6 / static_cast<double>(ticks_per_second) /
                              static_cast<double>(span.count())});
    }
    std::sort(others.begin(), others.end(), [](const OtherProcess& a, const OtherProcess& b) {
        return a.cpu_share != b.cpu_share ? a.cpu_share > b.cpu_share : a.pid < b.pid;
    });
    if (others.size() > count) others.resize(count);
    return others;
}

}  // namespace launcher::evidence
