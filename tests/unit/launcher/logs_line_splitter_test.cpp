#include "launcher/logs/line_splitter.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace launcher::logs;
using namespace std::chrono_literals;

namespace {

struct Lines final : LineSplitter::Output {
    void line(const LineView& line) override {
        std::string text = "[" + std::string(line.text) + "]";
        if (line.part != 0) text += std::to_string(line.part);
        if (line.partial) text += "+";
        if (line.last && line.part != 0) text += ".";
        seen.push_back(text);
    }
    std::vector<std::string> seen;
};

constexpr runtime::TimePoint kStart{1h};

std::vector<std::string> split(const std::vector<std::string>& pieces, std::size_t max_line = 64) {
    LineSplitter splitter(max_line);
    Lines lines;
    for (const std::string& piece : pieces) splitter.feed(piece, kStart, lines);
    splitter.finish(lines);
    return lines.seen;
}

using Seen = std::vector<std::string>;

}  // namespace

TEST_CASE("lines end at LF, however the bytes arrive") {
    CHECK(split({"a\nb\n"}) == Seen{"[a]", "[b]"});
    CHECK(split({"a", "b\nc", "d", "\n"}) == Seen{"[ab]", "[cd]"});
    CHECK(split({"a\r\nb\r", "\nc\rd\n"}) == Seen{"[a]", "[b]", "[c\rd]"});
    CHECK(split({"a\n\n\r\nb\n"}) == Seen{"[a]", "[b]"});
    CHECK(split({}) == Seen{});
}

TEST_CASE("a last line without LF is not lost") {
    CHECK(split({"a\nlast"}) == Seen{"[a]", "[last]+"});
    CHECK(split({"las", "t"}) == Seen{"[last]+"});
}

TEST_CASE("empty lines are counted") {
    LineSplitter splitter(64);
    Lines lines;
    splitter.feed("\n\na\n\r\n", kStart, lines);
    CHECK(lines.seen == Seen{"[a]"});
    CHECK(splitter.empty_lines() == 3);
}

TEST_CASE("long lines come in parts, short ones of just that length do not") {
    const std::string sixteen(16, 'x');
    CHECK(split({sixteen + "\n"}, 16) == Seen{"[" + sixteen + "]"});
    CHECK(split({sixteen + "\r", "\n"}, 16) == Seen{"[" + sixteen + "]"});
    CHECK(split({sixteen, "\n"}, 16) == Seen{"[" + sixteen + "]"});
    CHECK(split({sixteen + "y\nz\n"}, 16) == Seen{"[" + sixteen + "]1+", "[y]2.", "[z]"});
    CHECK(split({sixteen, "y", "\n"}, 16) == Seen{"[" + sixteen + "]1+", "[y]2."});
    CHECK(split({sixteen + sixteen + "y"}, 16) ==
          Seen{"[" + sixteen + "]1+", "[" + sixteen + "]2+", "[y]3+."});
}

TEST_CASE("a part ends between characters") {
    const std::string text = std::string(15, 'x') + "\xE2\x82\xAC" + "y\n";
    CHECK(split({text}, 16) == Seen{"[" + std::string(15, 'x') + "]1+",
                                    "[\xE2\x82\xAC"
                                    "y]2."});
}

TEST_CASE("a prompt comes out after two seconds of silence, and later bytes continue it") {
    LineSplitter splitter(64);
    Lines lines;
    splitter.feed("name: ", kStart, lines);
    REQUIRE(splitter.expires_at() == kStart + 2s);
    splitter.expire(kStart + 1999ms, lines);
    CHECK(lines.seen.empty());
    splitter.expire(kStart + 2s, lines);
    CHECK(lines.seen == Seen{"[name: ]1+"});
    CHECK_FALSE(splitter.expires_at());
    splitter.feed("bob\n", kStart + 5s, lines);
    splitter.feed("next\n", kStart + 5s, lines);
    CHECK(lines.seen == Seen{"[name: ]1+", "[bob]2.", "[next]"});
}

TEST_CASE("silence is counted from the last byte; a CR waits for its LF") {
    LineSplitter splitter(64);
    Lines lines;
    splitter.feed("a", kStart, lines);
    splitter.feed("b\r", kStart + 1s, lines);
    splitter.expire(kStart + 2s, lines);
    CHECK(lines.seen.empty());
    splitter.expire(kStart + 3s, lines);
    CHECK(lines.seen == Seen{"[ab]1+"});
    CHECK_FALSE(splitter.expires_at());
    splitter.feed("\n", kStart + 4s, lines);
    CHECK(lines.seen == Seen{"[ab]1+", "[]2."});
}

TEST_CASE("every way to cut a text into reads gives the same lines") {
    std::string text;
    for (int i = 0; i < 20; ++i)
        text += std::string(static_cast<std::size_t>(i * 3), static_cast<char>('a' + i)) +
                (i % 3 == 0 ? "\r\n" : "\n");
    const Seen whole = split({text}, 32);
    for (std::size_t size = 1; size < 70; ++size) {
        std::vector<std::string> pieces;
        for (std::size_t at = 0; at < text.size(); at += size)
            pieces.push_back(text.substr(at, size));
        REQUIRE(split(pieces, 32) == whole);
    }
}
