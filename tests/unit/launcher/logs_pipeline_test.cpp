#include "launcher/logs/pipeline.hpp"
#include "launcher/logs/secret_shapes.hpp"
#include "tests/support/temporary_directory.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

using namespace launcher;
using namespace launcher::logs;
using namespace std::chrono_literals;
using runtime::LogFilter;
using runtime::LogLevel;
using std::chrono::steady_clock;

namespace {

/// Both ends of a pipe.
struct Pipe {
    Pipe() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
        read = ends[0];
        write = ends[1];
    }
    ~Pipe() {
        close_read();
        close_write();
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    int take_read() { return std::exchange(read, -1); }
    void close_read() {
        if (read >= 0) ::close(std::exchange(read, -1));
    }
    void close_write() {
        if (write >= 0) ::close(std::exchange(write, -1));
    }
    void put(std::string_view text) const {
        while (!text.empty()) {
            const ssize_t size = ::write(write, text.data(), text.size());
            if (size <= 0) throw std::runtime_error("cannot write to the pipe");
            text.remove_prefix(static_cast<std::size_t>(size));
        }
    }
    int read = -1, write = -1;
};

/// What the pipeline writes to its standard output.
class Output {
  public:
    Pipe pipe;
    /// Fills the pipe: nothing more goes in until somebody reads.
    void stall() {
        const int size = ::fcntl(pipe.write, F_GETPIPE_SZ);
        filling_ = static_cast<std::size_t>(size);
        pipe.put(std::string(filling_, '-'));
    }
    /// Reads until `done` is content, at most 20 s.
    bool read_until(const std::function<bool(const std::string&)>& done) {
        const auto end = steady_clock::now() + 20s;
        while (!done(text)) {
            const auto left =
                std::chrono::duration_cast<std::chrono::milliseconds>(end - steady_clock::now())
                    .count();
            pollfd ready{pipe.read, POLLIN, 0};
            if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) <= 0) return false;
            char buffer[65536];
            const ssize_t size = ::read(pipe.read, buffer, sizeof buffer);
            if (size <= 0) return false;
            const std::size_t skip = std::min(filling_, static_cast<std::size_t>(size));
            filling_ -= skip;
            text.append(buffer + skip, static_cast<std::size_t>(size) - skip);
        }
        return true;
    }
    bool wait_for(const std::string& part) {
        return read_until(
            [&](const std::string& all) { return all.find(part) != std::string::npos; });
    }
    /// Everything up to now; the pipeline must have been flushed while somebody reads.
    std::vector<std::string> lines() const {
        std::vector<std::string> lines;
        std::istringstream stream(text);
        for (std::string line; std::getline(stream, line);) lines.push_back(line);
        return lines;
    }
    std::string text;

  private:
    std::size_t filling_ = 0;
};

std::string content(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::uint64_t number_after(const std::string& line, const std::string& name) {
    const std::size_t found = line.find(name);
    return found == std::string::npos
               ? 0
               : std::strtoull(line.c_str() + found + name.size(), nullptr, 10);
}

LogPlan stdout_plan(std::size_t queue = 4 * 1024 * 1024) {
    LogPlan plan;
    plan.sinks[0].queue = queue;
    plan.sinks[0].format = SinkFormat::json;
    return plan;
}

LogFilter filter(const std::string& text) {
    std::vector<runtime::LogFilterProblem> problems;
    auto parsed = LogFilter::parse(text, runtime::LogFilterSyntax::tracing, problems);
    REQUIRE(problems.empty());
    return parsed;
}

std::unique_ptr<LogPipeline> start(const LogPlan& plan, const Output& output,
                                   std::vector<KnownSecret> secrets = {},
                                   LogFilter filter = LogFilter()) {
    PipelineOptions options;
    options.standard_output = output.pipe.write;
    auto pipeline = LogPipeline::start(plan, std::move(filter), std::move(secrets), options);
    REQUIRE(pipeline.has_value());
    return std::move(*pipeline);
}

ServicePlan service(std::string name) {
    ServicePlan plan;
    plan.name = std::move(name);
    return plan;
}

const SinkCounters& sink(const PipelineCounters& counters, const std::string& name) {
    return *std::find_if(counters.sinks.begin(), counters.sinks.end(),
                         [&](const auto& each) { return each.name == name; });
}

std::uint64_t dropped(const SinkCounters& sink) {
    std::uint64_t lines = 0;
    for (const auto& [name, by_level] : sink.dropped) {
        for (const std::uint64_t count : by_level) lines += count;
    }
    return lines;
}

}  // namespace

