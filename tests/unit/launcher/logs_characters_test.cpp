#include "launcher/logs/characters.hpp"
#include "launcher/logs/timestamp.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace launcher::logs;
using namespace std::string_literals;

namespace {

std::string json(std::string_view text, std::uint32_t* invalid = nullptr) {
    TextBuffer out;
    const std::uint32_t count = append_json_escaped(out, text);
    if (invalid != nullptr) *invalid = count;
    return std::string(out.view());
}

std::string plain(std::string_view text) {
    TextBuffer out;
    append_text_escaped(out, text, "| ");
    return std::string(out.view());
}

std::string stripped(std::string text) {
    text.resize(strip_ansi(text, text.data()));
    return text;
}

std::string from_json(std::string_view text) {
    std::string out(text.size(), '\0');
    out.resize(decode_json_string(text, out.data()));
    return out;
}

std::string from_rust(std::string_view text) {
    std::string out(text.size(), '\0');
    out.resize(decode_rust_string(text, out.data()));
    return out;
}

}  // namespace

TEST_CASE("text becomes the inside of a JSON string and of a line of text") {
    struct Row {
        std::string name, text, json, plain;
        std::uint32_t invalid;
    };
    const auto row = GENERATE(values<Row>({
        {"plain", "hello", "hello", "hello", 0},
        {"quotes and backslashes", "a\"b\\c", "a\\\"b\\\\c", "a\"b\\c", 0},
        {"tab, line feed, carriage return", "a\tb\nc\rd", "a\\tb\\nc\\rd", "a\tb\n| c\\x0dd", 0},
        {"NUL, BEL, DEL", "a\0b\ac\x7F"s, "a\\u0000b\\u0007c\\u007f", "a\\x00b\\x07c\\x7f", 0},
        {"C1", "a\xC2\x85z\xC2\x9F", "a\\u0085z\\u009f", "a\\x85z\\x9f", 0},
        {"beyond C1", "\xC2\xA0\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
         "\xC2\xA0\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80",
         "\xC2\xA0\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", 0},
        {"a lone continuation byte", "a\x80z", "a\xEF\xBF\xBDz", "a\xEF\xBF\xBDz", 1},
        {"a sequence cut short is one part", "a\xE2\x82z", "a\xEF\xBF\xBDz", "a\xEF\xBF\xBDz", 1},
        {"an overlong form is two parts", "\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD",
         "\xEF\xBF\xBD\xEF\xBF\xBD", 2},
        {"a surrogate is three parts", "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", 3},
        {"beyond Unicode", "\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD", 4},
        {"cut at the end", "ab\xF0\x9F\x98", "ab\xEF\xBF\xBD", "ab\xEF\xBF\xBD", 1},
        {"special after a long plain run", std::string(37, 'x') + "\"",
         std::string(37, 'x') + "\\\"", std::string(37, 'x') + "\"", 0},
    }));
    INFO(row.name);
    std::uint32_t invalid = 0;
    CHECK(json(row.text, &invalid) == row.json);
    CHECK(invalid == row.invalid);
    CHECK(plain(row.text) == row.plain);
}

TEST_CASE("every byte at every position of a block is escaped or kept") {
    for (std::size_t position = 0; position < 40; ++position) {
        for (int byte = 0; byte < 0x80; ++byte) {
            std::string text(40, 'x');
            text[position] = static_cast<char>(byte);
            const bool special = byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7F;
            REQUIRE(plain_prefix(text) == (special ? position : text.size()));
            const bool mark = byte == '@' || byte == '?' || byte == '&';
            REQUIRE(find_url_mark(text, 0) == (mark ? position : text.size()));
        }
    }
}

TEST_CASE("terminal sequences are removed") {
    struct Row {
        std::string text, stripped;
    };
    const auto row = GENERATE(values<Row>({
        {"\x1B[31mred\x1B[0m", "red"},
        {"\x1B[2m2026\x1B[0m \x1B[32m INFO\x1B[0m x", "2026  INFO x"},
        {"\x1B]0;title\ax", "x"},
        {"\x1B]8;;http://a\x1B\\link\x1B]8;;\x1B\\", "link"},
        {"\x1B[38;5;12mx", "x"},
        {"\x1BPdata\x1B\\x", "x"},
        {"no end \x1B[31", "no end \x1B[31"},
        {"no end \x1B]0;title", "no end \x1B]0;title"},
        {"alone \x1B", "alone \x1B"},
        {"other \x1B"
         "c",
         "other \x1B"
         "c"},
        {"\x1B]a\nb\a", "\x1B]a\nb\a"},
    }));
    CHECK(stripped(row.text) == row.stripped);
}

