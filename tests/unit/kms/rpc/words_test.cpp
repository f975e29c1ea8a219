#include "kms/rpc/rust_words.hpp"

#include <catch2/catch.hpp>

using namespace kms;

TEST_CASE("UTF-8: where it breaks and how much") {
    struct Row {
        std::string text;
        std::string fault;
        std::string lossy;
    };
    const auto row = GENERATE(values<Row>({
        {"", "", ""},
        {"a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "", "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {"\xff", "invalid utf-8 sequence of 1 bytes from index 0", "\xEF\xBF\xBD"},
        {"ab\x80", "invalid utf-8 sequence of 1 bytes from index 2", "ab\xEF\xBF\xBD"},
        {"\xC0\x80", "invalid utf-8 sequence of 1 bytes from index 0", "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xE2\x82", "incomplete utf-8 byte sequence from index 0", "\xEF\xBF\xBD"},
        {"\xE2\x82x", "invalid utf-8 sequence of 2 bytes from index 0", "\xEF\xBF\xBDx"},
        {"\xED\xA0\x80", "invalid utf-8 sequence of 1 bytes from index 0",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xF4\x90\x80\x80", "invalid utf-8 sequence of 1 bytes from index 0",
         "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"},
        {"\xF0\x9F\x98z", "invalid utf-8 sequence of 3 bytes from index 0", "\xEF\xBF\xBDz"},
    }));
    const auto fault = find_utf8_fault(row.text);
    CHECK((fault ? fault->to_string() : "") == row.fault);
    CHECK(utf8_lossy(row.text) == row.lossy);
}

TEST_CASE("real numbers as text") {
    struct Row {
        double value;
        std::string text;
    };
    const auto row = GENERATE(values<Row>({
        {1, "1.0"},
        {-1.5, "-1.5"},
        {0, "0.0"},
        {123456, "123456.0"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e16"},
        {1.25e30, "1.25e30"},
        {0.001, "0.001"},
        {0.00001, "0.00001"},
        {1e-6, "1e-6"},
        {1.5e-7, "1.5e-7"},
        {12.75, "12.75"},
    }));
    CHECK(real_text(row.value) == row.text);
}

TEST_CASE("texts in quotes") {
    CHECK(debug_text("a\"b\\c\n\t\r\x01\x7f'") == R"("a\"b\\c\n\t\r\u{1}\u{7f}'")");
    CHECK(debug_text(std::string_view("\0", 1)) == R"("\0")");
}

TEST_CASE("hexadecimal texts whose mistakes are not ASCII") {
    CHECK(parse_hex("\xff\xff").error().context == "Invalid character '\xC3\xBF' at position 0");
    CHECK(parse_hex("\x80\x80").error().context == "Invalid character '\\u{80}' at position 0");
    CHECK(parse_hex("0\n").error().context == "Invalid character '\\n' at position 1");
    CHECK(parse_hex("0x").value().empty());
}
