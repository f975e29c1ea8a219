#include "launcher/logs/record_queue.hpp"

#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace launcher::logs;
using runtime::LogLevel;

namespace {

constexpr std::size_t kRecord = 100;  // bytes of each record of these tests
constexpr std::size_t kCost = kRecord + RecordQueue::kOverhead;

QueuedRecord meta(LogLevel level, bool lifecycle = false, std::uint16_t service = 0) {
    QueuedRecord record;
    record.level = level;
    record.lifecycle = lifecycle;
    record.service = service;
    return record;
}

struct Queue {
    explicit Queue(std::size_t records) : queue(records * kCost) {}
    void push(char name, LogLevel level, bool lifecycle = false) {
        queue.push(meta(level, lifecycle), std::string(kRecord, name), losses);
    }
    /// The first characters of what is left, in order.
    std::string rest() {
        std::string names;
        RecordQueue::Batch batch;
        while (!queue.empty()) {
            queue.take(batch, 1);
            names += batch.bytes.view()[0];
        }
        return names;
    }
    std::uint64_t lost(LogLevel level) const {
        return losses.empty() ? 0 : losses[0].lines[static_cast<std::size_t>(level)];
    }
    RecordQueue queue;
    std::vector<LossCount> losses;
};

}  // namespace

TEST_CASE("records come out in the order they went in, whatever their level") {
    Queue queue(10);
    queue.push('a', LogLevel::error);
    queue.push('b', LogLevel::debug);
    queue.push('c', LogLevel::info, true);
    queue.push('d', LogLevel::trace);
    queue.push('e', LogLevel::fatal);
    CHECK(queue.queue.lines() == 5);
    CHECK(queue.queue.bytes() == 4 * kCost);
    CHECK(queue.rest() == "abcde");
    CHECK(queue.losses.empty());
    CHECK(queue.queue.bytes() == 0);
}

TEST_CASE("a full queue loses the lowest level below warn first, oldest first") {
    struct Row {
        std::string name;
        std::vector<LogLevel> levels;  // of records a, b, c, … into a queue of three
        std::string rest;
    };
    using enum LogLevel;
    const auto row = GENERATE(values<Row>({
        {"oldest of one level", {info, info, info, info}, "bcd"},
        {"lowest level", {info, debug, info, info}, "acd"},
        {"lowest level, oldest", {debug, debug, info, info}, "bcd"},
        {"trace before debug", {debug, trace, info, warn}, "acd"},
        {"info before warn", {warn, info, error, error}, "acd"},
        {"only warn and above: the oldest", {warn, error, warn, error}, "bcd"},
        {"only warn and above: the oldest, even if worse", {fatal, warn, warn, warn}, "bcd"},
        {"the new one is the lowest", {info, info, info, debug}, "abc"},
        {"the new one is the only one below warn", {warn, error, fatal, info}, "abc"},
        {"a new one of the lowest level displaces the oldest of it",
         {debug, info, info, debug},
         "bcd"},
    }));
    INFO(row.name);
    Queue queue(3);
    char name = 'a';
    for (const LogLevel level : row.levels) queue.push(name++, level);
    CHECK(queue.rest() == row.rest);
    REQUIRE(queue.losses.size() == 1);
    CHECK(queue.losses[0].total() == 1);
    CHECK(queue.losses[0].bytes == kRecord);
}

TEST_CASE("lifecycle records have a share that others cannot take, and take nobody else's") {
    Queue queue(3);
    queue.push('L', LogLevel::info, true);
    for (int i = 0; i < 10; ++i) queue.push('e', LogLevel::fatal);
    for (int i = 0; i < 5; ++i) queue.push('M', LogLevel::info, true);
    CHECK(queue.lost(LogLevel::fatal) == 7);
    CHECK(queue.lost(LogLevel::info) == 0);
    CHECK(queue.rest() == "LeeeMMMMM");
}

