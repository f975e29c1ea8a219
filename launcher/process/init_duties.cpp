#include "launcher/process/init_duties.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

namespace launcher {

runtime::Result<Descriptor> take_over_signals() {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGILL, SIGFPE, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS})
        sigdelset(&all, fault);
    if (sigprocmask(SIG_SETMASK, &all, nullptr) != 0)
        return runtime::Error{runtime::ErrorCode::internal,
                              std::string("cannot block signals: ") + std::strerror(errno)};
    // A write to a closed pipe then answers EPIPE; the sinks count that.
    std::signal(SIGPIPE, SIG_IGN);
    // An ignored SIGCHLD, inherited from whoever started us, would make the kernel reap in our
    // place.
    std::signal(SIGCHLD, SIG_DFL);
    Descriptor descriptor(signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!descriptor.is_open())
        return runtime::Error{runtime::ErrorCode::internal,
                              std::string("cannot open a signalfd: ") + std::strerror(errno)};
    return descriptor;
}

void open_standard_descriptors() {
    for (int wanted = 0; wanted <= 2; ++wanted) {
        if (fcntl(wanted, F_GETFD) != -1 || errno != EBADF) continue;
        // The lowest free number is the wanted one: those below are open by now.
        const int opened =
            open("/dev/null", O_RDWR);  // NOLINT: no O_CLOEXEC, it is a standard descriptor
        if (opened >= 0 && opened != wanted) close(opened);
    }
}

bool become_subreaper() {
    return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

std::uint64_t raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    const auto before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return before;
}

void die_with_parent() {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

}  // namespace launcher
