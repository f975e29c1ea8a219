// The status page as a browser takes it: its hashes must be those of its own style and script.
#include "launcher/control/status_page.hpp"
#include "launcher/runtime/bytes.hpp"

#include <array>

#include <catch2/catch.hpp>
#include <openssl/evp.h>

namespace {

std::string between(const std::string& text, const std::string& begin, const std::string& end) {
    const auto from = text.find(begin);
    const auto to = text.find(end, from);
    REQUIRE(from != std::string::npos);
    REQUIRE(to != std::string::npos);
    return text.substr(from + begin.size(), to - from - begin.size());
}

std::string source_of(const std::string& text) {
    std::array<unsigned char, 32> digest{};
    EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
    std::array<unsigned char, 64> base64{};
    const int size = EVP_EncodeBlock(base64.data(), digest.data(), 32);
    return "'sha256-" +
           std::string(reinterpret_cast<const char*>(base64.data()),
                       static_cast<std::size_t>(size)) +
           "'";
}

TEST_CASE("the page's own style and script, and no other, may run") {
    const std::string& page = launcher::status_page();
    const std::string& policy = launcher::status_page_policy();
    CHECK(policy.find("style-src " + source_of(between(page, "<style>", "</style>")) + ";") !=
          std::string::npos);
    CHECK(policy.find("script-src " + source_of(between(page, "<script>", "</script>")) + ";") !=
          std::string::npos);
    CHECK(policy.find("connect-src 'self'") != std::string::npos);
    CHECK(policy.find("frame-ancestors 'none'") != std::string::npos);
}

TEST_CASE("the page needs nothing from elsewhere and puts no text into markup") {
    const std::string& page = launcher::status_page();
    // The only address in it is the name of the SVG namespace.
    for (std::size_t at = page.find("://"); at != std::string::npos; at = page.find("://", at + 1))
        CHECK(page.substr(at, 17) == "://www.w3.org/200");
    for (const char* word : {" src=", "style=", "onclick", "innerHTML", "insertAdjacent",
                             "document.write", "eval(", "@import", "url("}) {
        INFO(word);
        CHECK(page.find(word) == std::string::npos);
    }
    CHECK(page.size() < 32 * 1024);
    CHECK(page.find("name=\"viewport\"") != std::string::npos);
    CHECK(page.find("prefers-color-scheme:dark") != std::string::npos);
}

}  // namespace
