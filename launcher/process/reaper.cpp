#include "launcher/process/reaper.hpp"

#include "launcher/process/proc_stat.hpp"

#include <cerrno>

#include <sys/resource.h>
#include <sys/wait.h>

namespace launcher {
namespace {

constexpr int kOrphansPerCall = 1024;
constexpr int kOrphansBetweenChecks = 64;

std::chrono::microseconds span_of(const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
}

/// The pid of a child that has ended and was not taken yet; 0 when there is none, -1 when there are
/// no children.
int ended_child(idtype_t type, id_t id) {
    siginfo_t info{};
    while (::waitid(type, id, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
        if (errno != EINTR) return -1;
    return info.si_pid;
}

}  // namespace

void Reaper::watch(int pid, OnEnd on_end) {
    watched_.insert_or_assign(pid, std::move(on_end));
}

bool Reaper::take(int pid, ChildEnd& end) {
    int status = 0;
    rusage usage{};
    if (::wait4(pid, &status, WNOHANG, &usage) != pid) return false;
    end.pid = pid;
    end.status.signalled = WIFSIGNALED(status);
    end.status.code = end.status.signalled ? WTERMSIG(status) : WEXITSTATUS(status);
    end.status.core_dumped = end.status.signalled && WCOREDUMP(status);
    end.user_time = span_of(usage.ru_utime);
    end.system_time = span_of(usage.ru_stime);
    end.max_rss_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
    return true;
}

void Reaper::collect_watched(std::vector<std::pair<OnEnd, ChildEnd>>& ends) {
    for (auto at = watched_.begin(); at != watched_.end();) {
        ChildEnd end;
        if (ended_child(P_PID, static_cast<id_t>(at->first)) == at->first && take(at->first, end)) {
            ends.emplace_back(std::move(at->second), end);
            at = watched_.erase(at);
        } else {
            ++at;
        }
    }
}

Reaper::Pass Reaper::collect() {
    Pass pass;
    std::vector<std::pair<OnEnd, ChildEnd>> ends;
    for (int taken = 0;; ++taken) {
        if (taken % kOrphansBetweenChecks == 0) collect_watched(ends);
        const int pid = ended_child(P_ALL, 0);
        pass.no_children = pid < 0;
        if (pid <= 0) break;
        pass.more = taken >= kOrphansPerCall ||
                    !ends.empty();  // a service's end is told before more orphans are taken
        if (pass.more) break;
        if (watched_.contains(pid)) {
            collect_watched(ends);
            continue;
        }
        ChildEnd end;
        const auto entry = on_orphan_ ? read_process_entry(pid) : std::nullopt;
        if (!take(pid, end)) continue;
        ++orphans_;
        if (on_orphan_) on_orphan_(end, entry ? entry->comm : "");
    }
    // Told last: a listener may watch new children.
    for (const auto& [on_end, end] : ends) on_end(end);
    return pass;
}

}  // namespace launcher
