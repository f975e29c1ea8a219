#include "launcher/evidence/socket_text.hpp"
#include "launcher/evidence/syscall_names.hpp"
#include "launcher/evidence/system_text.hpp"
#include "launcher/evidence/thread_text.hpp"

#include <catch2/catch.hpp>
#include <sys/syscall.h>

using namespace launcher::evidence;
using namespace std::chrono_literals;

namespace {

TaskTexts task(int tid, const std::string& state, const std::string& syscall,
               const std::string& schedstat, const std::string& wchan = "futex_wait_queue") {
    TaskTexts texts;
    texts.tid = tid;
    texts.comm = "tokio (1) x\n";
    texts.stat = std::to_string(tid) + " (tokio (1) x) " + state +
                 " 1 5 5 0 -1 4194560 1 2 3 4 17 5 0 0 20 0 8 0 100\n";
    texts.status =
        "Name:\ttokio\nTracerPid:\t0\nvoluntary_ctxt_switches:\t12\n"
        "nonvoluntary_ctxt_switches:\t3\n";
    texts.schedstat = schedstat;
    texts.wchan = wchan;
    texts.syscall = syscall;
    return texts;
}

std::string call(long number, const std::string& first, const std::string& second = "0x0") {
    return std::to_string(number) + " " + first + " " + second +
           " 0x0 0x0 0x0 0x0 0x7ffd00001000 0x7f0000002000\n";
}

}  // namespace

TEST_CASE("the file of a thread's system call has three forms") {
    CHECK(parse_syscall("running\n").where == SyscallText::Where::running);
    CHECK(parse_syscall("-1 0x7ffd 0x7f00\n").where == SyscallText::Where::outside);
    const auto inside = parse_syscall(call(SYS_write, "0x1", "0x7f12"));
    CHECK(inside.where == SyscallText::Where::inside);
    CHECK(inside.number == SYS_write);
    CHECK(inside.arguments[0] == 1);
    CHECK(inside.arguments[1] == 0x7f12);
    for (const auto* broken : {"", "\n", "x", "run", "12a"}) {
        INFO(broken);
        CHECK_NOTHROW(parse_syscall(broken));
    }
    CHECK(parse_syscall("").where == SyscallText::Where::unknown);
}

TEST_CASE("names of system calls") {
    CHECK(syscall_name(SYS_futex) == "futex");
    CHECK(syscall_name(SYS_accept4) == "accept4");
    CHECK(syscall_name(9999) == "syscall 9999");
    CHECK(takes_descriptor(SYS_epoll_pwait));
    CHECK_FALSE(takes_descriptor(SYS_futex));
    CHECK(takes_buffer(SYS_read));
    CHECK(is_event_wait("epoll_wait"));
    CHECK_FALSE(is_event_wait("read"));
}

TEST_CASE("three looks at a thread become shares of the sample, and addresses ordinals") {
    std::vector<Look> looks(3);
    for (std::size_t i = 0; i < looks.size(); ++i) {
        looks[i].at = 500ms * i;
        const auto used = std::to_string(450'000'000 * i);
        looks[i].threads = {
            parse_task(task(7, "S", call(SYS_futex, "0x7fabc0"), "100 0 1")),
            parse_task(task(8, "S", call(SYS_futex, "0x7fabc0"), "100 0 1")),
            parse_task(task(9, "S", call(SYS_futex, "0x7fabd0"), "100 0 1")),
            parse_task(task(10, "R", "running\n", used + " 100000000 5", "0")),
            parse_task(task(11, "S", call(i == 1 ? SYS_read : SYS_write, "0x2", "0x7f01"),
                            "100 0 1", "anon_pipe_write"))};
    }
    const auto threads = compare_looks(looks);
    REQUIRE(threads.size() == 5);
    CHECK(threads[0].name == "tokio (1) x");
    CHECK(threads[0].states == "SSS");
    CHECK(threads[0].steady);
    CHECK(threads[0].futex == 1);
    CHECK(threads[1].futex == 1);
    CHECK(threads[2].futex == 2);
    CHECK(threads[3].cpu_share == Approx(0.9));
    CHECK(threads[3].syscall == "running");
    CHECK(threads[3].wchan.empty());
    CHECK(threads[4].descriptor == 2);
    CHECK(threads[4].buffer == 1);
    CHECK_FALSE(threads[4].steady);  // it was in another call in between
    CHECK(compare_looks({}).empty());
}

