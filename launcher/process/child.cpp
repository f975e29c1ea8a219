#include "launcher/process/child.hpp"

#include "launcher/process/child_steps.hpp"
#include "launcher/runtime/with_deadline.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/process/v2/posix/fork_and_forget_launcher.hpp>
#include <boost/process/v2/process.hpp>
#include <fcntl.h>
#include <sys/syscall.h>
#include <termios.h>

namespace launcher {
namespace {

namespace asio = boost::asio;
namespace process = boost::process::v2;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

Error failure(std::string_view what, int error) {
    return {ErrorCode::unavailable, std::string(what) + ": " + std::strerror(error)};
}

struct Pipe {
    Descriptor read, write;
};
Result<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    // Never O_NONBLOCK: the flag would be the service's, too, and a program that meets EAGAIN on
    // stdout loses output.
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failure("cannot make a pipe", errno);
    return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
}

/// A terminal that changes nothing of what is written to it. It is nobody's controlling terminal,
/// so its end sends no SIGHUP.
Result<Pipe> make_terminal() {
    Pipe ends;
    ends.read.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!ends.read.is_open()) return failure("cannot make a terminal", errno);
    std::array<char, 64> name{};
    if (::grantpt(ends.read.get()) != 0 || ::unlockpt(ends.read.get()) != 0 ||
        ::ptsname_r(ends.read.get(), name.data(), name.size()) != 0)
        return failure("cannot make a terminal", errno);
    ends.write.reset(::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!ends.write.is_open()) return failure("cannot open the terminal", errno);
    termios settings{};
    if (::tcgetattr(ends.write.get(), &settings) == 0) {
        ::cfmakeraw(&settings);
        ::tcsetattr(ends.write.get(), TCSANOW, &settings);
    }
    return ends;
}

/// The initializer that Boost.Process calls in the child.
struct RunSteps {
    const ChildSteps& steps;
    template <class Launcher, class Path, class CommandLine>
    boost::system::error_code on_exec_setup(Launcher&, const Path&, CommandLine&) const noexcept {
        steps.run();
    }
};

Result<int> fork_child(const std::string& program, const ChildSteps& steps) {
    // A context of its own: Asio prepares the contexts it knows for the fork, and in the child it
    // takes their locks, which another thread may hold. Nobody else uses this one.
    asio::io_context context;
    process::posix::fork_and_forget_launcher launcher;
    boost::system::error_code error;
    const std::vector<std::string> no_arguments;  // argv is in the steps
    try {
        auto made = launcher(context.get_executor(), error, program, no_arguments, RunSteps{steps});
        (void)made.detach();  // its destructor would kill and wait
    } catch (const boost::system::system_error&) {
        // The process exists, but Boost could not open a handle to it (a kernel without
        // pidfd_open).
        if (launcher.pid <= 0) throw;
    }
    if (launcher.pid <= 0) return failure("cannot make a process", error ? error.value() : EAGAIN);
    return launcher.pid;
}

runtime::Task<Result<ChildReport>> read_report(Descriptor descriptor) {
    asio::posix::stream_descriptor stream(co_await asio::this_coro::executor, descriptor.release());
    ChildReport report;
    // The report is smaller than PIPE_BUF, so it arrives whole.
    const auto [error, size] = co_await stream.async_read_some(asio::buffer(&report, sizeof report),
                                                               asio::as_tuple(asio::use_awaitable));
    if (size == sizeof report) co_return report;
    if (error == asio::error::eof)
        co_return Error{ErrorCode::not_found, "no report: the program runs"};
    co_return Error{ErrorCode::unavailable, "cannot read the child's report: " + error.message()};
}

}  // namespace

Result<StartedChild> start_child(const ChildSpec& spec) {
    std::optional<Identity> identity;
    if (!spec.service.user.empty()) {
        TRY(identity,
            find_identity(spec.service.user).within("service '" + spec.service.name + "'"));
    }
    const bool merged = spec.service.log.merge_streams || spec.service.log.pty;
    Pipe output, errors;
    Descriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null.is_open()) return failure("cannot open /dev/null", errno);
    if (!spec.discard_output) {
        TRY(output, spec.service.log.pty ? make_terminal() : make_pipe());
    }
    if (!spec.discard_output && !merged) {
        TRY(errors, make_pipe());
    }
    TRY(auto status, make_pipe());
    const int output_end = spec.discard_output ? null.get() : output.write.get();
    const int errors_end = errors.write.is_open() ? errors.write.get() : output_end;
    const ChildSteps steps(spec, std::move(identity), spec.service.stdin_inherit ? 0 : null.get(),
                           output_end, errors_end, status.write.get());
    TRY(const int pid, fork_child(spec.program, steps));

    StartedChild child;
    child.pid = pid;
    child.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    child.output = std::move(output.read);
    child.errors = std::move(errors.read);
    child.exec_status = std::move(status.read);
    return child;
}

runtime::Task<std::optional<StartFault>> confirm_exec(runtime::Clock& clock, Descriptor exec_status,
                                                      std::string program,
                                                      runtime::Deadline deadline) {
    auto report = co_await runtime::with_deadline(clock, deadline, "the program was not reached",
                                                  read_report(std::move(exec_status)));
    if (!report) {
        if (report.error().code == ErrorCode::not_found) co_return std::nullopt;
        co_return StartFault{126, "exec failed: " + program + ": " + report.error().context};
    }
    const bool missing =
        report->step == ChildStep::exec && (report->error == ENOENT || report->error == ENOTDIR);
    co_return StartFault{missing ? 127 : 126, std::string(to_string(report->step)) + " failed: " +
                                                  program + ": " + std::strerror(report->error) +
                                                  " (errno " + std::to_string(report->error) + ")"};
}

bool send_signal(int pid, const Descriptor& pidfd, int signal) {
    if (pidfd.is_open())
        return ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0;
    // Safe without a pidfd, too: the reaper runs on this thread, so the number cannot have been
    // given to another.
    return ::kill(pid, signal) == 0;
}

}  // namespace launcher