TEST_CASE("too many lifecycle records lose their own oldest") {
    Queue queue(3);
    queue.push('s', LogLevel::info);
    const std::size_t fit = RecordQueue::kLifecycleBytes / kCost;
    for (std::size_t i = 0; i < fit + 10; ++i) queue.push('L', LogLevel::info, true);
    CHECK(queue.lost(LogLevel::info) == 10);
    CHECK(queue.rest() == "s" + std::string(fit, 'L'));
}

TEST_CASE("a record that can never fit is lost at once and displaces nobody") {
    Queue queue(3);
    queue.push('a', LogLevel::debug);
    queue.queue.push(meta(LogLevel::fatal), std::string(4 * kCost, 'x'), queue.losses);
    CHECK(queue.lost(LogLevel::fatal) == 1);
    CHECK(queue.rest() == "a");
}

TEST_CASE("losses are counted by service, in lines, with times") {
    using std::chrono::system_clock;
    using namespace std::chrono_literals;
    RecordQueue queue(2 * kCost);
    std::vector<LossCount> losses;
    for (int i = 1; i <= 5; ++i) {
        QueuedRecord record = meta(LogLevel::info, false, static_cast<std::uint16_t>(i % 2));
        record.lines = static_cast<std::uint32_t>(i);
        record.received = system_clock::time_point(std::chrono::seconds(i));
        queue.push(record, std::string(kRecord, 'x'), losses);
    }
    REQUIRE(losses.size() == 2);
    CHECK(losses[0].total() == 2);      // record 2
    CHECK(losses[1].total() == 1 + 3);  // records 1 and 3
    CHECK(losses[1].first == system_clock::time_point(1s));
    CHECK(losses[1].last == system_clock::time_point(3s));
    CHECK(queue.lines() == 4 + 5);
}

TEST_CASE("batches hold whole records, at least one") {
    Queue queue(100);
    for (int i = 0; i < 10; ++i) queue.push('a', LogLevel::info);
    RecordQueue::Batch batch;
    queue.queue.take(batch, 250);
    CHECK(batch.items.size() == 2);
    queue.queue.take(batch, 50);
    CHECK(batch.items.size() == 1);
    queue.queue.take(batch, 100'000);
    CHECK(batch.items.size() == 7);
    CHECK(batch.bytes.size() == 700);
    queue.queue.take(batch, 100);
    CHECK(batch.items.empty());
}

TEST_CASE("whatever happens, what goes in comes out or is counted") {
    std::mt19937 random(7);
    RecordQueue queue(64 * 1024);
    std::vector<LossCount> losses;
    std::uint64_t pushed = 0, taken = 0, pushed_bytes = 0, taken_bytes = 0;
    RecordQueue::Batch batch;
    for (int i = 0; i < 20'000; ++i) {
        const std::size_t size = random() % 50 == 0 ? random() % 40'000 : random() % 300;
        QueuedRecord record = meta(static_cast<LogLevel>(random() % 6), random() % 20 == 0,
                                   static_cast<std::uint16_t>(random() % 3));
        record.lines = static_cast<std::uint32_t>(1 + random() % 3);
        queue.push(record, std::string(size, 'x'), losses);
        pushed += record.lines;
        pushed_bytes += size;
        REQUIRE(queue.bytes() <= queue.limit());
        if (random() % 8 == 0) {
            queue.take(batch, random() % 20'000);
            for (const auto& item : batch.items) taken += item.record.lines;
            taken_bytes += batch.bytes.size();
        }
    }
    std::uint64_t lost = 0, lost_bytes = 0;
    for (const LossCount& loss : losses) {
        lost += loss.total();
        lost_bytes += loss.bytes;
    }
    CHECK(lost > 0);
    CHECK(pushed == taken + lost + queue.lines());
    while (!queue.empty()) {
        queue.take(batch, 64 * 1024);
        taken_bytes += batch.bytes.size();
    }
    CHECK(pushed_bytes == taken_bytes + lost_bytes);
    CHECK(queue.lines() == 0);
}
