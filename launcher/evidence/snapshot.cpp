#include "launcher/evidence/snapshot.hpp"

#include "launcher/evidence/proc_reader.hpp"
#include "launcher/evidence/sock_diag.hpp"
#include "launcher/evidence/socket_text.hpp"
#include "launcher/evidence/text.hpp"

#include <algorithm>
#include <thread>

#include <unistd.h>

namespace launcher::evidence {
namespace {

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::TimePoint;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr auto kGroupLimit = 500ms;
constexpr milliseconds kLongSample = 1000ms;
constexpr auto kAfterSample = 100ms;  ///< kept for the steps behind the sample when time is short
constexpr std::size_t kMostOthers = 300;

const std::vector<std::string> kProcessFiles = {"stat", "status", "io", "limits", "oom_score"};
const std::vector<std::string> kPressureFiles = {"cpu", "memory", "io"};

microseconds since(TimePoint begin) {
    return std::chrono::duration_cast<microseconds>(steady_clock::now() - begin);
}

class Taker {
  public:
    Taker(const SnapshotOrder& order, std::shared_ptr<LostThreads> lost)
        : order_(order), reader_(std::move(lost)) {}
    Snapshot take();

  private:
    template <class Value>
    Value step(const std::string& name, std::function<Reading<Value>()> work);
    void look();
    void wait_until(microseconds after_begin);
    void read_cgroup_places();
    void read_before();
    void read_sockets();
    void read_cgroups();
    void read_pressure();

