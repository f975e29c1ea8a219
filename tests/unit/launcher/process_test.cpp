#include "launcher/process/cgroup.hpp"
#include "launcher/process/child.hpp"
#include "launcher/process/child_steps.hpp"
#include "launcher/process/descendants.hpp"
#include "launcher/process/environment.hpp"
#include "launcher/process/init_duties.hpp"
#include "launcher/process/proc_stat.hpp"
#include "launcher/process/reaper.hpp"
#include "launcher/process/sockets.hpp"
#include "tests/support/manual_clock.hpp"

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

using namespace launcher;
using namespace std::chrono_literals;

namespace {

ChildSpec spec_of(std::vector<std::string> command) {
    ChildSpec spec;
    spec.service.name = "test";
    spec.program = command.front();
    spec.service.command = std::move(command);
    spec.environment = {"PATH=/usr/bin:/bin", "ONLY=this"};
    return spec;
}

/// Waits until the child has ended, without taking it: that is the reaper's work.
void wait_ended(int pid) {
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
}

std::string read_all(int descriptor) {
    std::string text;
    std::array<char, 4096> buffer{};
    ssize_t size = 0;
    while ((size = ::read(descriptor, buffer.data(), buffer.size())) > 0)
        text.append(buffer.data(), static_cast<std::size_t>(size));
    return text;
}

struct Ran {
    std::string output, errors;
    ChildEnd end;
    std::optional<StartFault> fault;
};
Ran run_to_end(const ChildSpec& spec) {
    boost::asio::io_context io;
    runtime::SystemClock clock;
    Ran ran;
    auto child = start_child(spec);
    REQUIRE(child);
    Reaper reaper;
    reaper.watch(child->pid, [&](const ChildEnd& end) { ran.end = end; });
    ran.fault = test::run(io, confirm_exec(clock, std::move(child->exec_status), spec.program,
                                           runtime::Deadline::after(clock.now(), 10s)));
    ran.output = read_all(child->output.get());
    if (child->errors.is_open()) ran.errors = read_all(child->errors.get());
    wait_ended(child->pid);
    reaper.collect();
    CHECK(ran.end.pid == child->pid);
    return ran;
}

}  // namespace

