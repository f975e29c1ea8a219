#include "kms/crypto/hkdf.hpp"
#include "kms/crypto/keccak.hpp"
#include "kms/crypto/sha256.hpp"
#include "tests/support/kms_vectors.hpp"

using namespace kms::crypto;
using runtime::as_bytes;
using runtime::to_hex;
using test_support::hex;
using test_support::hex_at;
using test_support::text_at;

TEST_CASE("SHA-256 agrees with FIPS 180-4") {
    CHECK(to_hex(sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(to_hex(sha256({as_bytes("abc")})) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(to_hex(sha256_secret({as_bytes("a"), as_bytes(""), as_bytes("bc")}).view()) ==
          to_hex(sha256({as_bytes("abc")})));
}

TEST_CASE("HMAC-SHA256 agrees with RFC 4231") {
    struct Row {
        std::string name, key, message, code;
    };
    const auto row = GENERATE(values<Row>({
        {"case 1", "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"case 2", "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {"case 6: a key longer than a block", std::string(262, 'a'),
         "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d20486173682"
         "04b6579204669727374",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    }));
    INFO(row.name);
    CHECK(to_hex(hmac_sha256(hex(row.key), {hex(row.message)}).view()) == row.code);
}

TEST_CASE("keys are derived as upstream's unit test has it") {
    const boost::json::value vectors = test_support::kms_vectors("kdf.json");
    const boost::json::value& vector = vectors.at("upstream_unit_vector");
    const Bytes pkcs8 = hex_at(vector, "root_pkcs8_der");
    const ByteView scalar = ByteView(pkcs8).subspan(36, 32);
    CHECK(to_hex(derive_key(scalar, {as_bytes("context one"), as_bytes("context two")}).view()) ==
          text_at(vector, "derived_scalar"));
}

TEST_CASE("the context of a derived key is joined without separators") {
    const Bytes key(32, 7);
    const auto derive = [&](std::initializer_list<ByteView> context) {
        return to_hex(derive_key(key, context).view());
    };
    CHECK(derive({as_bytes("ab"), as_bytes("c")}) == derive({as_bytes("a"), as_bytes("bc")}));
    CHECK(derive({as_bytes("abc")}) != derive({as_bytes("ab")}));
}

TEST_CASE("Keccak-256 has the original padding") {
    struct Row {
        std::string name, message, digest;
    };
    const auto row = GENERATE(values<Row>({
        {"nothing", "", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"},
        {"abc", "abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"},
        {"one byte less than a block", std::string(135, 'a'),
         "34367dc248bbd832f4e3e69dfaac2f92638bd0bbd18f2912ba4ef454919cf446"},
        {"a block", std::string(136, 'a'),
         "a6c4d403279fe3e0af03729caada8374b5ca54d8065329a3ebcaeb4b60aa386e"},
        {"a block and a byte", std::string(137, 'a'),
         "d869f639c7046b4929fc92a4d988a8b22c55fbadb802c0c66ebcd484f1915f39"},
    }));
    INFO(row.name);
    CHECK(to_hex(keccak256({as_bytes(row.message)})) == row.digest);
    // Where the message is cut makes no difference.
    const ByteView message = as_bytes(row.message);
    CHECK(keccak256({message.first(message.size() / 3), message.subspan(message.size() / 3)}) ==
          keccak256({message}));
}
