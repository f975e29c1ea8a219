#include "launcher/runtime/bytes.hpp"

#include <string>

#include <catch2/catch.hpp>

using namespace runtime;

TEST_CASE("hexadecimal text is lower case and reads back in either case") {
    const Bytes all = {0x00, 0x0f, 0xa5, 0xff};
    CHECK(to_hex(all) == "000fa5ff");
    CHECK(to_hex({}).empty());
    CHECK(from_hex("000fa5ff").value() == all);
    CHECK(from_hex("000FA5fF").value() == all);
    CHECK(from_hex("").value().empty());
}

TEST_CASE("bad hexadecimal text is named by its place") {
    struct Row {
        std::string text;
        std::string error;
    };
    const auto row = GENERATE(values<Row>({
        {"0", "Odd number of digits"},
        {"xyz", "Odd number of digits"},
        {"0x12", "Invalid character 'x' at position 1"},
        {"g0", "Invalid character 'g' at position 0"},
        {"00 0", "Invalid character ' ' at position 2"},
        {"000/", "Invalid character '/' at position 3"},
        {"00:0", "Invalid character ':' at position 2"},
        {"@000", "Invalid character '@' at position 0"},
        {"`000", "Invalid character '`' at position 0"},
        {"00G0", "Invalid character 'G' at position 2"},
        {"0\n", "Invalid character '\\x0a' at position 1"},
        {"\xc3\xa9", "Invalid character '\\xc3' at position 0"},
    }));
    INFO(row.text);
    const auto result = from_hex(row.text);
    REQUIRE(!result.has_value());
    CHECK(result.error().code == ErrorCode::invalid_argument);
    CHECK(result.error().context == row.error);
}

TEST_CASE("UTF-8 is checked as RFC 3629 says") {
    struct Row {
        std::string name;
        std::string text;
        bool valid;
    };
    const auto row = GENERATE(values<Row>({
        {"empty", "", true},
        {"ASCII, long enough for the fast path", "0123456789abcdef", true},
        {"two bytes", "\xc2\x80\xdf\xbf", true},
        {"three bytes", "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf", true},
        {"four bytes", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true},
        {"NUL is a character", std::string("a\0b", 3), true},
        {"after eight ASCII bytes", "01234567\xc3\xa9", true},
        {"lone continuation", "\x80", false},
        {"bad byte after eight ASCII bytes", "01234567\xff", false},
        {"overlong slash, two bytes", "\xc0\xaf", false},
        {"overlong, C1", "\xc1\xbf", false},
        {"overlong slash, three bytes", "\xe0\x80\xaf", false},
        {"overlong, three bytes, last", "\xe0\x9f\xbf", false},
        {"overlong, four bytes", "\xf0\x8f\xbf\xbf", false},
        {"first surrogate", "\xed\xa0\x80", false},
        {"last surrogate", "\xed\xbf\xbf", false},
        {"above U+10FFFF", "\xf4\x90\x80\x80", false},
        {"F5", "\xf5\x80\x80\x80", false},
        {"FE", "\xfe", false},
        {"cut after one of two", "\xc3", false},
        {"cut after two of three", "\xe2\x82", false},
        {"cut after three of four", "\xf0\x9f\x98", false},
        {"second byte missing", "\xc3(", false},
        {"third byte wrong", "\xe2\x82(", false},
        {"fourth byte wrong", "\xf0\x9f\x98(", false},
    }));
    INFO(row.name);
    CHECK(is_utf8(row.text) == row.valid);
}

TEST_CASE("the reader reads numbers in both orders and borrows runs") {
    const Bytes bytes = {1,    0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x02, 0x03, 0x04, 0x05,
                         0x06, 0x07, 1,    2,    3,    4,    5,    6,    7,    8,    1,
                         2,    3,    4,    5,    6,    7,    0xf8, 0xaa, 0xbb, 0xcc};
    Reader reader(bytes);
    CHECK(reader.u8().value() == 1);
    CHECK(reader.u16_le().value() == 0x0302);
    CHECK(reader.u32_le().value() == 0x07060504);
    CHECK(reader.u16_be().value() == 0x0203);
    CHECK(reader.u32_be().value() == 0x04050607);
    CHECK(reader.u64_le().value() == 0x0807060504030201);
    CHECK(reader.u64_be().value() == 0x01020304050607f8);
    CHECK(reader.offset() == 29);
    CHECK(reader.left() == 3);
    const ByteView run = reader.take(2).value();
    CHECK(run.data() == bytes.data() + 29);
    CHECK(to_hex(run) == "aabb");
    CHECK(to_hex(reader.rest()) == "cc");
    CHECK(!reader.at_end());
    CHECK(reader.take(1).has_value());
    CHECK(reader.at_end());
    CHECK(reader.take(0).value().empty());
}

TEST_CASE("every read of the reader checks the length first and consumes nothing when it fails") {
    struct Row {
        std::string name;
        std::size_t size;
        Error (*read)(Reader&);
    };
    const auto failure = [](auto result) { return result.has_value() ? Error{} : result.error(); };
    static const auto kept = failure;
    const auto row = GENERATE(values<Row>({
        {"u8", 1, [](Reader& r) { return kept(r.u8()); }},
        {"u16_le", 2, [](Reader& r) { return kept(r.u16_le()); }},
        {"u32_le", 4, [](Reader& r) { return kept(r.u32_le()); }},
        {"u64_le", 8, [](Reader& r) { return kept(r.u64_le()); }},
        {"u16_be", 2, [](Reader& r) { return kept(r.u16_be()); }},
        {"u32_be", 4, [](Reader& r) { return kept(r.u32_be()); }},
        {"u64_be", 8, [](Reader& r) { return kept(r.u64_be()); }},
        {"take", 5, [](Reader& r) { return kept(r.take(5)); }},
        {"take all", std::string::npos, [](Reader& r) { return kept(r.take(std::string::npos)); }},
    }));
    INFO(row.name);
    for (std::size_t available = 0; available < std::min<std::size_t>(row.size, 9); ++available) {
        const Bytes bytes(3 + available);
        Reader reader(bytes);
        REQUIRE(reader.take(3).has_value());
        const Error error = row.read(reader);
        CHECK(error.code == ErrorCode::invalid_argument);
        CHECK(error.context == "unexpected end at offset 3: " + std::to_string(row.size) +
                                   " bytes needed, " + std::to_string(available) + " left");
        CHECK(reader.offset() == 3);
        CHECK(reader.left() == available);
    }
}
