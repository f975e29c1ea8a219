#include "launcher/evidence/rules.hpp"

#include <functional>

#include <catch2/catch.hpp>

using namespace launcher;
using namespace launcher::evidence;

namespace {

ThreadFacts thread(const std::string& call, const std::string& states = "SSS") {
    ThreadFacts facts;
    facts.tid = 100;
    facts.name = "worker";
    facts.states = states;
    facts.steady = true;
    facts.syscall = call;
    return facts;
}
ThreadFacts locked(int futex) {
    auto facts = thread("futex");
    facts.futex = futex;
    return facts;
}
ThreadFacts writer(int descriptor, const std::string& wchan = "anon_pipe_write") {
    auto facts = thread("write");
    facts.descriptor = descriptor;
    facts.wchan = wchan;
    return facts;
}
ThreadFacts busy(double cpu, double waited = 0) {
    auto facts = thread("running", "RRR");
    facts.steady = false;
    facts.cpu_share = cpu;
    facts.wait_share = waited;
    facts.user_ticks = static_cast<std::uint64_t>(cpu * 100);
    return facts;
}
DescriptorFacts pipe(int number, std::uint64_t inode) {
    DescriptorFacts facts;
    facts.number = number;
    facts.kind = "pipe";
    facts.inode = inode;
    return facts;
}
SocketFacts listener(std::uint64_t waiting, std::uint64_t limit) {
    SocketFacts socket;
    socket.family = "tcp";
    socket.state = "LISTEN";
    socket.local = "127.0.0.1:80";
    socket.local_port = 80;
    socket.receive_queue = waiting;
    socket.send_queue = limit;
    socket.inode = 1;
    return socket;
}
SocketFacts connection(std::uint16_t local, std::uint16_t peer, std::uint64_t queued = 0) {
    SocketFacts socket;
    socket.family = "tcp";
    socket.state = "ESTABLISHED";
    socket.local_port = local;
    socket.peer_port = peer;
    socket.peer = "127.0.0.1:" + std::to_string(peer);
    socket.send_queue = queued;
    socket.inode = 2;
    return socket;
}
ProbeHistory probe(const std::string& name, ProbeOutcome outcome) {
    ProbeResult result;
    result.outcome = outcome;
    return {name, {result}};
}

struct Row {
    const char* name;
    const char* rule;
    std::function<void(Facts&)> make;
};

const std::vector<Row>& rows() {
    static const std::vector<Row> table = {
        {"a writer in a full pipe, others behind a lock", "F1",
         [](Facts& f) {
             f.threads = {writer(1), locked(1), locked(1), locked(1)};
             f.descriptors = {pipe(1, 9)};
         }},
        {"stderr counts, too, and a kernel that names no place", "F1",
         [](Facts& f) {
             f.threads = {writer(2, "")};
             f.descriptors = {pipe(2, 9)};
         }},
        {"a write to a file is something else", "F11",
         [](Facts& f) {
             f.threads = {writer(1, "")};
             f.descriptors = {pipe(1, 9)};
             f.descriptors[0].kind = "file";
         }},
        {"a writer that moves is not stuck", "F11",
         [](Facts& f) {
             f.threads = {writer(1)};
             f.threads[0].steady = false;
             f.descriptors = {pipe(1, 9)};
         }},
        {"all threads behind locks", "F2",
         [](Facts& f) { f.threads = {locked(1), locked(1), locked(2)}; }},
        {"every thread behind a lock of its own is no queue", "F11",
         [](Facts& f) { f.threads = {locked(1), locked(2)}; }},
        {"one thread in epoll", "F11",
         [](Facts& f) { f.threads = {locked(1), locked(1), thread("epoll_wait")}; }},
        {"locks, but somebody ran", "F11",
         [](Facts& f) {
             f.threads = {locked(1), locked(1)};
             f.threads[1].user_ticks = 3;
         }},
        {"alive, its upstream is not", "F3",
         [](Facts& f) {
             f.threads = {thread("epoll_wait"), locked(1)};
             f.probes = {probe("liveness", ProbeOutcome::ok),
                         probe("readiness", ProbeOutcome::http_headers_timeout)};
             f.sockets = {listener(0, 128), connection(40000, 8545)};
         }},
        {"a caller of ours is no upstream", "F11",
         [](Facts& f) {
             f.threads = {thread("epoll_wait")};
             f.probes = {probe("liveness", ProbeOutcome::ok),
                         probe("readiness", ProbeOutcome::http_headers_timeout)};
             f.sockets = {listener(0, 128), connection(80, 50000)};
         }},
        {"an upstream that does not take what we send", "F11",
         [](Facts& f) {
             f.threads = {thread("epoll_wait")};
             f.probes = {probe("liveness", ProbeOutcome::ok),
                         probe("readiness", ProbeOutcome::http_headers_timeout)};
             f.sockets = {connection(40000, 8545, 17)};
         }},
        {"spinning", "F4", [](Facts& f) { f.threads = {busy(0.99), locked(1)}; }},
        {"spinning on a busy host", "F4", [](Facts& f) { f.threads = {busy(0.4, 0.55)}; }},
        {"spinning on a host that is very busy", "F4",
         [](Facts& f) {
             f.pressure.cpu_some = 99;
             f.threads = {busy(0.15, 0.84), locked(1)};
         }},
        {"always ready to run, but it gives the CPU up", "F9",
         [](Facts& f) {
             f.pressure.cpu_some = 99;
             f.threads = {busy(0.15, 0.84)};
             f.threads[0].voluntary = 5;
         }},
        {"two spin", "F4", [](Facts& f) { f.threads = {busy(0.9), busy(0.95)}; }},
        {"one spins, another works", "F11", [](Facts& f) { f.threads = {busy(0.9), busy(0.5)}; }},
        {"uninterruptible", "F5",
         [](Facts& f) {
             f.threads = {thread("vfork", "DDD")};
             f.threads[0].wchan = "kernel_clone";
         }},
        {"a short D", "F11", [](Facts& f) { f.threads = {thread("read", "SDS")}; }},
        {"stopped", "F6",
         [](Facts& f) {
             f.threads = {thread("futex", "TTT"), thread("futex", "TTT")};
             f.threads[0].futex = f.threads[1].futex = 1;
             f.process.state = 'T';
         }},
        {"traced", "F6",
         [](Facts& f) {
             f.threads = {thread("pause", "ttt")};
             f.process.state = 't';
             f.process.tracer = 77;
         }},
        {"no descriptors", "F7",
         [](Facts& f) {
             f.threads = {thread("poll")};
             f.process.open_fds = f.process.fd_limit = 64;
         }},
        {"a reserve of descriptors, a full queue", "F7",
         [](Facts& f) {
             f.threads = {thread("poll")};
             f.process.open_fds = 60;
             f.process.fd_limit = 64;
             f.sockets = {listener(129, 128)};
         }},
        {"an unknown limit is no limit", "F11",
         [](Facts& f) {
             f.threads = {thread("poll")};
             f.process.open_fds = 64;
         }},
        {"no file handles in the whole system", "F7",
         [](Facts& f) { f.process.file_table_full = true; }},
        {"memory at its bound", "F8",
         [](Facts& f) {
             CgroupFacts level;
             level.memory_current = level.memory_max = 1000;
             f.cgroups = {CgroupFacts{}, level};
         }},
        {"memory events", "F8",
         [](Facts& f) {
             CgroupFacts level;
             level.new_events = {{"high", 3}};
             f.cgroups = {level};
         }},
        {"pressure of memory", "F8", [](Facts& f) { f.pressure.memory_full = 30; }},
        {"throttled", "F9",
         [](Facts& f) {
             CgroupFacts level;
             level.periods = 50;
             level.throttled = 49;
             f.cgroups = {level};
             f.threads = {busy(0.85)};
         }},
        {"a busy host that lets it wait", "F9",
         [](Facts& f) {
             f.pressure.cpu_some = 95;
             f.threads = {busy(0.1, 0.85)};
         }},
        {"a busy host does not starve who sleeps", "F11",
         [](Facts& f) {
             f.pressure.cpu_some = 99;
             f.threads = {thread("poll")};
         }},
        {"nobody accepts", "F10",
         [](Facts& f) {
             f.threads = {thread("pause")};
             f.sockets = {listener(2, 1)};
         }},
        {"somebody accepts", "F11",
         [](Facts& f) {
             f.threads = {thread("accept4")};
             f.sockets = {listener(2, 1)};
         }},
        {"an empty queue of length 0 is not full", "F11",
         [](Facts& f) {
             f.threads = {thread("pause")};
             f.sockets = {listener(0, 0)};
         }},
        {"nothing at all is known", "F11", [](Facts&) {}},
    };
    return table;
}

}  // namespace

