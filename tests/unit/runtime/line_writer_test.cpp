#include "launcher/runtime/line_writer.hpp"

#include "tests/support/pipe.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace runtime;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kLarge = 16 * 1024 * 1024;

std::string announce(std::uint64_t count) {
    return "lost " + std::to_string(count) + "\n";
}

/// "n …\n", 100 bytes.
std::string numbered(std::uint64_t n) {
    std::string line = std::to_string(n) + " ";
    line.resize(99, 'x');
    return line + "\n";
}

std::vector<std::string> split_lines(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    std::string line;
    while (std::getline(in, line)) lines.push_back(line);
    return lines;
}

/// Waits until the writer has met an error, at most 5 s.
int wait_for_error(LineWriter& writer) {
    for (int i = 0; i < 50 && writer.counters().last_error == 0; ++i) writer.flush(100ms);
    return writer.counters().last_error;
}

}  // namespace

TEST_CASE("lines are written in order and counted") {
    test::Pipe pipe;
    pipe.set_capacity(64 * 1024);
    std::string expected;
    {
        LineWriter writer(pipe.write_end(), kLarge);
        for (std::uint64_t i = 0; i < 100; ++i) {
            CHECK(writer.push(numbered(i)));
            expected += numbered(i);
        }
        CHECK(writer.flush(5s));
        const auto counters = writer.counters();
        CHECK(counters.lines_written == 100);
        CHECK(counters.lines_dropped == 0);
        CHECK(counters.queued_bytes == 0);
        CHECK(!counters.closed);
        CHECK(writer.push("end\n"));
    }
    // The destructor flushed, and the writer's own copy of the descriptor went with it: the end of
    // file arrives.
    pipe.close_write();
    CHECK(pipe.read_all() == expected + "end\n");
}

TEST_CASE("lines that follow closely on others are written without being asked for") {
    const auto arrives = [](const test::Pipe& pipe, const std::string& expected) {
        std::string got;
        while (got.size() < expected.size()) {
            pollfd ready{pipe.read_end(), POLLIN, 0};
            char buffer[256];
            if (::poll(&ready, 1, 5000) <= 0) break;
            const ssize_t n = ::read(pipe.read_end(), buffer, sizeof buffer);
            if (n <= 0) break;
            got.append(buffer, static_cast<std::size_t>(n));
        }
        return got == expected;
    };
    test::Pipe pipe;
    LineWriter writer(pipe.write_end(), 1000);
    // The writer gathers lines after the first one; some come then, and some are more than half of
    // what the queue holds.
    for (std::uint64_t round = 0; round < 20; ++round) {
        CHECK(writer.push("first\n"));
        CHECK(arrives(pipe, "first\n"));
        CHECK(writer.push("second\n"));
        CHECK(arrives(pipe, "second\n"));
        for (std::uint64_t i = 0; i < 6; ++i) CHECK(writer.push(numbered(i)));
        std::string many;
        for (std::uint64_t i = 0; i < 6; ++i) many += numbered(i);
        CHECK(arrives(pipe, many));
    }
    CHECK(writer.flush(5s));
    CHECK(writer.counters().lines_written == 160);
}

