#include "launcher/runtime/keccak.hpp"

#include <string>

#include <catch2/catch.hpp>

namespace {

std::string keccak_hex(std::string_view text) {
    return runtime::to_hex(runtime::keccak256(runtime::as_bytes(text)));
}

}  // namespace

TEST_CASE("Keccak-256 with the padding of Ethereum, not of SHA3-256") {
    CHECK(keccak_hex("") == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    CHECK(keccak_hex("abc") == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
    // Four bytes of it are how a contract's function is called.
    CHECK(keccak_hex("gatewayAppId()").substr(0, 8) == "95f51931");
    CHECK(keccak_hex("appImplementation()").substr(0, 8) == "25a992da");
}

TEST_CASE("parts are hashed as one text, whatever the block they end in") {
    const std::string text(300, 'x');
    for (const std::size_t cut : {0U, 1U, 135U, 136U, 137U, 272U, 300U}) {
        INFO(cut);
        const auto bytes = runtime::as_bytes(text);
        CHECK(runtime::keccak256({bytes.first(cut), bytes.subspan(cut)}) ==
              runtime::keccak256(bytes));
    }
}
