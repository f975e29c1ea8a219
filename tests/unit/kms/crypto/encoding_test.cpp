#include "kms/crypto/der.hpp"
#include "kms/crypto/pem.hpp"
#include "tests/support/kms_vectors.hpp"

using namespace kms::crypto;
using runtime::as_bytes;
using runtime::to_hex;
using test_support::hex;

TEST_CASE("PEM is written with 64 columns and LF") {
    CHECK(to_pem("X", as_bytes("abc")) == "-----BEGIN X-----\nYWJj\n-----END X-----\n");
    CHECK(to_pem("X", {}) == "-----BEGIN X-----\n-----END X-----\n");
    const std::string two_lines = to_pem("LABEL", Bytes(49, 0));
    CHECK(two_lines ==
          "-----BEGIN LABEL-----\n" + std::string(64, 'A') + "\nAA==\n-----END LABEL-----\n");
}

TEST_CASE("what is written as PEM is read back") {
    for (std::size_t size = 1; size < 200; ++size) {
        Bytes bytes(size);
        for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 + size);
        const auto read = first_pem_block(to_pem("ANY LABEL", bytes));
        REQUIRE(read.has_value());
        CHECK(std::ranges::equal(read->view(), bytes));
    }
}

TEST_CASE("the first PEM block counts, whatever its label and surroundings") {
    struct Row {
        std::string name, text, bytes;
    };
    const auto row = GENERATE(values<Row>({
        {"plain", "-----BEGIN X-----\nYWJj\n-----END X-----\n", "abc"},
        {"CRLF", "-----BEGIN X-----\r\nYWJj\r\n-----END X-----\r\n", "abc"},
        {"no line end after it", "-----BEGIN X-----\nYWJj\n-----END X-----", "abc"},
        {"text before",
         "Bag Attributes\nfriendlyName: y\n-----BEGIN X-----\nYWJj\n-----END X-----\n", "abc"},
        {"two blocks",
         "-----BEGIN X-----\nYWJj\n-----END X-----\n-----BEGIN Y-----\nZGVm\n-----END Y-----\n",
         "abc"},
        {"lines of odd lengths", "-----BEGIN X-----\nYW\nJ\nj\n-----END X-----\n", "abc"},
        {"padding", "-----BEGIN X-----\nYQ==\n-----END X-----\n", "a"},
    }));
    INFO(row.name);
    const auto read = first_pem_block(row.text);
    REQUIRE(read.has_value());
    CHECK(read->text() == row.bytes);
}

TEST_CASE("damaged PEM is refused with the reason") {
    struct Row {
        std::string text, reason;
    };
    const auto row = GENERATE(values<Row>({
        {"", "no line -----BEGIN"},
        {"YWJj", "no line -----BEGIN"},
        {"-----BEGIN X", "line -----BEGIN ...----- is broken"},
        {"-----BEGIN X\nYWJj\n-----END X-----\n", "line -----BEGIN ...----- is broken"},
        {"-----BEGIN X-----\nYWJj\n", "no line -----END"},
        {"-----BEGIN X-----\nYWJj\n-----END Y-----\n", "labels"},
        {"-----BEGIN X-----\nYWJj\n-----END X\n", "labels"},
        {"-----BEGIN X-----\n-----END X-----\n", "empty"},
        {"-----BEGIN X-----\nYWJ\n-----END X-----\n", "cut off"},
        {"-----BEGIN X-----\nYW=j\n-----END X-----\n", "not base64"},
        {"-----BEGIN X-----\nY===\n-----END X-----\n", "not base64"},
        {"-----BEGIN X-----\nYW!j\n-----END X-----\n", "not base64"},
        {"-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nYWJj\n-----END X-----\n", "base64"},
    }));
    INFO(row.text);
    const auto read = first_pem_block(row.text);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().code == ErrorCode::invalid_argument);
    CHECK_THAT(read.error().context, Catch::Contains(row.reason));
}

TEST_CASE("DER lengths are minimal") {
    struct Row {
        std::size_t size;
        std::string head;
    };
    const auto row = GENERATE(values<Row>({
        {0, "0400"},
        {1, "0401"},
        {127, "047f"},
        {128, "048180"},
        {255, "0481ff"},
        {256, "04820100"},
        {65535, "0482ffff"},
        {65536, "0483010000"},
    }));
    INFO(row.size);
    const Bytes contents(row.size, 0xab);
    const Bytes written = der::element(der::kOctetString, {contents});
    CHECK(to_hex(ByteView(written).first(row.head.size() / 2)) == row.head);
    der::Peeler peeler(written);
    const auto read = peeler.take(der::kOctetString);
    REQUIRE(read.has_value());
    CHECK(std::ranges::equal(*read, contents));
    CHECK(peeler.at_end());
}

TEST_CASE("DER integers are minimal and not negative") {
    struct Row {
        std::string number, encoded;
    };
    const auto row = GENERATE(values<Row>({
        {"", "020100"},
        {"00", "020100"},
        {"0000", "020100"},
        {"01", "020101"},
        {"007f", "02017f"},
        {"80", "02020080"},
        {"000080", "02020080"},
        {"ff01", "020300ff01"},
    }));
    INFO(row.number);
    CHECK(to_hex(der::unsigned_integer(hex(row.number))) == row.encoded);
}

TEST_CASE("damaged DER is refused and nothing is consumed") {
    const auto row = GENERATE(values<std::string>({
        "",              // nothing
        "04",            // no length
        "0401",          // no contents
        "0402ff",        // cut off
        "0500",          // another identifier
        "048001000000",  // indefinite length
        "04817fff",      // a long form where the short one would do
        "0482007f",      // a leading zero
        "048500000000ff",
        "0484ffffffff",  // larger than everything
        "0481",
    }));
    INFO(row);
    const Bytes bytes = hex(row);
    der::Peeler peeler(bytes);
    const auto read = peeler.take(der::kOctetString);
    REQUIRE_FALSE(read.has_value());
    CHECK(read.error().code == ErrorCode::invalid_argument);
    CHECK(peeler.at_end() == bytes.empty());
}