TEST_CASE("lines of both streams come out as JSON, with their levels") {
    Output output;
    auto pipeline = start(stdout_plan(), output);
    Pipe out, err;
    pipeline->adopt(service("kms"), 4711, out.take_read(), err.take_read());
    out.put("plain\n2026-11-22T20:49:30.754838Z  WARN rocket::server: listening port=9100\n\n");
    err.put("to stderr");
    out.close_write();
    err.close_write();
    pipeline->drain("kms", 5s);
    CHECK(pipeline->flush(5s));
    REQUIRE(output.wait_for("to stderr"));
    REQUIRE(output.wait_for("\"plain\""));
    CHECK(output.text.find("\"log.level\":\"warn\",\"message\":\"listening\"") !=
          std::string::npos);
    CHECK(output.text.find(
              "\"message\":\"to "
              "stderr\",\"ecs.version\":\"8.11\",\"service.name\":\"kms\",\"log.iostream\":"
              "\"stderr\",\"process.pid\":4711") != std::string::npos);
    const PipelineCounters counters = pipeline->counters();
    REQUIRE(counters.services.size() == 1);
    const ServiceLogCounters& kms = counters.services[0];
    CHECK(kms.out.lines_by_level[2] == 1);
    CHECK(kms.out.lines_by_level[3] == 1);
    CHECK(kms.out.bytes_by_level[2] == 5);
    CHECK(kms.out.empty_lines == 1);
    CHECK(kms.err.lines_by_level[3] == 1);
    CHECK(kms.out.last_line != std::chrono::system_clock::time_point{});
    CHECK(sink(counters, "stdout").records_written == 3);
    CHECK(sink(counters, "capture").queued_bytes == 0);
}

TEST_CASE("a line comes out by itself, though nothing follows it") {
    Output output;
    auto pipeline = start(stdout_plan(), output);
    Pipe out;
    pipeline->adopt(service("kms"), 1, out.take_read(), -1);
    out.put("alone\n");
    CHECK(output.wait_for("\"message\":\"alone\""));
}

TEST_CASE("nothing of what a service wrote before its end is lost") {
    Output output;
    auto pipeline = start(stdout_plan(), output);
    std::string expected_last;
    for (int round = 0; round < 50; ++round) {
        Pipe out;
        const std::string name = "s" + std::to_string(round);
        pipeline->adopt(service(name), 1, out.take_read(), -1);
        std::thread child([&] {
            for (int i = 0; i < 499; ++i) out.put("line " + std::to_string(i) + "\n");
            out.put("last");
            out.close_write();
        });
        child.join();
        pipeline->drain(name, 5s);
        REQUIRE(output.read_until([&](const std::string& all) {
            return all.find("\"message\":\"last\",\"ecs.version\":\"8.11\",\"service.name\":\"" +
                            name + "\"") != std::string::npos;
        }));
        REQUIRE(std::count(output.text.begin(), output.text.end(), '\n') == 500);
        REQUIRE(output.text.find("\"log.partial\":true") != std::string::npos);
        output.text.clear();
    }
    CHECK(dropped(sink(pipeline->counters(), "stdout")) == 0);
}

TEST_CASE("a descendant that holds the pipe delays the end no longer than the limit") {
    Output output;
    auto pipeline = start(stdout_plan(), output);
    Pipe out;
    pipeline->adopt(service("kms"), 1, out.take_read(), -1);
    out.put("before the end");
    const auto begin = steady_clock::now();
    pipeline->drain("kms", 100ms);
    const auto took = steady_clock::now() - begin;
    CHECK(took >= 100ms);
    CHECK(took < 5s);
    CHECK(output.wait_for("\"before the end\""));
    CHECK(pipeline->counters().services[0].out.held_by_descendant == 1);
}