TEST_CASE("a reader that stalls costs lines, never time, and every gap is announced where it is") {
    test::Pipe pipe;
    pipe.set_capacity(4096);
    auto writer = std::make_unique<LineWriter>(pipe.write_end(), 8192, announce);
    constexpr std::uint64_t kLines = 5000;
    std::uint64_t refused = 0;
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < kLines; ++i)
        if (!writer->push(numbered(i))) ++refused;
    CHECK(std::chrono::steady_clock::now() - start < 5s);
    CHECK(!writer->flush(10ms));
    CHECK(refused >= kLines - (4096 + 8192) / 100 - 1);
    CHECK(writer->counters().lines_dropped == refused);
    CHECK(writer->counters().bytes_dropped == refused * 100);
    CHECK(writer->counters().queued_bytes <= 8192);

    // The reader wakes up, and more lines come meanwhile.
    std::string received;
    std::thread reader([&] { received = pipe.read_all(); });
    for (std::uint64_t i = kLines; i < 2 * kLines; ++i)
        if (!writer->push(numbered(i))) ++refused;
    CHECK(writer->flush(5s));
    const auto counters = writer->counters();
    writer.reset();
    pipe.close_write();
    reader.join();

    std::uint64_t next = 0;  // the number that the next line should have
    std::uint64_t delivered = 0;
    std::uint64_t lost = 0;
    for (const std::string& line : split_lines(received)) {
        if (line.starts_with("lost ")) {
            const std::uint64_t count = std::stoull(line.substr(5));
            lost += count;
            next += count;
            continue;
        }
        REQUIRE(std::stoull(line) == next);
        REQUIRE(line.size() == 99);
        ++next;
        ++delivered;
    }
    CHECK(next == 2 * kLines);
    CHECK(lost == refused);
    CHECK(counters.lines_dropped == refused);
    CHECK(counters.lines_written == delivered);
}

TEST_CASE("a loss is announced even when no line follows") {
    test::Pipe pipe;
    LineWriter writer(pipe.write_end(), 50, announce);
    CHECK(!writer.push(numbered(1)));
    CHECK(writer.flush(5s));
    pipe.close_write();
    CHECK(writer.counters().lines_dropped == 1);
    char text[16] = {};
    REQUIRE(::read(pipe.read_end(), text, sizeof text) == 7);
    CHECK(std::string(text) == "lost 1\n");
}

TEST_CASE("a line longer than one write arrives whole") {
    test::Pipe pipe;
    std::string received;
    std::thread reader([&] { received = pipe.read_all(); });
    const std::string line = std::string(1'000'000, 'y') + "\n";
    auto writer = std::make_unique<LineWriter>(pipe.write_end(), kLarge);
    CHECK(writer->push(line));
    CHECK(writer->flush(5s));
    writer.reset();
    pipe.close_write();
    reader.join();
    CHECK(received == line);
}

TEST_CASE("a writer stuck in write is abandoned") {
    test::Pipe pipe;
    pipe.set_capacity(4096);
    const auto start = std::chrono::steady_clock::now();
    {
        LineWriter writer(pipe.write_end(), kLarge);
        for (std::uint64_t i = 0; i < 1000; ++i) writer.push(numbered(i));
    }
    CHECK(std::chrono::steady_clock::now() - start < 5s);
    // What it had begun comes when the reader wakes up; what it had not is gone, and it writes
    // nothing more.
    pipe.close_write();
    CHECK(pipe.read_all().size() <= 64 * 1024 + 4096);
}

TEST_CASE("a closed pipe closes the writer for good, without a signal") {
    test::Pipe pipe;
    pipe.close_read();
    LineWriter writer(pipe.write_end(), kLarge, announce);
    CHECK(writer.push(numbered(0)));
    CHECK(!writer.flush(5s));
    CHECK(!writer.push(numbered(1)));
    const auto counters = writer.counters();
    CHECK(counters.closed);
    CHECK(counters.last_error == EPIPE);
    CHECK(counters.lines_written == 0);
    CHECK(counters.lines_dropped == 2);
    CHECK(counters.bytes_dropped == 200);
    CHECK(counters.queued_bytes == 0);
}

TEST_CASE("a descriptor that is not open closes the writer") {
    LineWriter writer(-1, kLarge);
    CHECK(writer.push("x\n"));
    CHECK(!writer.flush(5s));
    CHECK(writer.counters().closed);
    CHECK(writer.counters().last_error == EBADF);
    CHECK(writer.counters().lines_dropped == 1);
}

