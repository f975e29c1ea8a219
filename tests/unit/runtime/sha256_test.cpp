#include "launcher/runtime/sha256.hpp"

#include "launcher/runtime/bytes.hpp"

#include <string>

#include <catch2/catch.hpp>
#include <openssl/evp.h>

namespace {

using runtime::sha256_of_public;

std::string hex_of(std::string_view text) {
    const auto hash = sha256_of_public(text);
    return runtime::to_hex(runtime::ByteView(hash.data(), hash.size()));
}

}  // namespace

TEST_CASE("SHA-256 of the examples of FIPS 180-4") {
    CHECK(hex_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(hex_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hex_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("SHA-256 is what OpenSSL says for every length around a block's end") {
    std::string text;
    for (std::size_t size = 0; size <= 260; ++size) {
        unsigned char wanted[EVP_MAX_MD_SIZE];
        unsigned length = 0;
        REQUIRE(EVP_Digest(text.data(), text.size(), wanted, &length, EVP_sha256(), nullptr) == 1);
        CHECK(hex_of(text) == runtime::to_hex(runtime::ByteView(wanted, length)));
        text += static_cast<char>(size * 37 + 1);
    }
}