TEST_CASE("a stalled standard output blocks no service, and every lost line is reported") {
    Output output;
    output.stall();
    auto pipeline = start(stdout_plan(64 * 1024), output);
    Pipe out;
    pipeline->adopt(service("kms"), 1, out.take_read(), -1);
    constexpr int kLines = 20'000;
    // More than every buffer on the way holds: this ends only because nobody waits for the reader.
    for (int i = 0; i < kLines; ++i)
        out.put("a line of some length, to fill buffers, number " + std::to_string(i) + "\n");
    out.close_write();
    pipeline->drain("kms", 10s);
    CHECK_FALSE(pipeline->flush(50ms));
    const PipelineCounters stalled = pipeline->counters();
    const std::uint64_t lost_at_capture = dropped(sink(stalled, "capture"));
    CHECK(dropped(sink(stalled, "stdout")) > 0);
    CHECK(sink(stalled, "stdout").queued_bytes <= 64 * 1024 + 64 * 1024);

    std::thread flusher([&] { pipeline->flush(20s); });
    std::uint64_t reported = 0;
    const auto complete = [&](const std::string& all) {
        // Counted anew each time: the reports are few.
        reported = 0;
        std::uint64_t delivered = 0;
        std::istringstream stream(all);
        for (std::string line; std::getline(stream, line);) {
            if (line.find("\"event.action\":\"log-dropped\"") != std::string::npos) {
                reported += number_after(line, "\"lines\":");
            } else if (line.find("\"service.name\":\"kms\"") != std::string::npos &&
                       line.back() == '}') {
                ++delivered;
            }
        }
        return delivered + reported >= kLines;
    };
    REQUIRE(output.read_until(complete));
    flusher.join();
    const PipelineCounters counters = pipeline->counters();
    CHECK(reported == dropped(sink(counters, "stdout")) + lost_at_capture);
    std::uint64_t delivered = 0, last = 0, gaps = 0;
    for (const std::string& line : output.lines()) {
        const std::uint64_t sequence = number_after(line, "\"event.sequence\":");
        REQUIRE(sequence > last);
        gaps += sequence - last - 1;
        last = sequence;
        delivered += line.find("\"service.name\":\"kms\"") != std::string::npos ? 1 : 0;
    }
    CHECK(delivered + reported == kLines);
    CHECK(gaps == reported);
    CHECK(output.text.find("log lines of kms were lost at stdout") != std::string::npos);
}

TEST_CASE("one stalled sink does not slow another") {
    const test_support::TemporaryDirectory directory;
    Output output;
    LogPlan plan = stdout_plan(16 * 1024);
    SinkPlan file;
    file.kind = SinkKind::file;
    file.path = directory / "kms.log";
    file.queue = 16 * 1024 * 1024;
    plan.sinks.push_back(file);
    output.stall();
    auto pipeline = start(plan, output);
    Pipe out;
    pipeline->adopt(service("kms"), 1, out.take_read(), -1);
    for (int i = 0; i < 5000; ++i) out.put("number " + std::to_string(i) + "\n");
    out.close_write();
    pipeline->drain("kms", 10s);
    CHECK_FALSE(pipeline->flush(500ms));  // standard output is stalled
    const std::string text = content(directory / "kms.log");
    CHECK(text.find("\"number 0\"") != std::string::npos);
    CHECK(text.find("\"number 4999\"") != std::string::npos);
    CHECK(dropped(sink(pipeline->counters(), "file:" + file.path)) == 0);
    CHECK(dropped(sink(pipeline->counters(), "stdout")) > 0);
}

TEST_CASE("filters: common, of a sink, changed while running") {
    const test_support::TemporaryDirectory directory;
    Output output;
    LogPlan plan = stdout_plan();
    SinkPlan file;
    file.kind = SinkKind::file;
    file.format = SinkFormat::text;
    file.path = directory / "all.log";
    file.filter = "trace";
    plan.sinks.push_back(file);
    auto pipeline = start(plan, output, {}, filter("info,rocket=warn"));
    CHECK(pipeline->filter_text() == "info,rocket=warn");
    Pipe out;
    pipeline->adopt(service("kms"), 1, out.take_read(), -1);
    const std::string front = "2026-11-22T20:49:30.754838Z ";
    out.put(front + "DEBUG a: one\n" + front + " INFO rocket::server: two\n" + front +
            " INFO a: three\n");
    CHECK(output.wait_for("three"));
    CHECK(output.text.find("one") == std::string::npos);
    CHECK(output.text.find("two") == std::string::npos);
    CHECK(output.text.find("\"event.sequence\":1}") != std::string::npos);
    pipeline->set_filter(filter("debug"));
    CHECK(pipeline->filter_text() == "debug");
    out.put(front + "DEBUG a: four\n" + front + "TRACE a: five\n" + front + " INFO a: six\n");
    CHECK(output.wait_for("six"));
    CHECK(output.text.find("four") != std::string::npos);
    CHECK(output.text.find("five") == std::string::npos);
    CHECK(pipeline->flush(5s));
    const std::string all = content(directory / "all.log");
    for (const char* word : {"one", "two", "three", "four", "five", "six"}) {
        INFO(word);
        CHECK(all.find(word) != std::string::npos);
    }
    CHECK(all.find("DEBUG kms      a: one\n") != std::string::npos);
    CHECK(pipeline->counters().services[0].out.filtered == 0);  // somebody took every one of them
}

