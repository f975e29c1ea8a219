#include "launcher/evidence/syscall_names.hpp"

#include <algorithm>
#include <array>

#include <sys/syscall.h>

namespace launcher::evidence {
namespace {

enum class First { other, descriptor, descriptor_and_buffer, futex };
struct Call {
    long number;
    const char* name;
    First first;
};

#define CALL(name, first)               \
    Call {                              \
        SYS_##name, #name, First::first \
    }
// Calls in which a thread can be found waiting; others are named by their number. What an
// architecture does not have is left out.
constexpr std::array kCalls = {
    CALL(read, descriptor_and_buffer),
    CALL(write, descriptor_and_buffer),
    CALL(readv, descriptor),
    CALL(writev, descriptor),
    CALL(pread64, descriptor_and_buffer),
    CALL(pwrite64, descriptor_and_buffer),
    CALL(recvfrom, descriptor_and_buffer),
    CALL(sendto, descriptor_and_buffer),
    CALL(recvmsg, descriptor),
    CALL(sendmsg, descriptor),
    CALL(recvmmsg, descriptor),
    CALL(sendmmsg, descriptor),
    CALL(accept, descriptor),
    CALL(accept4, descriptor),
    CALL(connect, descriptor),
    CALL(ioctl, descriptor),
    CALL(fcntl, descriptor),
    CALL(flock, descriptor),
    CALL(fsync, descriptor),
    CALL(fdatasync, descriptor),
    CALL(ftruncate, descriptor),
    CALL(fallocate, descriptor),
    CALL(getdents64, descriptor),
    CALL(close, descriptor),
    CALL(epoll_pwait, descriptor),
    CALL(epoll_ctl, descriptor),
    CALL(sendfile, descriptor),
    CALL(splice, descriptor),
    CALL(io_uring_enter, descriptor),
    CALL(futex, futex),
    CALL(openat, other),
    CALL(newfstatat, other),
    CALL(statx, other),
    CALL(unlinkat, other),
    CALL(mkdirat, other),
    CALL(clone, other),
    CALL(clone3, other),
    CALL(execve, other),
    CALL(wait4, other),
    CALL(waitid, other),
    CALL(exit, other),
    CALL(exit_group, other),
    CALL(nanosleep, other),
    CALL(clock_nanosleep, other),
    CALL(ppoll, other),
    CALL(pselect6, other),
    CALL(rt_sigsuspend, other),
    CALL(rt_sigtimedwait, other),
    CALL(restart_syscall, other),
    CALL(mmap, other),
    CALL(munmap, other),
    CALL(mprotect, other),
    CALL(madvise, other),
    CALL(msync, other),
    CALL(brk, other),
    CALL(sync, other),
    CALL(sched_yield, other),
    CALL(getrandom, other),
    CALL(kill, other),
    CALL(tgkill, other),
#ifdef SYS_poll
    CALL(poll, other),
#endif
#ifdef SYS_select
    CALL(select, other),
#endif
#ifdef SYS_epoll_wait
    CALL(epoll_wait, descriptor),
#endif
#ifdef SYS_epoll_pwait2
    CALL(epoll_pwait2, descriptor),
#endif
#ifdef SYS_pause
    CALL(pause, other),
#endif
#ifdef SYS_open
    CALL(open, other),
#endif
#ifdef SYS_stat
    CALL(stat, other),
#endif
#ifdef SYS_fork
    CALL(fork, other),
#endif
#ifdef SYS_vfork
    CALL(vfork, other),
#endif
#ifdef SYS_futex_waitv
    CALL(futex_waitv, other),
#endif
};
#undef CALL

const Call* find(long number) {
    const auto found = std::find_if(kCalls.begin(), kCalls.end(),
                                    [&](const Call& call) { return call.number == number; });
    return found == kCalls.end() ? nullptr : &*found;
}

}  // namespace

std::string syscall_name(long number) {
    const auto* call = find(number);
    return call != nullptr ? call->name : "syscall " + std::to_string(number);
}

bool takes_descriptor(long number) {
    const auto* call = find(number);
    return call != nullptr &&
           (call->first == First::descriptor || call->first == First::descriptor_and_buffer);
}

bool takes_buffer(long number) {
    const auto* call = find(number);
    return call != nullptr && call->first == First::descriptor_and_buffer;
}

bool is_futex_wait(long number) {
    return number == SYS_futex;
}

bool is_event_wait(const std::string& name) {
    return name.starts_with("epoll_") || name == "poll" || name == "ppoll" || name == "select" ||
           name == "pselect6" || name == "io_uring_enter";
}

bool is_accept(const std::string& name) {
    return name == "accept" || name == "accept4";
}

bool is_write(const std::string& name) {
    return name == "write" || name == "writev";
}

}  // namespace launcher::evidence