TEST_CASE("a thread that came within the sample is no steady one") {
    std::vector<Look> looks(2);
    looks[1].at = 1s;
    looks[1].threads = {parse_task(task(7, "S", call(SYS_futex, "0x1"), "1 1 1"))};
    const auto threads = compare_looks(looks);
    REQUIRE(threads.size() == 1);
    CHECK(threads[0].states == "-S");
    CHECK_FALSE(threads[0].steady);
    CHECK(threads[0].cpu_share == 0);
}

TEST_CASE("targets are named by descriptor and socket") {
    std::vector<ThreadFacts> threads(3);
    threads[0].futex = 2;
    threads[1].descriptor = 5;
    threads[2].descriptor = 1;
    SocketFacts socket;
    socket.inode = 44;
    socket.local = "127.0.0.1:1";
    socket.peer = "127.0.0.1:2";
    name_targets(threads, {parse_link(5, "socket:[44]", {}), parse_link(1, "pipe:[4]", {})},
                 {socket});
    CHECK(threads[0].target == "futex#2");
    CHECK(threads[1].target == "socket 127.0.0.1:1 to 127.0.0.1:2");
    CHECK(threads[2].target == "pipe");
}

TEST_CASE("kernel stacks lose their addresses") {
    CHECK(parse_stack("[<0>] hrtimer_nanosleep+0x74/0xf0\n[<0>] do_syscall_64+0x71/0x280\n"
                      "[<0>] 0xffffffffa0001000\n") ==
          std::vector<std::string>{"hrtimer_nanosleep", "do_syscall_64"});
    CHECK(parse_stack("").empty());
}

TEST_CASE("descriptors by kind; names of secret files are not kept") {
    struct Row {
        const char* link;
        const char* kind;
        std::uint64_t inode;
        const char* text;
    };
    const auto row = GENERATE(values<Row>({{"socket:[12]", "socket", 12, ""},
                                           {"pipe:[7]", "pipe", 7, ""},
                                           {"anon_inode:[eventpoll]", "eventpoll", 0, ""},
                                           {"anon_inode:inotify", "inotify", 0, ""},
                                           {"/dev/null", "device", 0, "/dev/null"},
                                           {"/etc/kms.toml", "file", 0, "/etc/kms.toml"},
                                           {"/run/secrets/rpc", "file", 0, "/run/secrets/"},
                                           {"/run/secretsx/rpc", "file", 0, "/run/secretsx/rpc"},
                                           {"", "other", 0, ""}}));
    INFO(row.link);
    const auto facts = parse_link(3, row.link, {"/run/secrets", ""});
    CHECK(facts.number == 3);
    CHECK(facts.kind == row.kind);
    CHECK(facts.inode == row.inode);
    CHECK(facts.text == row.text);
}

TEST_CASE("fdinfo in a few words") {
    CHECK(parse_fdinfo("eventpoll",
                       "pos:\t0\nflags:\t02000002\ntfd: 5 events: 19\ntfd: 7 events: "
                       "19\n") == "watches 2");
    CHECK(parse_fdinfo("eventfd", "eventfd-count:               1f\n") == "count 31");
    CHECK(parse_fdinfo("timerfd", "it_value: (1, 500000000)\n") == "fires in 1500 ms");
    CHECK(parse_fdinfo("timerfd", "it_value: (0, 0)\n") == "not armed");
    CHECK(parse_fdinfo("pipe", "flags:\t0104001\n") == "non-blocking");
    CHECK(parse_fdinfo("pipe", "flags:\t0100001\n").empty());
    CHECK(parse_fdinfo("timerfd", "it_value: nonsense\n").empty());
}