TEST_CASE("a service gets its arguments, its environment and nothing else") {
    const auto ran = run_to_end(
        spec_of({"/bin/sh", "-c", "echo \"$1\"; env; echo oops >&2; exit 7", "sh", "a  b"}));
    CHECK_FALSE(ran.fault);
    CHECK_THAT(ran.output, Catch::StartsWith("a  b\n"));
    CHECK_THAT(ran.output, Catch::Contains("ONLY=this\n"));
    CHECK_THAT(ran.output, !Catch::Contains("HOME="));
    CHECK(ran.errors == "oops\n");
    CHECK(ran.end.status == ExitStatus{false, 7, false});
    CHECK(ran.end.max_rss_bytes > 100'000);
}

TEST_CASE("a service starts in a state that owes nothing to the launcher's") {
    std::signal(SIGPIPE, SIG_IGN);
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    const Descriptor stray(
        ::open("/dev/null", O_RDONLY));  // without O_CLOEXEC, as a careless library leaves it
    auto spec = spec_of(
        {"/bin/sh", "-c",
         "ls /proc/self/fd | tr '\\n' ' '; grep -E '^(SigBlk|SigIgn|NoNewPrivs)' /proc/self/status "
         "| tr '\\n\\t' '  '; "
         "umask; pwd; ulimit -n; ulimit -c; cat /proc/self/stat | cut -d' ' -f6,1 | tr '\\n' ' '"});
    spec.service.umask = 027;
    spec.service.cwd = "/usr";
    spec.service.limits.nofile = 77;
    const auto ran = run_to_end(spec);
    sigprocmask(SIG_SETMASK, &before, nullptr);
    std::signal(SIGPIPE, SIG_DFL);
    INFO(ran.output);
    CHECK_THAT(ran.output, Catch::StartsWith("0 1 2 3 "));  // 3 is ls's own look at the directory
    CHECK_THAT(ran.output, Catch::Contains("SigBlk: 0000000000000000 SigIgn: 0000000000000000"));
    CHECK_THAT(ran.output, Catch::Contains("NoNewPrivs: 1"));
    CHECK_THAT(ran.output, Catch::Contains("0027\n/usr\n77\n0\n"));
}

TEST_CASE("both streams may share one pipe") {
    auto spec = spec_of({"/bin/sh", "-c", "echo one; echo two >&2; echo three"});
    spec.service.log.merge_streams = true;
    CHECK(run_to_end(spec).output == "one\ntwo\nthree\n");
}

TEST_CASE("a service may have a terminal, which changes nothing of what it writes") {
    auto spec = spec_of(
        {"/bin/sh", "-c", "test -t 1 && test -t 2 && printf 'one\\ntwo\\n'; echo three >&2; tty"});
    spec.service.log.pty = true;
    const auto ran = run_to_end(spec);
    CHECK(ran.output == "one\ntwo\nthree\nnot a tty\n");  // its input is none
    CHECK(ran.errors.empty());
}

TEST_CASE("a program that cannot be run says which step failed, and why") {
    struct Row {
        std::string name;
        std::function<void(ChildSpec&)> change;
        int exit_code;
        std::string text;
    };
    const auto row = GENERATE(values<Row>({
        {"missing", [](ChildSpec& spec) { spec.program = "/nonexistent/program"; }, 127,
         "exec failed: /nonexistent/program: No such file"},
        {"a directory below a file", [](ChildSpec& spec) { spec.program = "/bin/sh/x"; }, 127,
         "Not a directory"},
        {"not executable", [](ChildSpec& spec) { spec.program = "/etc/passwd"; }, 126,
         "Permission denied (errno 13)"},
        {"no such directory", [](ChildSpec& spec) { spec.service.cwd = "/nonexistent"; }, 126,
         "chdir failed"},
        {"a limit beyond what is allowed",
         [](ChildSpec& spec) { spec.service.limits.nofile = std::uint64_t{1} << 40; }, 126,
         "setrlimit failed"},
    }));
    INFO(row.name);
    auto spec = spec_of({"/bin/sh", "-c", "exit 0"});
    row.change(spec);
    const auto ran = run_to_end(spec);
    REQUIRE(ran.fault);
    CHECK(ran.fault->exit_code == row.exit_code);
    CHECK_THAT(ran.fault->text, Catch::Contains(row.text));
    CHECK(ran.end.status.code == row.exit_code);
}

TEST_CASE("users are found by name and by number") {
    CHECK(find_identity("root")->user == 0);
    CHECK(find_identity("10001:10002")->user == 10001);
    CHECK(find_identity("10001:10002")->group == 10002);
    CHECK(find_identity("10001")->group == 10001);
    CHECK_FALSE(find_identity("no-such-user"));
    CHECK_FALSE(find_identity("root:no-such-group"));
}

TEST_CASE("a service can run as another user") {
    if (::geteuid() != 0) {
        WARN("skipped: only root can change users");
        return;
    }
    auto spec = spec_of({"/bin/sh", "-c", "id -u; id -g; id -G"});
    spec.service.user = "10001:10002";
    CHECK(run_to_end(spec).output == "10001\n10002\n10002\n");
}

TEST_CASE("the reaper gives a watched child to its watcher and counts all others") {
    become_subreaper();
    Reaper reaper;
    CHECK(reaper.collect().no_children);
    auto spec =
        spec_of({"/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do ( : & ) ; done; exit 3"});
    auto child = start_child(spec);
    REQUIRE(child);
    int ends = 0;
    reaper.watch(child->pid, [&](const ChildEnd& end) {
        ++ends;
        CHECK(end.status == ExitStatus{false, 3, false});
    });
    wait_ended(child->pid);
    reaper.collect();
    CHECK(ends == 1);
    CHECK_FALSE(reaper.watches(child->pid));
    // The last orphans may still be on their way out.
    siginfo_t info{};
    while (::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0) reaper.collect();
    CHECK(reaper.collect().no_children);
    CHECK(reaper.orphans_reaped() == 10);
    CHECK(ends == 1);
}

TEST_CASE("a burst of orphans does not stand before a service's end") {
    become_subreaper();
    // All of them end, then the watched one, before the reaper looks for the first time.
    std::vector<int> orphans;
    for (int i = 0; i < 300; ++i) {
        const int pid = ::fork();
        if (pid == 0) ::_exit(0);
        REQUIRE(pid > 0);
        orphans.push_back(pid);
    }
    for (const int pid : orphans) wait_ended(pid);
    auto child = start_child(spec_of({"/bin/sh", "-c", "exit 5"}));
    REQUIRE(child);
    wait_ended(child->pid);
    Reaper reaper;
    std::uint64_t reaped_before = 1'000;
    reaper.watch(child->pid, [&](const ChildEnd&) { reaped_before = reaper.orphans_reaped(); });
    CHECK(reaper.collect().more);
    CHECK(reaped_before == 0);
    while (!reaper.collect().no_children) {
    }
    CHECK(reaper.orphans_reaped() == 300);
}

TEST_CASE("orphans are described to whoever wants to know") {
    become_subreaper();
    Reaper reaper;
    std::string seen;
    reaper.on_orphan([&](const ChildEnd& end, const std::string& comm) {
        seen = comm + " " + std::to_string(end.status.code);
    });
    const int pid = ::fork();
    if (pid == 0) ::_exit(9);
    wait_ended(pid);
    reaper.collect();
    CHECK_THAT(seen, Catch::EndsWith(" 9"));
    CHECK(seen.size() > 2);
}

TEST_CASE("signals reach a child by its pidfd, and nothing once it is gone") {
    auto child = start_child(spec_of({"/bin/sh", "-c", "read x"}));
    REQUIRE(child);
    CHECK(send_signal(child->pid, child->pidfd, SIGKILL));
    wait_ended(child->pid);
    Reaper reaper;
    ExitStatus status;
    reaper.watch(child->pid, [&](const ChildEnd& end) { status = end.status; });
    reaper.collect();
    CHECK(status == ExitStatus{true, SIGKILL, false});
    CHECK_FALSE(send_signal(child->pid, child->pidfd, SIGTERM));
}

TEST_CASE("descendants are found at every depth, and ended") {
    become_subreaper();
    auto child = start_child(spec_of({"/bin/sh", "-c",
                                      "tail -f /dev/null & (sh -c 'setsid sh -c \"echo deep; tail "
                                      "-f /dev/null\" & wait' &) ; echo up; wait"}));
    REQUIRE(child);
    std::string output;
    while (output.find("deep") == std::string::npos || output.find("up") == std::string::npos) {
        std::array<char, 64> buffer{};
        const auto size = ::read(child->output.get(), buffer.data(), buffer.size());
        REQUIRE(size > 0);
        output.append(buffer.data(), static_cast<std::size_t>(size));
    }
    CHECK(live_descendants(::getpid()).size() >= 2);
    Reaper reaper;
    while (signal_descendants(SIGKILL) > 0) {
    }
    siginfo_t info{};
    while (::waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0) reaper.collect();
    CHECK(live_descendants(::getpid()).empty());
}

TEST_CASE("a line of /proc/PID/stat is read whatever the name in it") {
    const auto plain = parse_process_entry("12 (kms) S 1 12 12 0 -1 4194560 1");
    REQUIRE(plain);
    CHECK(plain->pid == 12);
    CHECK(plain->parent == 1);
    CHECK(plain->session == 12);
    CHECK(plain->state == 'S');
    const auto odd = parse_process_entry("7 (a) R 9 (x) D 3 4 5 0 -1");
    REQUIRE(odd);
    CHECK(odd->comm == "a) R 9 (x");
    CHECK(odd->state == 'D');
    CHECK(odd->parent == 3);
    for (const auto* bad : {"", "12", "12 (x", "12 (x)", "12 (x) S", "12 )x( S 1 2 3 4",
                            "x (y) S 1 2 3 4", "12 (x) SS 1 2 3"})
        CHECK_FALSE(parse_process_entry(bad));
}

TEST_CASE("the numbers of this process are plausible") {
    const auto status = read_process_status(::getpid());
    REQUIRE(status);
    CHECK(status->rss_bytes > 1024 * 1024);
    CHECK(status->virtual_bytes > status->rss_bytes);
    CHECK(status->threads >= 1);
    CHECK(status->open_fds >= 3);
    CHECK(status->max_fds >= status->open_fds);
    std::uint64_t threads = 0;
    for (const auto& [state, count] : status->thread_states) threads += count;
    CHECK(threads == status->threads);
    CHECK_FALSE(read_process_status(0x7ffffff0));
}

TEST_CASE("listening sockets are found with their owner") {
    const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(socket.get(), 1) == 0);
    socklen_t size = sizeof address;
    ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size);
    const auto port = ntohs(address.sin_port);
    const auto owner_of = [&](const std::vector<Listener>& listeners) {
        for (const auto& listener : listeners)
            if (listener.port == port)
                return listener.address + " " + listener.owner + " " + std::to_string(listener.pid);
        return std::string();
    };
    CHECK(owner_of(find_listeners({{::getpid(), "kms"}}, 1)) ==
          "127.0.0.1 kms " + std::to_string(::getpid()));
    CHECK_THAT(owner_of(find_listeners({}, port)),
               Catch::EndsWith(" " + std::to_string(::getpid())));
}

