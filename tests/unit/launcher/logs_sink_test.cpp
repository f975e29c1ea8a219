#include "launcher/logs/encode.hpp"
#include "launcher/logs/sink.hpp"
#include "tests/support/temporary_directory.hpp"

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

using namespace launcher;
using namespace launcher::logs;
using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::LogLevel;
using std::chrono::steady_clock;

namespace {

Deadline in(std::chrono::milliseconds span) {
    return Deadline::after(steady_clock::now(), span);
}

/// An output that does what the test says: wait, fail, take a little.
class FakeOutput final : public SinkOutput {
  public:
    struct Shared {
        std::mutex mutex;
        std::condition_variable changed;
        bool open = true;  ///< closed: write() waits
        bool cancelled = false;
        int error = 0;  ///< what write() fails with
        std::size_t piece = 1 << 20;
        std::size_t limit = 1 << 20;
        std::string written;
        int writes = 0, reopened = 0, synced = 0;

        void set(bool now_open, int now_error = 0) {
            const std::lock_guard lock(mutex);
            open = now_open;
            error = now_error;
            changed.notify_all();
        }
        bool wait_for_writes(int count) {
            std::unique_lock lock(mutex);
            return changed.wait_for(lock, 10s, [&] { return writes >= count; });
        }
        std::string text() {
            const std::lock_guard lock(mutex);
            return written;
        }
    };
    explicit FakeOutput(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
    std::size_t group_limit() const override { return shared_->limit; }
    long write(std::string_view bytes, bool) override {
        std::unique_lock lock(shared_->mutex);
        ++shared_->writes;
        shared_->changed.notify_all();
        shared_->changed.wait(lock, [this] { return shared_->open || shared_->cancelled; });
        if (shared_->cancelled) return -ECANCELED;
        if (shared_->error != 0) return -shared_->error;
        bytes = bytes.substr(0, shared_->piece);
        shared_->written += bytes;
        return static_cast<long>(bytes.size());
    }
    void cancel() override {
        const std::lock_guard lock(shared_->mutex);
        shared_->cancelled = true;
        shared_->changed.notify_all();
    }
    bool reopen() override {
        const std::lock_guard lock(shared_->mutex);
        ++shared_->reopened;
        shared_->changed.notify_all();
        return true;
    }
    void sync() override {
        const std::lock_guard lock(shared_->mutex);
        ++shared_->synced;
    }

  private:
    std::shared_ptr<Shared> shared_;
};

struct Fixture {
    explicit Fixture(std::size_t queue = 1 << 20)
        : sink("fake", queue, std::make_unique<FakeOutput>(output), news) {}
    void push(std::string_view text, LogLevel level = LogLevel::info) {
        QueuedRecord record;
        record.level = level;
        sink.push(record, text);
    }
    std::shared_ptr<FakeOutput::Shared> output = std::make_shared<FakeOutput::Shared>();
    std::shared_ptr<Doorbell> news = std::make_shared<Doorbell>();
    Sink sink;
};

std::uint64_t dropped(const Sink& sink) {
    std::uint64_t lines = 0;
    for (const LossCount& loss : sink.counters().dropped) lines += loss.total();
    return lines;
}

std::string content(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace

TEST_CASE("records are written in order, in whatever pieces the output takes") {
    Fixture fixture;
    fixture.output->piece = 3;
    fixture.push("one\n");
    fixture.push("two\n");
    fixture.sink.kick();
    CHECK(fixture.sink.flush(in(10s)));
    CHECK(fixture.output->text() == "one\ntwo\n");
    CHECK(fixture.sink.counters().records_written == 2);
    CHECK(fixture.sink.counters().state == "ok");
    fixture.push("three\n");
    fixture.sink.kick();
    CHECK(fixture.sink.flush(in(10s)));
    CHECK(fixture.output->text() == "one\ntwo\nthree\n");
}

TEST_CASE("a stalled output stalls nobody; losses are exact and told when it works again") {
    Fixture fixture(4096);
    fixture.output->set(false);
    fixture.push("first\n");
    fixture.sink.kick();
    REQUIRE(fixture.output->wait_for_writes(1));
    for (int i = 0; i < 1000; ++i) fixture.push("a line of a service\n");
    const Sink::Counters stalled = fixture.sink.counters();
    CHECK(stalled.queued_bytes <= 4096 + 64);
    CHECK(stalled.queued_lines + dropped(fixture.sink) == 1001);
    CHECK(dropped(fixture.sink) > 0);
    CHECK(fixture.sink.take_news_of_losses().empty());  // it does not work again yet
    CHECK_FALSE(fixture.sink.flush(in(10ms)));

    fixture.output->set(true);
    CHECK(fixture.sink.flush(in(10s)));
    const auto losses = fixture.sink.take_news_of_losses();
    REQUIRE(losses.size() == 1);
    CHECK(losses[0].total() == dropped(fixture.sink));
    const std::string text = fixture.output->text();
    CHECK(static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')) +
              losses[0].total() ==
          1001);
    CHECK(fixture.sink.take_news_of_losses().empty());
    CHECK(fixture.sink.counters().queued_lines == 0);
}

TEST_CASE("a closed output loses everything from then on, and says so") {
    Fixture fixture;
    fixture.output->set(true, EPIPE);
    fixture.push("one\n");
    fixture.push("two\n");
    fixture.sink.kick();
    CHECK(fixture.sink.flush(in(10s)));  // nothing is left to write
    CHECK(fixture.sink.counters().state == "closed");
    CHECK_FALSE(fixture.sink.counters().up);
    CHECK(dropped(fixture.sink) == 2);
    fixture.push("three\n");
    CHECK(dropped(fixture.sink) == 3);
    CHECK(fixture.sink.counters().queued_lines == 0);
    CHECK(fixture.sink.take_news_of_state() == "log sink fake is closed: Broken pipe");
    CHECK(fixture.sink.take_news_of_state().empty());
    CHECK(fixture.sink.take_news_of_losses().empty());
    CHECK(fixture.sink.take_losses()[0].total() == 3);
}

TEST_CASE("a full disk degrades the sink; nothing is lost once it has room again") {
    Fixture fixture;
    fixture.output->piece = 5;
    fixture.output->set(true, ENOSPC);
    fixture.push("one line\n");
    fixture.sink.kick();
    REQUIRE(fixture.output->wait_for_writes(1));
    CHECK_FALSE(fixture.sink.flush(in(10s)));  // tries once more and then gives up at once
    CHECK(fixture.sink.counters().state == "degraded: No space left on device");
    CHECK(fixture.sink.take_news_of_state() ==
          "cannot write to log sink fake: No space left on device; trying again");
    fixture.push("another\n");
    fixture.output->set(true);
    CHECK(fixture.sink.flush(in(10s)));
    CHECK(fixture.output->text() == "one line\nanother\n");
    CHECK(fixture.sink.counters().state == "ok");
    CHECK(fixture.sink.take_news_of_state() == "log sink fake works again");
    CHECK(dropped(fixture.sink) == 0);
}

TEST_CASE("groups are whole records where they fit") {
    Fixture fixture;
    fixture.output->limit = 10;
    fixture.output->set(false);
    fixture.push("x\n");
    fixture.sink.kick();
    REQUIRE(fixture.output->wait_for_writes(1));
    for (const char* text : {"1234\n", "5678\n", "9\n", "0123456789abcde\n"}) fixture.push(text);
    fixture.output->set(true);
    CHECK(fixture.sink.flush(in(10s)));
    CHECK(fixture.output->text() == "x\n1234\n5678\n9\n0123456789abcde\n");
    CHECK(fixture.output->writes == 1 + 1 + 1 + 2);
}

TEST_CASE("reopening happens at once when nothing is written") {
    Fixture fixture;
    fixture.sink.reopen();
    std::unique_lock lock(fixture.output->mutex);
    CHECK(
        fixture.output->changed.wait_for(lock, 10s, [&] { return fixture.output->reopened == 1; }));
}

TEST_CASE("the end of a sink does not wait for a stalled output") {
    auto output = std::make_shared<FakeOutput::Shared>();
    output->set(false);
    const auto begin = steady_clock::now();
    {
        Sink sink("fake", 4096, std::make_unique<FakeOutput>(output), std::make_shared<Doorbell>());
        sink.push({}, "x\n");
        sink.kick();
        REQUIRE(output->wait_for_writes(1));
    }
    CHECK(steady_clock::now() - begin < 5s);
    CHECK(output->synced == 1);
}

TEST_CASE("a pipe that nobody reads: the writer waits without being stuck") {
    int pipe[2];
    REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
    const int flags = ::fcntl(pipe[1], F_GETFL);
    std::uint64_t lost = 0, queued = 0;
    const std::string line(99, 'x');
    {
        Sink sink("stdout", 256 * 1024, make_descriptor_output(pipe[1]),
                  std::make_shared<Doorbell>());
        for (int i = 0; i < 5000; ++i) sink.push({}, line + "\n");
        sink.kick();
        CHECK_FALSE(sink.flush(in(200ms)));
        lost = dropped(sink);
        queued = sink.counters().queued_lines;
        CHECK(::fcntl(pipe[1], F_GETFL) == flags);  // O_NONBLOCK would be everybody's
    }
    ::close(pipe[1]);
    std::uint64_t delivered = 0;
    char buffer[4096];
    std::string rest;
    for (ssize_t size; (size = ::read(pipe[0], buffer, sizeof buffer)) > 0;) {
        rest.append(buffer, static_cast<std::size_t>(size));
    }
    for (std::size_t at = 0; at + 100 <= rest.size(); at += 100) {
        REQUIRE(rest.substr(at, 100) == line + "\n");
        ++delivered;
    }
    ::close(pipe[0]);
    CHECK(rest.size() == delivered * 100);  // no half line
    CHECK(delivered + queued + lost == 5000);
    CHECK(lost > 0);
}

TEST_CASE("a pipe whose reader has gone closes the sink and kills nobody") {
    int pipe[2];
    REQUIRE(::pipe2(pipe, O_CLOEXEC) == 0);
    ::close(pipe[0]);
    Sink sink("stdout", 4096, make_descriptor_output(pipe[1]), std::make_shared<Doorbell>());
    sink.push({}, "x\n");
    sink.kick();
    CHECK(sink.flush(in(10s)));
    CHECK(sink.counters().state == "closed");
    ::close(pipe[1]);
}

TEST_CASE("a descriptor that somebody made non-blocking is waited for") {
    int pipe[2];
    REQUIRE(::pipe2(pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    Sink sink("stdout", 1 << 20, make_descriptor_output(pipe[1]), std::make_shared<Doorbell>());
    for (int i = 0; i < 2000; ++i) sink.push({}, std::string(99, 'x') + "\n");
    sink.kick();
    std::size_t total = 0;
    char buffer[4096];
    while (total < 200'000) {
        const ssize_t size = ::read(pipe[0], buffer, sizeof buffer);
        if (size > 0) total += static_cast<std::size_t>(size);
        if (size < 0) sink.flush(in(1ms));
    }
    CHECK(sink.flush(in(10s)));
    CHECK(total == 200'000);
    ::close(pipe[0]);
    ::close(pipe[1]);
}

TEST_CASE("a file is appended to, rotated between records and reopened") {
    const test_support::TemporaryDirectory directory;
    SinkPlan plan;
    plan.path = directory / "kms.log";
    plan.max_size = 100;
    plan.max_files = 3;
    {
        std::ofstream(plan.path) << "broken line";
    }
    auto opened = make_file_output(plan);
    REQUIRE(opened.has_value());
    SinkOutput& output = **opened;
    const auto write = [&](const std::string& text) {
        REQUIRE(output.write(text, true) == static_cast<long>(text.size()));
    };
    write("first\n");
    CHECK(content(plan.path) == "broken line\nfirst\n");
    for (int i = 0; i < 5; ++i) write(std::string(59, static_cast<char>('a' + i)) + "\n");
    CHECK(content(plan.path) == std::string(59, 'e') + "\n");
    CHECK(content(plan.path + ".1") == std::string(59, 'd') + "\n");
    CHECK(content(plan.path + ".2") == std::string(59, 'c') + "\n");
    CHECK_FALSE(std::filesystem::exists(plan.path + ".3"));
    struct stat status{};
    REQUIRE(::stat(plan.path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0137) == 0);

    // The rest of a record stays in the file where the record began.
    write(std::string(39, 'f'));
    REQUIRE(output.write(std::string(60, 'g') + "\n", false) == 61);
    CHECK(content(plan.path).size() == 60 + 39 + 61);

    std::filesystem::rename(plan.path, directory / "moved");
    CHECK(output.reopen());
    write("after\n");
    CHECK(content(plan.path) == "after\n");
}

TEST_CASE("one file only: the old content goes") {
    const test_support::TemporaryDirectory directory;
    SinkPlan plan;
    plan.path = directory / "kms.log";
    plan.max_size = 10;
    plan.max_files = 1;
    auto opened = make_file_output(plan);
    REQUIRE(opened.has_value());
    REQUIRE((*opened)->write("12345678\n", true) == 9);
    REQUIRE((*opened)->write("next\n", true) == 5);
    CHECK(content(plan.path) == "next\n");
    CHECK(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

TEST_CASE("what is no file of ours is not opened") {
    const test_support::TemporaryDirectory directory;
    SinkPlan plan;
    plan.path = directory / "link";
    std::filesystem::create_symlink("/dev/null", plan.path);
    const auto link = make_file_output(plan);
    REQUIRE_FALSE(link.has_value());
    CHECK(link.error().context ==
          "cannot open log file '" + plan.path + "': Too many levels of symbolic links");
    plan.path = directory / "fifo";
    REQUIRE(::mkfifo(plan.path.c_str(), 0600) == 0);
    CHECK_FALSE(make_file_output(plan).has_value());
    plan.path = directory / "no/such/directory";
    CHECK_FALSE(make_file_output(plan).has_value());
}

TEST_CASE("a full disk is an error that is tried again") {
    if (!std::filesystem::exists("/dev/full")) {
        WARN("skipped: there is no /dev/full");
        return;
    }
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    REQUIRE(full >= 0);
    Sink sink("stdout", 4096, make_descriptor_output(full), std::make_shared<Doorbell>());
    sink.push({}, "x\n");
    sink.kick();
    sink.flush(in(10ms));
    CHECK_FALSE(sink.flush(in(10s)));
    CHECK(sink.counters().state == "degraded: No space left on device");
    ::close(full);
}

TEST_CASE("the journal gets one entry per record; refused entries are lost alone") {
    std::mutex mutex;
    std::vector<std::string> entries;
    auto output = make_journal_output([&](const iovec* fields, int count) {
        std::string entry;
        for (int i = 0; i < count; ++i) {
            entry.append(static_cast<const char*>(fields[i].iov_base), fields[i].iov_len)
                .append("|");
        }
        if (entry.find("refused") != std::string::npos) return -EMSGSIZE;
        const std::lock_guard lock(mutex);
        entries.push_back(entry);
        return 0;
    });
    REQUIRE(output.has_value());
    Sink sink("journald", 1 << 20, std::move(*output), std::make_shared<Doorbell>());
    JournalEncoder encoder;
    for (const char* message : {"one", "refused", "two"}) {
        RecordView record;
        record.message = message;
        record.service = "kms";
        TextBuffer packed;
        encoder.encode(record, packed);
        sink.push({}, packed.view());
    }
    sink.kick();
    CHECK(sink.flush(in(10s)));
    CHECK(dropped(sink) == 1);
    const std::lock_guard lock(mutex);
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].starts_with("MESSAGE=one|PRIORITY=6|SYSLOG_IDENTIFIER=kms|"));
    CHECK(entries[1].starts_with("MESSAGE=two|"));
}

TEST_CASE("JOURNAL_STREAM names a descriptor by device and inode") {
    struct stat status{};
    REQUIRE(::fstat(0, &status) == 0);
    const std::string right = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
    CHECK(is_journal_stream(right, 0));
    CHECK_FALSE(is_journal_stream(
        std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino + 1), 0));
    CHECK_FALSE(is_journal_stream("", 0));
    CHECK_FALSE(is_journal_stream(":", 0));
    CHECK_FALSE(is_journal_stream(right + "x", 0));
    CHECK_FALSE(is_journal_stream(right, -1));
}
