#include "launcher/process/child_steps.hpp"

#include "launcher/runtime/secret.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace launcher {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    pointers.reserve(texts.size() + 1);
    for (auto& text : texts) pointers.push_back(text.data());
    pointers.push_back(nullptr);
    return pointers;
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
    Number number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return number;
}

runtime::Error unknown(std::string_view what, std::string_view name) {
    return {runtime::ErrorCode::invalid_argument,
            "unknown " + std::string(what) + " '" + std::string(name) + "'"};
}

}  // namespace

std::string_view to_string(ChildStep step) {
    switch (step) {
        case ChildStep::session:
            return "setsid";
        case ChildStep::descriptors:
            return "dup2";
        case ChildStep::cgroup:
            return "moving into the cgroup";
        case ChildStep::limits:
            return "setrlimit";
        case ChildStep::umask:
            return "umask";
        case ChildStep::directory:
            return "chdir";
        case ChildStep::oom_score:
            return "oom_score_adj";
        case ChildStep::nice:
            return "setpriority";
        case ChildStep::groups:
            return "setgroups";
        case ChildStep::group:
            return "setresgid";
        case ChildStep::user:
            return "setresuid";
        case ChildStep::no_new_privs:
            return "no_new_privs";
        case ChildStep::parent_death:
            return "parent death signal";
        case ChildStep::signals:
            return "signal mask";
        case ChildStep::close_range:
            return "close_range";
        case ChildStep::exec:
            return "exec";
    }
    return "unknown step";
}

runtime::Result<Identity> find_identity(const std::string& user) {
    const auto colon = user.find(':');
    const auto name = user.substr(0, colon);
    Identity identity;
    const passwd* entry = ::getpwnam(name.c_str());
    if (const auto number = number_in<uid_t>(name)) {
        identity.user = identity.group = *number;
        entry = ::getpwuid(*number);
    } else if (entry == nullptr) {
        return unknown("user", name);
    }
    if (entry != nullptr) {
        identity.user = entry->pw_uid;
        identity.group = entry->pw_gid;
        int count = 64;
        identity.groups.resize(static_cast<std::size_t>(count));
        if (::getgrouplist(entry->pw_name, entry->pw_gid, identity.groups.data(), &count) < 0) {
            identity.groups.resize(static_cast<std::size_t>(count));
            ::getgrouplist(entry->pw_name, entry->pw_gid, identity.groups.data(), &count);
        }
        identity.groups.resize(static_cast<std::size_t>(std::max(count, 0)));
    }
    if (colon == std::string::npos) return identity;
    const auto group = user.substr(colon + 1);
    if (const auto number = number_in<gid_t>(group))
        identity.group = *number;
    else if (const auto* found = ::getgrnam(group.c_str()))
        identity.group = found->gr_gid;
    else
        return unknown("group", group);
    return identity;
}

ChildSteps::ChildSteps(const ChildSpec& spec, std::optional<Identity> identity, int input,
                       int output, int errors, int status)
    : program_(spec.program),
      directory_(spec.service.cwd),
      arguments_(spec.service.command),
      environment_(spec.environment),
      identity_(std::move(identity)),
      umask_(spec.service.umask),
      nice_(spec.service.nice),
      no_new_privs_(spec.service.no_new_privs),
      input_(input),
      output_(output),
      errors_(errors),
      status_(status),
      cgroup_(spec.cgroup_procs),
      parent_(::getpid()) {
    argument_pointers_ = pointers_to(arguments_);
    environment_pointers_ = pointers_to(environment_);
    if (spec.service.oom_score_adj) oom_score_ = std::to_string(*spec.service.oom_score_adj);
    const auto& limits = spec.service.limits;
    const auto both = [&](int resource, std::uint64_t value) {
        limits_.push_back({resource, {value, value}});
    };
    both(RLIMIT_CORE, limits.core);
    if (limits.nproc) both(RLIMIT_NPROC, *limits.nproc);
    if (limits.address_space) both(RLIMIT_AS, *limits.address_space);
    if (limits.nofile) {
        both(RLIMIT_NOFILE, *limits.nofile);
    } else {
        // The launcher raised its own limit; a service gets what it would have had without a
        // launcher.
        rlimit own{};
        if (::getrlimit(RLIMIT_NOFILE, &own) == 0)
            limits_.push_back(
                {RLIMIT_NOFILE,
                 {std::min<rlim_t>(spec.default_nofile, own.rlim_max), own.rlim_max}});
    }
}