TEST_CASE("JSON and Rust strings are decoded") {
    CHECK(from_json("a\\n\\t\\\"\\\\\\/\\b\\f\\r") == "a\n\t\"\\/\b\f\r");
    CHECK(from_json("\\u00e9\\u20AC") == "\xC3\xA9\xE2\x82\xAC");
    CHECK(from_json("\\ud83d\\ude00!") == "\xF0\x9F\x98\x80!");
    CHECK(from_json("\\ud83d!") == "\xEF\xBF\xBD!");
    CHECK(from_json("\\ude00\\ud83d") == "\xEF\xBF\xBD\xEF\xBF\xBD");
    CHECK(from_json("\\ud83d\\u0041") ==
          "\xEF\xBF\xBD"
          "A");
    CHECK(from_rust("str \\\"q\\\"") == "str \"q\"");
    CHECK(from_rust("a\\nb\\u{1f600}\\u{7}\\'\\\\") == "a\nb\xF0\x9F\x98\x80\a'\\");
    CHECK(from_rust("\\x1b \\u{} \\u{110000} \\q \\") == "\\x1b \\u{} \\u{110000} \\q \\");
}

TEST_CASE("a cut does not divide a character") {
    const std::string text =
        "ab\xE2\x82\xAC"
        "c";
    CHECK(utf8_cut(text, 2) == 2);
    CHECK(utf8_cut(text, 3) == 2);
    CHECK(utf8_cut(text, 4) == 2);
    CHECK(utf8_cut(text, 5) == 5);
    CHECK(utf8_cut(text, 100) == 6);
    // Bytes that are no characters are cut where asked.
    CHECK(utf8_cut(std::string(10, '\x80'), 5) == 5);
}

TEST_CASE("times are read in the forms of RFC 3339 and written in one") {
    const auto written = [](std::string_view text) -> std::string {
        const auto time = parse_timestamp(text);
        if (!time) return "no";
        char out[TimestampWriter::kMicroseconds];
        TimestampWriter().write_microseconds(time->time, out);
        return std::string(out, sizeof out) + " " + std::to_string(time->size);
    };
    CHECK(written("2026-11-22T20:49:30.754812Z rest") == "2026-11-22T20:49:30.754812Z 27");
    CHECK(written("2026-11-22T20:49:30Z") == "2026-11-22T20:49:30.000000Z 20");
    CHECK(written("2026-11-22T20:49:30.5Z") == "2026-11-22T20:49:30.500000Z 22");
    CHECK(written("2026-11-22T20:49:30.123456789Z") == "2026-11-22T20:49:30.123456Z 30");
    CHECK(written("2026-11-22T20:49:30.5+01:30") == "2026-11-22T19:19:30.500000Z 27");
    CHECK(written("2024-02-29T00:00:00Z") == "2024-02-29T00:00:00.000000Z 20");
    CHECK(written("1970-01-01T00:00:00Z") == "1970-01-01T00:00:00.000000Z 20");
    for (const char* bad :
         {"", "2026-11-22", "2026-11-22T20:49:30", "2026-13-22T20:49:30Z", "2026-11-22T24:49:30Z",
          "2026-11-22T20:49:30.Z", "2026-11-22T20:49:30.1234567890Z", "x026-11-22T20:49:30Z",
          "2026-11-22T20:49:30+1:30", "9999-11-22T20:49:30Z"}) {
        INFO(bad);
        CHECK(written(bad) == "no");
    }
}

TEST_CASE("a writer of times is right across seconds, in any order") {
    TimestampWriter writer;
    const auto text = [&](std::int64_t micros) {
        char out[TimestampWriter::kMilliseconds];
        writer.write_milliseconds(WallTime(std::chrono::microseconds(micros)), out);
        return std::string(out, sizeof out);
    };
    CHECK(text(1'000'000'000'000'123) == "2001-09-09T01:46:40.000Z");
    CHECK(text(1'000'000'000'999'999) == "2001-09-09T01:46:40.999Z");
    CHECK(text(1'000'000'001'007'000) == "2001-09-09T01:46:41.007Z");
    CHECK(text(999'999'999'000'000) == "2001-09-09T01:46:39.000Z");
    CHECK(text(-5) == "1970-01-01T00:00:00.000Z");
}