TEST_CASE("the kernel's table of sockets is read") {
    const auto lines = parse_listeners(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
        "timeout inode\n"
        "   0: 0100007F:23F0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        "
        "0 4242 1 0 100 0 0 10 0\n"
        "   1: 0100007F:23F0 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        "
        "0 4243 1 0 20 4 30 10 -1\n"
        "   2: rubbish\n",
        false);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].address == "127.0.0.1");
    CHECK(lines[0].port == 9200);
    CHECK(lines[0].inode == 4242);
    const auto six = parse_listeners(
        "h\n 0: 00000000000000000000000001000000:23F0 00000000000000000000000000000000:0000 0A 0:0 "
        "0:0 0 0 0 7 1\n",
        true);
    REQUIRE(six.size() == 1);
    CHECK(six[0].address == "::1");
}

TEST_CASE("a service's environment is an allow list") {
    ServicePlan service;
    service.name = "kms";
    service.env = {{"OWN", "1"}, {"RUST_LOG", " info, dstack_kms=debug "}};
    service.env_pass = {"KMS_DOMAIN", "NOTIFY_SOCKET", "LISTEN_FDS", "NOT_SET"};
    const std::map<std::string, std::string> own = {{"PATH", "/bin"},
                                                    {"HOME", "/root"},
                                                    {"KMS_DOMAIN", "kms.example"},
                                                    {"SECRET_X", "no"},
                                                    {"NOTIFY_SOCKET", "@x"},
                                                    {"LISTEN_FDS", "1"},
                                                    {"WATCHDOG_USEC", "1"},
                                                    {"CREDENTIALS_DIRECTORY", "/x"}};
    std::vector<std::string> warnings;
    const auto environment = service_environment(service, own, {}, warnings);
    CHECK(environment == std::vector<std::string>{"HOME=/root", "KMS_DOMAIN=kms.example", "OWN=1",
                                                  "PATH=/bin", "RUST_LOG=info,dstack_kms=debug"});
    CHECK(warnings.empty());
}