TEST_CASE("facts become the first rule that fits") {
    for (const auto& row : rows()) {
        INFO(row.name);
        Facts facts;
        row.make(facts);
        const auto finding = judge(facts);
        CHECK(finding.rule == row.rule);
        CHECK_FALSE(finding.sentence.empty());
        CHECK_FALSE(finding.launcher_fault);
    }
}

TEST_CASE("the sentences name what was found") {
    Facts facts;
    facts.threads = {writer(1), locked(1), locked(1)};
    facts.descriptors = {pipe(1, 9)};
    CHECK(judge(facts).sentence ==
          "stdout back-pressure: the log reader does not drain (2 threads queue on one lock)");

    SECTION("a pipe of the launcher is the launcher's fault") {
        PipeView own;
        own.inode = 9;
        facts.pipes = {own};
        const auto finding = judge(facts);
        CHECK(finding.launcher_fault);
        CHECK_THAT(finding.sentence, Catch::Contains("internal error"));
    }
    SECTION("the peer") {
        Facts waiting;
        waiting.threads = {thread("epoll_wait")};
        waiting.probes = {probe("startup", ProbeOutcome::ok),
                          probe("readiness", ProbeOutcome::http_body_timeout)};
        waiting.sockets = {connection(40000, 8545), connection(40001, 8545), connection(40002, 1)};
        CHECK(judge(waiting).sentence == "waiting for upstream 127.0.0.1:8545");
    }
    SECTION("the tracer") {
        Facts traced;
        traced.process.state = 't';
        traced.process.tracer = 77;
        CHECK(judge(traced).sentence == "traced by pid 77");
    }
}