    const SnapshotOrder& order_;
    BoundedReader reader_;
    Facts facts_;
    std::vector<Look> looks_;
    TimePoint begin_{};
    TimePoint before_at_{};
    std::vector<CgroupPlace> places_;
    std::vector<Texts> cgroups_before_;
    Texts process_before_, pressure_before_;
    std::map<int, std::string> others_before_;
};

/// One group of files: read by the helper, within its limit, with a note of how it went.
template <class Value>
Value Taker::step(const std::string& name, std::function<Reading<Value>()> work) {
    const auto began = steady_clock::now();
    const auto until = order_.deadline.narrowed(began, kGroupLimit);
    auto [reading, outcome] = reader_.read<Reading<Value>>(until, std::move(work));
    StepNote note;
    note.name = name;
    note.took = since(began);
    if (outcome == BoundedReader::Outcome::timeout)
        note.fault = "timeout";
    else if (outcome == BoundedReader::Outcome::refused)
        note.fault = "too many reads hang already";
    else if (!reading)
        note.fault = "failed";
    else
        note.fault = reading->fault;
    facts_.steps.push_back(std::move(note));
    return reading ? std::move(reading->value) : Value{};
}

void Taker::look() {
    Look look;
    look.at = since(begin_);
    const int pid = order_.pid;
    auto read = step<ThreadsRead>("threads " + std::to_string(looks_.size() + 1),
                                  [pid] { return read_threads(pid); });
    facts_.threads_not_read = read.not_read;
    look.threads = std::move(read.threads);
    looks_.push_back(std::move(look));
}

void Taker::wait_until(microseconds after_begin) {
    std::this_thread::sleep_until(std::min(begin_ + after_begin, order_.deadline.at()));
}

void Taker::read_cgroup_places() {
    const auto own = step<Texts>("cgroup of the process", [pid = order_.pid] {
        return read_files("/proc/" + std::to_string(pid), {"cgroup"});
    });
    const auto mounts =
        step<Texts>("cgroup mounts", [] { return read_files("/proc/self", {"mountinfo"}); });
    if (own.contains("cgroup") && mounts.contains("mountinfo"))
        places_ = cgroup_places(own.at("cgroup"), mounts.at("mountinfo"));
}

/// What is needed twice to see a difference, read in the first pause of the sample.
void Taker::read_before() {
    process_before_ = step<Texts>("io, first", [pid = order_.pid] {
        return read_files("/proc/" + std::to_string(pid), {"io"});
    });
    read_cgroup_places();
    before_at_ = steady_clock::now();
    using All = std::vector<Texts>;
    cgroups_before_ = step<All>("cgroups, first", [places = places_] {
        Reading<All> reading;
        for (const auto& place : places)
            reading.value.push_back(
                read_files(place.directory,
                           place.v2 ? std::vector<std::string>{"memory.events", "cpu.stat"}
                                    : std::vector<std::string>{"memory.failcnt",
                                                               "memory.oom_control", "cpu.stat"})
                    .value);
        return reading;
    });
    pressure_before_ =
        step<Texts>("pressure, first", [] { return read_files("/proc/pressure", kPressureFiles); });
    others_before_ = step<std::map<int, std::string>>("other processes, first",
                                                      [] { return read_all_stats(kMostOthers); });
}

void Taker::read_sockets() {
    const bool any = std::any_of(facts_.descriptors.begin(), facts_.descriptors.end(),
                                 [](const auto& each) { return each.kind == "socket"; });
    using Sockets = std::vector<SocketFacts>;
    const auto deadline = order_.deadline.narrowed(steady_clock::now(), kGroupLimit);
    auto all = step<Sockets>("sockets", [deadline] {
        Reading<Sockets> reading;
        if (auto dumped = dump_sockets(deadline))
            reading.value = std::move(*dumped);
        else
            reading.fault = dumped.error().context;
        return reading;
    });
    facts_.sockets = own_sockets(std::move(all), facts_.descriptors);
    // No netlink here, or the process lives in another network namespace.
    if (facts_.sockets.empty() && any)
        facts_.sockets = own_sockets(
            step<Sockets>("sockets by /proc", [pid = order_.pid] { return read_net_files(pid); }),
            facts_.descriptors);
}

void Taker::read_cgroups() {
    using All = std::vector<Texts>;
    const auto now = step<All>("cgroups", [places = places_] {
        Reading<All> reading;
        for (const auto& place : places)
            reading.value.push_back(read_files(place.directory, cgroup_files(place.v2)).value);
        return reading;
    });
    for (std::size_t i = 0; i < now.size(); ++i) {
        if (now[i].empty()) continue;  // a level without controllers
        facts_.cgroups.push_back(parse_cgroup(
            places_[i], i < cgroups_before_.size() ? cgroups_before_[i] : Texts{}, now[i]));
    }
}

void Taker::read_pressure() {
    const auto now =
        step<Texts>("pressure", [] { return read_files("/proc/pressure", kPressureFiles); });
    const auto span = since(before_at_);
    const auto share = [&](const std::string& resource,
                           std::string_view kind) -> std::optional<double> {
        if (!now.contains(resource) || !pressure_before_.contains(resource)) return std::nullopt;
        return stalled_share(kind, pressure_before_.at(resource), now.at(resource), span);
    };
    facts_.pressure.cpu_some = share("cpu", "some");
    facts_.pressure.memory_some = share("memory", "some");
    facts_.pressure.memory_full = share("memory", "full");
    facts_.pressure.io_full = share("io", "full");
    const auto host =
        step<Texts>("load and memory", [] { return read_files("/proc", {"loadavg", "meminfo"}); });
    if (host.contains("loadavg")) facts_.pressure.load_average = trimmed(host.at("loadavg"));
    if (host.contains("meminfo")) facts_.pressure.memory_kib = parse_meminfo(host.at("meminfo"));
}

Snapshot Taker::take() {
    begin_ = steady_clock::now();
    const auto cpu_before = thread_cpu_time();
    facts_.service = order_.service;
    facts_.pid = order_.pid;
    // 1, 2: what the launcher knows by itself
    facts_.probes = order_.probes;
    facts_.control_seconds = order_.control_seconds;
    if (order_.read_log_state) order_.read_log_state(facts_);
    // 3: the threads, three times; between the looks, what is needed twice
    const auto room =
        std::chrono::duration_cast<milliseconds>(order_.deadline.remaining(begin_) - kAfterSample);
    const auto sample = std::clamp(room, 0ms, kLongSample);
    look();
    read_before();
    wait_until(sample / 5);
    look();
    wait_until(sample);
    look();
    facts_.sample = std::chrono::duration_cast<milliseconds>(looks_.back().at - looks_.front().at);
    facts_.threads = compare_looks(looks_);
    // 4
    const int pid = order_.pid;
    using Stacks = std::map<int, std::vector<std::string>>;
    const auto stacks = step<Stacks>("stacks", [pid] { return read_stacks(pid); });
    for (auto& thread : facts_.threads)
        if (const auto found = stacks.find(thread.tid); found != stacks.end())
            thread.stack = found->second;
    // 5, 6
    auto descriptors = step<DescriptorsRead>(
        "descriptors",
        [pid, secret = order_.secret_directories] { return read_descriptors(pid, secret); });
    facts_.descriptors = std::move(descriptors.descriptors);
    read_sockets();
    name_targets(facts_.threads, facts_.descriptors, facts_.sockets);
    // 7
    const auto process = step<Texts>(
        "process", [pid] { return read_files("/proc/" + std::to_string(pid), kProcessFiles); });
    facts_.process = parse_process(process_before_, process);
    facts_.process.open_fds = descriptors.count;
    const auto files =
        step<Texts>("file table", [] { return read_files("/proc/sys/fs", {"file-nr"}); });
    if (files.contains("file-nr"))
        facts_.process.file_table_full = file_table_full(files.at("file-nr"));
    // 8
    read_cgroups();
    read_pressure();
    // 9
    const auto others = step<std::map<int, std::string>>(
        "other processes", [] { return read_all_stats(kMostOthers); });
    facts_.others = busiest(others_before_, others, since(before_at_), ::sysconf(_SC_CLK_TCK),
                            {pid, ::getpid()});
    // 10
    if (order_.read_lines) facts_.lines = order_.read_lines();

    Snapshot snapshot;
    snapshot.took = since(begin_);
    snapshot.cpu = thread_cpu_time() - cpu_before + reader_.cpu_time();
    snapshot.facts = std::move(facts_);
    return snapshot;
}

}  // namespace

Snapshot take_snapshot(const SnapshotOrder& order, std::shared_ptr<LostThreads> lost) {
    return Taker(order, std::move(lost)).take();
}

}  // namespace launcher::evidence