TEST_CASE("secrets come from variables, credentials and files, and win over everything else") {
    const auto directory =
        std::filesystem::temp_directory_path() / ("secret-" + std::to_string(::getpid()));
    std::filesystem::create_directory(directory);
    const auto write = [&](const std::string& file, const std::string& text, int mode) {
        std::ofstream(directory / file) << text;
        std::filesystem::permissions(directory / file, std::filesystem::perms(mode));
        return (directory / file).string();
    };
    ServicePlan service;
    service.name = "kms";
    service.env = {{"A", "plain"}};
    service.secret_env = {{"A", {SecretSource::From::environment, "FROM"}},
                          {"B", {SecretSource::From::credential, "b"}},
                          {"C", {SecretSource::From::file, write("c", "from file\r\n", 0400)}}};
    write("b", "from credential\n", 0400);
    const std::map<std::string, std::string> own = {{"FROM", "from variable"},
                                                    {"CREDENTIALS_DIRECTORY", directory.string()}};
    std::vector<std::string> warnings;
    const auto secrets = read_secrets(service, own, warnings);
    REQUIRE(secrets);
    CHECK(warnings.empty());
    const auto environment = service_environment(service, own, *secrets, warnings);
    const std::vector<std::string> tail(environment.end() - 3, environment.end());
    CHECK(tail == std::vector<std::string>{"A=from variable", "B=from credential", "C=from file"});
    CHECK(std::count(environment.begin(), environment.end(), "A=plain") == 0);

    SECTION("a variable that is not set is a warning") {
        CHECK(read_secrets(service, {{"CREDENTIALS_DIRECTORY", directory.string()}}, warnings)
                  ->size() == 2);
        CHECK(warnings.size() == 1);
    }
    SECTION("a credential that is not there is an error") {
        const auto failed = read_secrets(service, {{"FROM", "x"}}, warnings);
        REQUIRE_FALSE(failed);
        CHECK_THAT(failed.error().context, Catch::Contains("CREDENTIALS_DIRECTORY"));
    }
    SECTION("a file that everybody may write is refused, one that everybody may read is told") {
        write("b", "x", 0602);
        CHECK_FALSE(read_secrets(service, own, warnings));
        write("b", "from credential\n", 0444);
        CHECK(read_secrets(service, own, warnings));
        CHECK(warnings.size() == 1);
    }
    std::filesystem::remove_all(directory);
}