TEST_CASE("filtered lines are counted as filtered, never as lost, and leave no gap") {
    Output output;
    auto pipeline = start(stdout_plan(), output, {}, filter("warn"));
    Pipe out;
    pipeline->adopt(service("kms"), 1, out.take_read(), -1);
    out.put(" INFO a\n WARN b\n INFO c\n WARN d\n");
    CHECK(output.wait_for("\"d\""));
    CHECK(pipeline->flush(5s));
    const PipelineCounters counters = pipeline->counters();
    CHECK(counters.services[0].out.filtered == 2);
    CHECK(dropped(sink(counters, "stdout")) == 0);
    REQUIRE(output.lines().size() == 2);
    CHECK(number_after(output.lines()[0], "\"event.sequence\":") == 1);
    CHECK(number_after(output.lines()[1], "\"event.sequence\":") == 2);
}

TEST_CASE("events of the launcher: own target, not filtered when they warn, redacted") {
    Output output;
    auto pipeline = start(stdout_plan(), output, {{"TOKEN", "correct-horse"}, {"SHORT_KEY", "12"}},
                          filter("off"));
    const auto event = [&](LogLevel level, std::string target, std::string message) {
        Record record;
        record.level = level;
        record.logger = std::move(target);
        record.action = "freeze-begin";
        record.message = std::move(message);
        record.fields = {{"url", "https://user:pass@host/"}};
        pipeline->emit(std::move(record));
    };
    event(LogLevel::info, "launcher::probe", "filtered");
    event(LogLevel::warn, "launcher::probe", "frozen, correct-horse");
    CHECK(output.wait_for("frozen, [redacted]"));
    CHECK(output.text.find("filtered") == std::string::npos);
    CHECK(output.text.find("\"service.name\":\"launcher\",\"log.logger\":\"launcher::probe\"") !=
          std::string::npos);
    CHECK(output.text.find("\"url\":\"https://[redacted]@host/\"") != std::string::npos);
    pipeline->set_filter(filter("launcher::probe=off"));
    event(LogLevel::warn, "launcher::probe", "switched off");
    event(LogLevel::warn, "launcher::evidence", "still there");
    CHECK(output.wait_for("still there"));
    CHECK(output.text.find("switched off") == std::string::npos);
    CHECK(pipeline->redact("a correct-horse b") == "a [redacted] b");
    const auto redactions = pipeline->counters().redactions;
    CHECK(redactions.size() == kRedactionRules);
}

TEST_CASE("a secret too short to look for is warned of") {
    Output output;
    auto pipeline = start(stdout_plan(), output, {{"SHORT_KEY", "12"}});
    CHECK(output.wait_for("the value of secret SHORT_KEY is too short"));
}