TEST_CASE("sockets from /proc/net") {
    const auto sockets = parse_net_tcp(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
        "timeout "
        "inode\n"
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000 0 77 1\n"
        "   1: 0100007F:1F90 0100007F:C001 01 00000010:00000000 00:00000000 00000000  1000 0 0 1\n"
        "   2: 0100007F:C002 0100007F:2386 01 00000000:00000000 00:00000000 00000000  1000 0 78 1\n"
        "   3: broken\n",
        false);
    REQUIRE(sockets.size() == 3);
    CHECK(sockets[0].listening());
    CHECK(sockets[0].local == "127.0.0.1:8080");
    CHECK(sockets[0].receive_queue == 3);
    CHECK_FALSE(sockets[0].queue_full());  // its limit is not known here
    CHECK(sockets[1].send_queue == 16);
    CHECK(sockets[2].peer == "127.0.0.1:9094");

    const auto own = own_sockets(sockets, {parse_link(3, "socket:[77]", {})});
    REQUIRE(own.size() == 2);  // with the connection that nobody has accepted
    CHECK(own[1].inode == 0);

    const auto six = parse_net_tcp(
        "   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A "
        "00000000:00000000 00:00000000 00000000 0 0 5 1\n",
        true);
    REQUIRE(six.size() == 1);
    CHECK(six[0].local == "[::1]:80");

    const auto local = parse_net_unix(
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 21 /run/x.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 22\n");
    REQUIRE(local.size() == 2);
    CHECK(local[0].local == "/run/x.sock");
    CHECK(local[1].state == "ESTABLISHED");
}

TEST_CASE("process numbers and what grew over the sample") {
    const auto process = parse_process(
        {{"io", "syscr: 10\nread_bytes: 100\nwrite_bytes: 7\n"}},
        {{"stat", "5 (a b) D 1\n"},
         {"status", "TracerPid:\t9\nVmRSS:\t  12 kB\nThreads:\t3\n"},
         {"io", "syscr: 15\nread_bytes: 4196\nwrite_bytes: 7\n"},
         {"limits",
          "Limit                     Soft Limit           Hard Limit           Units\n"
          "Max open files            1024                 65536                files\n"},
         {"oom_score", "666\n"}});
    CHECK(process.state == 'D');
    CHECK(process.tracer == 9);
    CHECK(process.rss_bytes == 12 * 1024);
    CHECK(process.threads == 3);
    CHECK(process.fd_limit == 1024);
    CHECK(process.read_bytes == 4096);
    CHECK(process.read_calls == 5);
    CHECK(process.written_bytes == 0);
    CHECK(process.oom_score == 666);
    CHECK(parse_process({}, {}).fd_limit == 0);
    CHECK(file_table_full("1000\t0\t1000\n"));
    CHECK_FALSE(file_table_full("1216\t0\t2466183\n"));
    CHECK_FALSE(file_table_full(""));
}

TEST_CASE("control groups of both versions, up to the mount point") {
    const auto v2 = cgroup_places("0::/system.slice/kms.service/service-kms\n",
                                  "30 1 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
    REQUIRE(v2.size() == 4);
    CHECK(v2[0].directory == "/sys/fs/cgroup/system.slice/kms.service/service-kms");
    CHECK(v2[3].directory == "/sys/fs/cgroup");
    CHECK(v2[3].shown == "/");

    const auto v1 =
        cgroup_places("8:pids:/\n4:memory:/a/b\n3:cpuset:/\n1:cpu,cpuacct:/c\n",
                      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                      "35 31 0:32 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                      "33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n");
    std::vector<std::string> directories;
    for (const auto& place : v1) directories.push_back(place.directory);
    CHECK(directories ==
          std::vector<std::string>{"/sys/fs/cgroup/memory/b", "/sys/fs/cgroup/memory",
                                   "/sys/fs/cgroup/cpu,cpuacct/c", "/sys/fs/cgroup/cpu,cpuacct"});
    CHECK(cgroup_places("", "").empty());
    CHECK(cgroup_places("nonsense\n1:2\n", "x - y\n").empty());
}

TEST_CASE("a level of a control group") {
    const CgroupPlace place{"/sys/fs/cgroup/x", "/x", true};
    const auto level =
        parse_cgroup(place,
                     {{"memory.events", "low 0\nhigh 3\noom_kill 0\n"},
                      {"cpu.stat", "usage_usec 1\nnr_periods 100\nnr_throttled 10\n"}},
                     {{"memory.current", "1000\n"},
                      {"memory.max", "max\n"},
                      {"memory.high", "900\n"},
                      {"memory.events", "low 0\nhigh 5\noom_kill 1\n"},
                      {"memory.pressure",
                       "some avg10=40.00 avg60=1 avg300=1 total=5\nfull avg10=21.50 avg60=1 "
                       "avg300=1 total=3\n"},
                      {"cpu.stat", "usage_usec 2\nnr_periods 120\nnr_throttled 29\n"},
                      {"pids.current", "4\n"}});
    CHECK(level.memory_current == 1000);
    CHECK_FALSE(level.memory_max);
    CHECK(level.memory_high == 900);
    CHECK(level.new_events == std::map<std::string, std::uint64_t>{{"high", 2}, {"oom_kill", 1}});
    CHECK(level.periods == 20);
    CHECK(level.throttled == 19);
    CHECK(level.memory_full_avg10 == Approx(21.5));
    CHECK(level.pids_current == 4);

    const auto old =
        parse_cgroup({"/sys/fs/cgroup/memory", "/", false}, {{"memory.failcnt", "7\n"}},
                     {{"memory.usage_in_bytes", "5\n"},
                      {"memory.limit_in_bytes", "9223372036854771712\n"},
                      {"memory.failcnt", "9\n"},
                      {"memory.oom_control", "oom_kill_disable 0\noom_kill 2\n"}});
    CHECK_FALSE(old.memory_max);
    CHECK(old.new_events == std::map<std::string, std::uint64_t>{{"max", 2}});
    CHECK(old.memory_events.at("oom_kill") == 2);
}

TEST_CASE("pressure over the sample") {
    const std::string before = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\n";
    const std::string now = "some avg10=9.00 avg60=0.00 avg300=0.00 total=1900000\n";
    CHECK(*stalled_share("some", before, now, 1s) == Approx(90));
    CHECK_FALSE(stalled_share("full", before, now, 1s));
    CHECK_FALSE(stalled_share("some", before, now, 0s));
    CHECK(*stalled_avg10("some", now) == Approx(9));
    CHECK_FALSE(stalled_avg10("some", ""));
    CHECK(parse_meminfo("MemTotal:  10 kB\nMemFree:    5 kB\nBuffers: 1 kB\n") ==
          std::map<std::string, std::uint64_t>{{"MemTotal", 10}, {"MemFree", 5}});
}

TEST_CASE("the busiest other processes") {
    const auto stat = [](int pid, int ticks) {
        return std::to_string(pid) + " (p) R 1 1 1 0 -1 0 0 0 0 0 " + std::to_string(ticks) +
               " 0 0 0\n";
    };
    const auto others =
        busiest({{1, stat(1, 0)}, {2, stat(2, 5)}, {3, stat(3, 5)}, {4, stat(4, 1)}},
                {{1, stat(1, 90)}, {2, stat(2, 5)}, {3, stat(3, 55)}, {5, "x"}}, 1s, 100, {1});
    REQUIRE(others.size() == 1);
    CHECK(others[0].pid == 3);
    CHECK(others[0].cpu_share == Approx(0.5));
}