TEST_CASE("a full disk is retried: nothing blocks and no line is torn") {
    const auto path =
        std::filesystem::temp_directory_path() / ("line_writer_test." + std::to_string(::getpid()));
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    // Full in the middle of the first line: wherever the writer's first batch ends, no place in the
    // queue is given back before the disk has room again, so the counts below are exact.
    const rlimit small{50, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    {
        LineWriter writer(file, 5000, announce);
        std::string expected;
        for (std::uint64_t i = 0; i < 30; ++i) {
            writer.push(numbered(i));
            expected += numbered(i);
        }
        const int error = wait_for_error(writer);
        std::uint64_t refused = 0;
        for (std::uint64_t i = 30; i < 100; ++i) {
            if (writer.push(numbered(i)))
                expected += numbered(i);
            else
                ++refused;
        }
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
        CHECK(error == EFBIG);
        CHECK(refused == 50);
        CHECK(writer.flush(20s));
        CHECK(writer.counters().last_error == 0);
        CHECK(writer.counters().lines_written == 50);
        std::ifstream in(path);
        std::ostringstream content;
        content << in.rdbuf();
        CHECK(content.str() == expected + "lost 50\n");
    }
    ::close(file);
    std::filesystem::remove(path);
}

TEST_CASE("a device without space counts what does not fit and lets go at the end") {
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full < 0) {
        WARN("skipped: there is no /dev/full");
        return;
    }
    {
        LineWriter writer(full, 1000);
        for (std::uint64_t i = 0; i < 50; ++i) writer.push(numbered(i));
        CHECK(wait_for_error(writer) == ENOSPC);
        CHECK(writer.counters().lines_dropped == 40);
        CHECK(!writer.counters().closed);
    }
    ::close(full);
}

TEST_CASE("a description that somebody made non-blocking is waited for") {
    test::Pipe pipe;
    pipe.set_capacity(4096);
    REQUIRE(::fcntl(pipe.write_end(), F_SETFL, O_NONBLOCK) == 0);
    auto writer = std::make_unique<LineWriter>(pipe.write_end(), kLarge);
    std::string expected;
    for (std::uint64_t i = 0; i < 500; ++i) {
        writer->push(numbered(i));
        expected += numbered(i);
    }
    std::string received;
    std::thread reader([&] { received = pipe.read_all(); });
    CHECK(writer->flush(10s));
    writer.reset();
    pipe.close_write();
    reader.join();
    CHECK(received == expected);
}

TEST_CASE("several threads may push") {
    test::Pipe pipe;
    std::string received;
    std::thread reader([&] { received = pipe.read_all(); });
    auto writer = std::make_unique<LineWriter>(pipe.write_end(), kLarge);
    std::vector<std::thread> producers;
    for (int thread = 0; thread < 4; ++thread)
        producers.emplace_back([&writer] {
            for (std::uint64_t i = 0; i < 2000; ++i) writer->push(numbered(i));
        });
    for (auto& producer : producers) producer.join();
    CHECK(writer->flush(5s));
    CHECK(writer->counters().lines_written == 8000);
    writer.reset();
    pipe.close_write();
    reader.join();
    CHECK(received.size() == 8000 * 100);
}

TEST_CASE("the writer thread takes no signals, and the caller's mask is as before") {
    sigset_t before;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
    test::Pipe pipe;
    LineWriter writer(pipe.write_end(), kLarge);
    sigset_t after;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
    bool found = false;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream status(task.path() / "status");
        std::string line;
        while (std::getline(status, line)) {
            if (!line.starts_with("SigBlk:")) continue;
            const unsigned long blocked = std::stoul(line.substr(7), nullptr, 16);
            const auto has = [&](int signal) { return (blocked >> (signal - 1) & 1U) != 0; };
            if (has(SIGTERM) && has(SIGCHLD) && has(SIGPIPE) && has(SIGHUP)) found = true;
        }
    }
    CHECK(found);
    for (int signal = 1; signal < 32; ++signal)
        CHECK(sigismember(&before, signal) == sigismember(&after, signal));
}