TEST_CASE("closed standard descriptors are opened on /dev/null") {
    const int pid = ::fork();
    if (pid == 0) {
        ::close(0);
        ::close(2);
        open_standard_descriptors();
        ::_exit(::fcntl(0, F_GETFD) == 0 && ::fcntl(2, F_GETFD) == 0 && ::fcntl(3, F_GETFD) != -2
                    ? 0
                    : 1);
    }
    wait_ended(pid);
    Reaper reaper;
    int code = -1;
    reaper.watch(pid, [&](const ChildEnd& end) { code = end.status.code; });
    reaper.collect();
    CHECK(code == 0);
}

TEST_CASE("the launcher's own cgroup is found, in a namespace too") {
    const std::string mounts =
        "24 1 0:22 / /proc rw - proc proc rw\n30 1 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 "
        "cgroup2 rw\n";
    CHECK(own_cgroup("0::/system.slice/kms.service\n", mounts) ==
          "/sys/fs/cgroup/system.slice/kms.service");
    CHECK(own_cgroup("9:pids:/a\n0::/\n", mounts) == "/sys/fs/cgroup");
    CHECK(own_cgroup("0::/docker/1/x\n",
                     "30 1 0:26 /docker/1 /sys/fs/cgroup rw - cgroup2 cgroup rw\n") ==
          "/sys/fs/cgroup/x");
    CHECK(own_cgroup("9:pids:/a\n", mounts).empty());
    CHECK(own_cgroup("0::/a\n", "24 1 0:22 / /proc rw - proc proc rw\n").empty());
}