TEST_CASE("lines that a probe caused are suppressed and counted") {
    Output output;
    auto pipeline = start(stdout_plan(), output);
    Pipe out;
    pipeline->adopt(service("auth-eth"), 1, out.take_read(), -1);
    pipeline->note_probe_port(4711);
    const auto incoming = [](int port, int id) {
        return "{\"level\":30,\"reqId\":\"req-" + std::to_string(id) +
               "\",\"req\":{\"method\":\"GET\",\"url\":\"/"
               "\",\"remoteAddress\":\"127.0.0.1\",\"remotePort\":" +
               std::to_string(port) + "},\"msg\":\"incoming " + std::to_string(id) + "\"}\n";
    };
    const auto completed = [](int id) {
        return "{\"level\":30,\"reqId\":\"req-" + std::to_string(id) +
               "\",\"res\":{\"statusCode\":200},\"msg\":\"completed " + std::to_string(id) +
               "\"}\n";
    };
    out.put(incoming(4711, 1) + incoming(4712, 2) + completed(1) + completed(2));
    CHECK(output.wait_for("completed 2"));
    CHECK(output.text.find("incoming 2") != std::string::npos);
    CHECK(output.text.find("incoming 1") == std::string::npos);
    CHECK(output.text.find("completed 1") == std::string::npos);
    CHECK(pipeline->counters().services[0].out.probe_noise == 2);

    ServicePlan noisy = service("noisy");
    noisy.log.probe_noise_keep = true;
    Pipe kept;
    pipeline->adopt(noisy, 1, kept.take_read(), -1);
    kept.put(incoming(4711, 3));
    CHECK(output.wait_for("incoming 3"));
}

TEST_CASE("a listener sees every line of its service before filters do") {
    Output output;
    auto pipeline = start(stdout_plan(), output, {}, filter("warn"));
    std::atomic<int> heard{0}, others{0};
    pipeline->listen("kms", [&](const Record& record) {
        if (record.message == "ready" && record.logger == "a" && record.level == LogLevel::info)
            ++heard;
    });
    pipeline->listen("other", [&](const Record&) { ++others; });
    Pipe out;
    pipeline->adopt(service("kms"), 1, out.take_read(), -1);
    out.put(" INFO a: ready\n WARN a: first\n");
    CHECK(output.wait_for("first"));
    CHECK(heard == 1);
    CHECK(others == 0);
    pipeline->listen("kms", {});
    out.put(" INFO a: ready\n WARN a: second\n");
    CHECK(output.wait_for("second"));
    CHECK(heard == 1);
}

TEST_CASE("the last lines are kept for evidence, redacted") {
    Output output;
    auto pipeline = start(stdout_plan(), output, {{"TOKEN", "correct-horse"}});
    Pipe out;
    pipeline->adopt(service("kms"), 1, out.take_read(), -1);
    out.put("one\ntwo correct-horse\n{\"level\":30,\"msg\":\"corr\\u0065ct-horse\"}\nfour\n");
    CHECK(output.wait_for("\"four\""));
    const std::vector<std::string> lines = pipeline->last_lines("kms", 10);
    REQUIRE(lines.size() == 4);
    CHECK(lines[0] == "one");
    CHECK(lines[1].find("two [redacted]") != std::string::npos);
    CHECK(lines[2].find("[redacted]") != std::string::npos);
    CHECK(lines[2].find("ct-horse") == std::string::npos);
    CHECK(lines[3] == "four");
    CHECK(pipeline->last_lines("nobody", 10).empty());
}

TEST_CASE("files are reopened when they were moved away") {
    const test_support::TemporaryDirectory directory;
    LogPlan plan;
    plan.sinks[0].kind = SinkKind::file;
    plan.sinks[0].path = directory / "kms.log";
    auto opened = LogPipeline::start(plan, LogFilter(), {});
    REQUIRE(opened.has_value());
    LogPipeline& pipeline = **opened;
    const auto say = [&](std::string message) {
        Record record;
        record.message = std::move(message);
        pipeline.emit(std::move(record));
        CHECK(pipeline.flush(5s));
    };
    say("before");
    std::filesystem::rename(plan.sinks[0].path, directory / "old");
    say("moved");
    pipeline.reopen_files();
    say("after");
    CHECK(content(directory / "old").find("moved") != std::string::npos);
    CHECK(content(directory / "old").find("after") == std::string::npos);
    CHECK(content(directory / "kms.log").find("after") != std::string::npos);
}

