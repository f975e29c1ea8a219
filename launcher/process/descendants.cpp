#include "launcher/process/descendants.hpp"

#include "launcher/process/descriptor.hpp"
#include "launcher/process/proc_stat.hpp"

#include <csignal>

#include <sys/syscall.h>
#include <unistd.h>

namespace launcher {
namespace {

/// The number may have been given to another process since it was listed: hold it, look again, then
/// send.
void signal_one(int pid, int signal) {
    const Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!handle.is_open()) {
        ::kill(pid, signal);
        return;
    }
    for (int at = pid; at > 1;) {
        const auto entry = read_process_entry(at);
        if (!entry) return;
        at = entry->parent;
        if (at != ::getpid()) continue;
        ::syscall(SYS_pidfd_send_signal, handle.get(), signal, nullptr, 0);
        return;
    }
}

}  // namespace

int signal_descendants(int signal) {
    const auto left = live_descendants(::getpid());
    if (::getpid() == 1) {
        ::kill(-1, signal);
        // A stopped process acts on nothing but SIGKILL until it is continued.
        if (signal != SIGKILL) ::kill(-1, SIGCONT);
        return static_cast<int>(left.size());
    }
    for (const int pid : left) {
        signal_one(pid, signal);
        if (signal != SIGKILL) signal_one(pid, SIGCONT);
    }
    return static_cast<int>(left.size());
}

}  // namespace launcher