TEST_CASE("bounds that need a cgroup are written into a leaf of it") {
    const auto directory =
        std::filesystem::temp_directory_path() / ("cgroup-" + std::to_string(::getpid()));
    const auto leaf = directory / "service-kms";
    // Files as the kernel makes them; here they only remember what is written.
    for (const auto& path : {directory / "launcher", leaf})
        std::filesystem::create_directories(path);
    const auto touch = [](const std::filesystem::path& path) { std::ofstream(path).flush(); };
    touch(directory / "cgroup.subtree_control");
    std::ofstream(directory / "cgroup.controllers") << "cpuset cpu io memory pids\n";
    touch(directory / "launcher" / "cgroup.procs");
    for (const auto* file : {"cgroup.procs", "memory.high", "memory.max", "memory.oom.group",
                             "pids.max", "cpu.weight"})
        touch(leaf / file);
    const auto text_of = [](const std::filesystem::path& path) {
        std::string text;
        std::getline(std::ifstream(path), text);
        return text;
    };

    auto spec = spec_of({"/bin/sh", "-c", "exit 0"});
    spec.service.name = "kms";
    CHECK_FALSE(spec.service.limits.needs_cgroup());
    spec.service.limits.memory_max = 256 * 1024 * 1024;
    spec.service.limits.pids_max = 100;
    CHECK(spec.service.limits.needs_cgroup());
    {
        ServiceCgroups cgroups(directory.string());
        const auto processes = cgroups.prepare(spec.service);
        REQUIRE(processes);
        spec.cgroup_procs = processes->get();
        CHECK_FALSE(run_to_end(spec).fault);
        CHECK(text_of(directory / "cgroup.subtree_control") == "+memory +pids +cpu");
        CHECK(text_of(directory / "launcher" / "cgroup.procs") == "0");  // the launcher moved
        CHECK(text_of(leaf / "cgroup.procs") == "0");                    // the child moved
        CHECK(cgroups.effective("kms").at("memory.max") == "268435456");
        CHECK(text_of(leaf / "memory.oom.group") == "1");
        CHECK(text_of(leaf / "pids.max") == "100");
        CHECK(text_of(leaf / "cpu.weight").empty());
    }
    SECTION("without a cgroup there is a sentence") {
        ServiceCgroups none("");
        CHECK_THAT(none.prepare(spec.service).error().context, Catch::Contains("no cgroup v2"));
        ServiceCgroups foreign("/nonexistent");
        CHECK_THAT(foreign.prepare(spec.service).error().context,
                   Catch::Contains("'/nonexistent' has no controller 'memory' to give"));
    }
    SECTION("a cgroup without the controllers is left as it is") {
        const auto bare = directory / "bare";
        std::filesystem::create_directories(bare);
        std::ofstream(bare / "cgroup.controllers") << "hugetlb memory pids\n";
        ServiceCgroups cgroups(bare.string());
        CHECK_THAT(cgroups.prepare(spec.service).error().context,
                   Catch::Contains("has no controller 'cpu' to give"));
        CHECK_FALSE(std::filesystem::exists(bare / "launcher"));
    }
    SECTION("a child that may not move there says so") {
        const Descriptor full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
        spec.cgroup_procs = full.get();
        const auto ran = run_to_end(spec);
        REQUIRE(ran.fault);
        CHECK_THAT(ran.fault->text, Catch::StartsWith("moving into the cgroup failed"));
    }
    std::filesystem::remove_all(directory);
}

TEST_CASE("the limits in force are read back") {
    const auto limits = read_process_limits(::getpid());
    CHECK(limits.size() == 4);
    CHECK_FALSE(limits.at("nofile").empty());
    CHECK(read_process_limits(0x7ffffff0).empty());
}