ChildSteps::~ChildSteps() {
    for (auto& entry : environment_) runtime::wipe(entry);
}

void ChildSteps::fail(ChildStep step) const noexcept {
    const ChildReport report{step, errno};
    // The parent may be gone; then nobody is left to be told.
    if (::write(status_, &report, sizeof report) < 0) ::_exit(126);
    ::_exit(step == ChildStep::exec && (report.error == ENOENT || report.error == ENOTDIR) ? 127
                                                                                           : 126);
}

void ChildSteps::take_identity() const noexcept {
    if (!identity_) return;
    // The system calls themselves: the library's functions coordinate threads, of which a child has
    // none.
    if (::syscall(SYS_setgroups, identity_->groups.size(), identity_->groups.data()) != 0)
        fail(ChildStep::groups);
    if (::syscall(SYS_setresgid, identity_->group, identity_->group, identity_->group) != 0)
        fail(ChildStep::group);
    if (::syscall(SYS_setresuid, identity_->user, identity_->user, identity_->user) != 0)
        fail(ChildStep::user);
}

void ChildSteps::reset_signals() const noexcept {
    struct sigaction action{};
    action.sa_handler = SIG_DFL;
    for (int number = 1; number <= 64; ++number)
        ::sigaction(number, &action, nullptr);  // refused for KILL and STOP
    sigset_t none;
    sigemptyset(&none);
    if (::sigprocmask(SIG_SETMASK, &none, nullptr) != 0) fail(ChildStep::signals);
}

void ChildSteps::close_descriptors() const noexcept {
    if (::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
    // Kernels before 5.11 (or a seccomp filter): every number up to the limit. /proc/self/fd would
    // need opendir(3), which allocates.
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) fail(ChildStep::close_range);
    const int end = static_cast<int>(std::min<rlim_t>(limit.rlim_max, 1 << 20));
    for (int number = 3; number < end; ++number) ::fcntl(number, F_SETFD, FD_CLOEXEC);
}

void ChildSteps::write_oom_score() const noexcept {
    if (oom_score_.empty()) return;
    const int file = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0 || ::write(file, oom_score_.data(), oom_score_.size()) < 0)
        fail(ChildStep::oom_score);
    ::close(file);
}

void ChildSteps::run() const noexcept {
    if (::setsid() < 0) fail(ChildStep::session);
    if (input_ != 0 && ::dup2(input_, 0) < 0) fail(ChildStep::descriptors);
    if (::dup2(output_, 1) < 0 || ::dup2(errors_, 2) < 0) fail(ChildStep::descriptors);
    if (cgroup_ >= 0 && ::write(cgroup_, "0", 1) != 1) fail(ChildStep::cgroup);
    for (const auto& limit : limits_) {
        // One function for all resources; its first parameter has an enumeration's type in glibc.
        if (::syscall(SYS_prlimit64, 0, limit.resource, &limit.value, nullptr) != 0)
            fail(ChildStep::limits);
    }
    if (umask_) ::umask(static_cast<mode_t>(*umask_));
    if (!directory_.empty() && ::chdir(directory_.c_str()) != 0) fail(ChildStep::directory);
    write_oom_score();
    if (nice_ && ::setpriority(PRIO_PROCESS, 0, *nice_) != 0) fail(ChildStep::nice);
    take_identity();
    if (no_new_privs_ && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail(ChildStep::no_new_privs);
    // After the change of identity, which clears the setting. The launcher may have ended before it
    // took effect.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) fail(ChildStep::parent_death);
    if (::getppid() != parent_) ::_exit(126);
    reset_signals();
    close_descriptors();
    ::execve(program_.c_str(), argument_pointers_.data(), environment_pointers_.data());
    fail(ChildStep::exec);
}

}  // namespace launcher
