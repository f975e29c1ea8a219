#include "launcher/evidence/proc_reader.hpp"

#include "launcher/evidence/socket_text.hpp"
#include "launcher/evidence/text.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

namespace launcher::evidence {
namespace {

constexpr std::size_t kMaxText = 1024 * 1024;
/// Beyond this many descriptors the fdinfo of an epoll is long, and its lock is the target's.
constexpr std::size_t kDescriptorsWithInfo = 512;
constexpr std::size_t kMostInfo = 64;

class Directory {
  public:
    explicit Directory(const std::string& path)
        : descriptor_(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
    Directory(const Directory& parent, const std::string& name)
        : descriptor_(
              ::openat(parent.descriptor_, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {}
    ~Directory() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    bool is_open() const { return descriptor_ >= 0; }

    /// The text of a file; empty when it cannot be read, then errno says why.
    std::string text(const char* name, std::size_t most = kMaxText) const {
        std::string text;
        const int file = ::openat(descriptor_, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (file < 0) return text;
        std::array<char, 4096> buffer;
        ssize_t size = 0;
        while (text.size() < most && (size = ::read(file, buffer.data(), buffer.size())) > 0)
            text.append(buffer.data(), static_cast<std::size_t>(size));
        const int reason = errno;
        ::close(file);
        errno = size < 0 ? reason : 0;
        return text;
    }
    std::string link(const char* name) const {
        std::array<char, 1024> buffer;
        const auto size = ::readlinkat(descriptor_, name, buffer.data(), buffer.size());
        return size > 0 ? std::string(buffer.data(), static_cast<std::size_t>(size)) : "";
    }
    /// Names that are numbers, in their order.
    std::vector<int> numbers() const {
        std::vector<int> found;
        const int copy = ::openat(descriptor_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        const std::unique_ptr<DIR, int (*)(DIR*)> entries(copy < 0 ? nullptr : ::fdopendir(copy),
                                                          ::closedir);
        if (!entries) {
            if (copy >= 0) ::close(copy);
            return found;
        }
        while (const dirent* entry = ::readdir(entries.get()))
            if (const auto number = number_of<int>(entry->d_name)) found.push_back(*number);
        std::sort(found.begin(), found.end());
        return found;
    }

  private:
    int descriptor_;
};

std::string proc(int pid) {
    return "/proc/" + std::to_string(pid);
}

std::string reason_of(int error) {
    switch (error) {
        case 0:
            return "";
        case EACCES:
        case EPERM:
            return "not permitted";
        case ENOENT:
        case ESRCH:
            return "gone";
        case EMFILE:
        case ENFILE:
            return "no descriptors left";
        default:
            return "error " + std::to_string(error);
    }
}

}  // namespace

Reading<ThreadsRead> read_threads(int pid) {
    Reading<ThreadsRead> reading;
    const Directory tasks(proc(pid) + "/task");
    if (!tasks.is_open()) {
        reading.fault = reason_of(errno);
        return reading;
    }
    for (const int tid : tasks.numbers()) {
        if (reading.value.threads.size() >= kMostThreads) {
            ++reading.value.not_read;
            continue;
        }
        const Directory task(tasks, std::to_string(tid));
        if (!task.is_open()) continue;  // it has ended
        TaskTexts texts;
        texts.tid = tid;
        texts.comm = task.text("comm");
        texts.stat = task.text("stat");
        texts.status = task.text("status");
        texts.schedstat = task.text("schedstat");
        texts.wchan = task.text("wchan");
        texts.syscall = task.text("syscall");
        if (texts.syscall.empty() && (errno == EACCES || errno == EPERM))
            reading.fault = "not permitted";
        if (!texts.stat.empty()) reading.value.threads.push_back(parse_task(texts));
    }
    return reading;
}

Reading<std::map<int, std::vector<std::string>>> read_stacks(int pid) {
    Reading<std::map<int, std::vector<std::string>>> reading;
    const Directory tasks(proc(pid) + "/task");
    for (const int tid : tasks.is_open() ? tasks.numbers() : std::vector<int>{}) {
        if (reading.value.size() >= kMostThreads) break;
        const auto text = tasks.text((std::to_string(tid) + "/stack").c_str());
        if (text.empty() && errno != 0 && errno != ENOENT && errno != ESRCH) {
            reading.fault = reason_of(errno);
            break;  // what is not permitted for one is not for the others
        }
        reading.value.emplace(tid, parse_stack(text));
    }
    return reading;
}

Reading<DescriptorsRead> read_descriptors(int pid,
                                          const std::vector<std::string>& secret_directories) {
    Reading<DescriptorsRead> reading;
    const Directory links(proc(pid) + "/fd");
    if (!links.is_open()) {
        reading.fault = reason_of(errno);
        return reading;
    }
    const auto numbers = links.numbers();
    auto& value = reading.value;
    value.count = numbers.size();
    for (const int number : numbers) {
        if (value.descriptors.size() >= kMostDescriptors) break;
        const auto link = links.link(std::to_string(number).c_str());
        if (!link.empty())
            value.descriptors.push_back(parse_link(number, link, secret_directories));
    }
    if (numbers.size() > kDescriptorsWithInfo) return reading;
    const Directory infos(proc(pid) + "/fdinfo");
    std::size_t read = 0;
    for (auto& each : value.descriptors) {
        if (!infos.is_open() || read >= kMostInfo) break;
        if (each.kind != "eventpoll" && each.kind != "eventfd" && each.kind != "timerfd" &&
            each.kind != "pipe")
            continue;
        ++read;
        each.info = parse_fdinfo(each.kind, infos.text(std::to_string(each.number).c_str()));
    }
    return reading;
}

Reading<std::vector<SocketFacts>> read_net_files(int pid) {
    Reading<std::vector<SocketFacts>> reading;
    const Directory net(proc(pid) + "/net");
    if (!net.is_open()) {
        reading.fault = reason_of(errno);
        return reading;
    }
    constexpr std::size_t kMaxTable = 8 * 1024 * 1024;
    reading.value = parse_net_tcp(net.text("tcp", kMaxTable), false);
    for (auto& socket : parse_net_tcp(net.text("tcp6", kMaxTable), true))
        reading.value.push_back(std::move(socket));
    for (auto& socket : parse_net_unix(net.text("unix", kMaxTable)))
        reading.value.push_back(std::move(socket));
    return reading;
}

Reading<Texts> read_files(const std::string& directory, const std::vector<std::string>& names) {
    Reading<Texts> reading;
    const Directory files(directory);
    if (!files.is_open()) {
        reading.fault = reason_of(errno);
        return reading;
    }
    for (const auto& name : names) {
        auto text = files.text(name.c_str());
        if (text.empty() && (errno == EACCES || errno == EPERM)) reading.fault = "not permitted";
        if (!text.empty()) reading.value.emplace(name, std::move(text));
    }
    return reading;
}

Reading<std::map<int, std::string>> read_all_stats(std::size_t most) {
    Reading<std::map<int, std::string>> reading;
    const Directory root("/proc");
    if (!root.is_open()) {
        reading.fault = reason_of(errno);
        return reading;
    }
    for (const int pid : root.numbers()) {
        if (reading.value.size() >= most) break;
        auto stat = root.text((std::to_string(pid) + "/stat").c_str());
        if (!stat.empty()) reading.value.emplace(pid, std::move(stat));
    }
    return reading;
}

}  // namespace launcher::evidence