TEST_CASE("records go to the journal when standard output leads there") {
    Output output;
    std::mutex mutex;
    std::string entries;
    PipelineOptions options;
    options.standard_output = output.pipe.write;
    struct stat status{};
    REQUIRE(::fstat(output.pipe.write, &status) == 0);
    options.journal_stream = std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
    options.journal_send = [&](const iovec* fields, int count) {
        const std::lock_guard lock(mutex);
        for (int i = 0; i < count; ++i) {
            entries.append(static_cast<const char*>(fields[i].iov_base), fields[i].iov_len)
                .append("\n");
        }
        return 0;
    };
    auto pipeline = LogPipeline::start(stdout_plan(), LogFilter(), {}, options);
    REQUIRE(pipeline.has_value());
    Record record;
    record.message = "to the journal";
    (*pipeline)->emit(record);
    CHECK((*pipeline)->flush(5s));
    const std::lock_guard lock(mutex);
    CHECK(entries.find("MESSAGE=to the journal\nPRIORITY=6\nSYSLOG_IDENTIFIER=launcher\n") !=
          std::string::npos);
    CHECK((*pipeline)->counters().sinks[0].name == "journald");
}

TEST_CASE("a sink that cannot work is an error of the start") {
    LogPlan plan;
    plan.sinks[0].kind = SinkKind::file;
    plan.sinks[0].path = "/nonexistent/directory/kms.log";
    const auto file = LogPipeline::start(plan, LogFilter(), {});
    REQUIRE_FALSE(file.has_value());
    CHECK(file.error().code == runtime::ErrorCode::invalid_argument);
    CHECK(file.error().context ==
          "cannot open log file '/nonexistent/directory/kms.log': No such file or directory");
    plan = stdout_plan();
    plan.sinks[0].filter = "kms=loud";
    const auto filter = LogPipeline::start(plan, LogFilter(), {});
    REQUIRE_FALSE(filter.has_value());
    CHECK(filter.error().context.find("filter 'kms=loud' of log sink stdout") != std::string::npos);
}

TEST_CASE("a sink that fails is told of at the others") {
    const test_support::TemporaryDirectory directory;
    Output output;
    LogPlan plan = stdout_plan();
    SinkPlan file;
    file.kind = SinkKind::file;
    file.path = directory / "kms.log";
    plan.sinks.push_back(file);
    auto pipeline = start(plan, output);
    output.pipe.close_read();
    Record record;
    record.message = "into nowhere";
    pipeline->emit(record);
    // The news comes from the sink's thread; a flush makes sure that it was seen.
    for (int i = 0;
         i < 100 && content(directory / "kms.log").find("is closed") == std::string::npos; ++i) {
        pipeline->flush(100ms);
    }
    CHECK(content(directory / "kms.log").find("log sink stdout is closed: Broken pipe") !=
          std::string::npos);
    CHECK(sink(pipeline->counters(), "stdout").state == "closed");
    CHECK_FALSE(sink(pipeline->counters(), "stdout").up);
}

TEST_CASE("many threads at once") {
    Output output;
    auto pipeline = start(stdout_plan(), output);
    std::vector<std::thread> threads;
    std::vector<std::unique_ptr<Pipe>> pipes;
    for (int i = 0; i < 4; ++i) {
        pipes.push_back(std::make_unique<Pipe>());
        pipeline->adopt(service("s" + std::to_string(i)), i, pipes.back()->take_read(), -1);
        threads.emplace_back([&pipe = *pipes.back()] {
            for (int line = 0; line < 500; ++line) pipe.put("line " + std::to_string(line) + "\n");
            pipe.close_write();
        });
    }
    threads.emplace_back([&] {
        for (int i = 0; i < 200; ++i) {
            Record record;
            record.action = "probe-change";
            record.message = "event " + std::to_string(i);
            pipeline->emit(record);
            pipeline->counters();
            pipeline->last_lines("s1", 5);
            pipeline->note_probe_port(static_cast<std::uint16_t>(i + 1));
            pipeline->set_filter(LogFilter());
            pipeline->redact("https://u:p@h/");
        }
    });
    CHECK(output.read_until(
        [](const std::string& all) { return std::count(all.begin(), all.end(), '\n') == 2200; }));
    for (std::thread& thread : threads) thread.join();
    for (int i = 0; i < 4; ++i) pipeline->drain("s" + std::to_string(i), 5s);
    std::map<std::string, int> next;
    for (const std::string& line : output.lines()) {
        const std::size_t name = line.find("\"service.name\":\"s");
        if (name == std::string::npos) continue;
        const int number = static_cast<int>(number_after(line, "\"message\":\"line "));
        REQUIRE(number == next[line.substr(name, 18)]++);  // the order within a stream is kept
    }
    CHECK(next.size() == 4);
}
