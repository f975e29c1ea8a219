#include "launcher/logs/raw_queue.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace launcher::logs;
using namespace std::chrono_literals;

namespace {

RawLine line(std::string_view text, std::uint16_t stream = 0) {
    RawLine line;
    line.text = text;
    line.stream = stream;
    return line;
}

std::vector<std::string> texts(const RawBlock& block) {
    std::vector<std::string> all;
    std::size_t at = 0;
    for (RawLine read; block.read(at, read);) all.emplace_back(read.text);
    return all;
}

}  // namespace

TEST_CASE("a block gives back what was put in") {
    RawBlock block(64);
    RawLine first = line("text\nwith anything\0in it", 3);
    first.part = 7;
    first.partial = true;
    first.last = false;
    first.stamp = {std::chrono::system_clock::time_point(5s), runtime::TimePoint(6s)};
    block.append(first);
    RawLine end = line("");
    end.end = true;
    block.append(end);
    std::size_t at = 0;
    RawLine read;
    REQUIRE(block.read(at, read));
    CHECK(read.text == first.text);
    CHECK(read.stream == 3);
    CHECK(read.part == 7);
    CHECK(read.partial);
    CHECK_FALSE(read.last);
    CHECK_FALSE(read.end);
    CHECK(read.stamp.wall == first.stamp.wall);
    CHECK(read.stamp.steady == first.stamp.steady);
    REQUIRE(block.read(at, read));
    CHECK(read.end);
    CHECK_FALSE(block.read(at, read));
}

TEST_CASE("blocks come out in order; small ones share one") {
    const auto bell = std::make_shared<Doorbell>();
    RawQueue queue(bell);
    CHECK(queue.empty());
    CHECK(queue.pop() == nullptr);
    const std::string large(RawQueue::kBlock, 'x');
    for (const std::string& text : {std::string("a"), std::string("b"), large, std::string("c")}) {
        auto block = queue.get_block();
        block->append(line(text));
        queue.push(std::move(block));
    }
    const std::size_t bytes = queue.bytes();
    CHECK(bytes > large.size());
    auto first = queue.pop();
    REQUIRE(first != nullptr);
    CHECK(texts(*first) == std::vector<std::string>{"a", "b"});
    CHECK(queue.bytes() == bytes);  // not forgotten until it was worked off
    queue.give_back(std::move(first));
    CHECK(queue.bytes() < bytes);
    auto second = queue.pop();
    CHECK(texts(*second) == std::vector<std::string>{large});
    queue.give_back(std::move(second));
    auto third = queue.pop();
    CHECK(texts(*third) == std::vector<std::string>{"c"});
    queue.give_back(std::move(third));
    CHECK(queue.empty());
    bell->wait(std::nullopt);  // it was rung
}
