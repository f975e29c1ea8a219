#include "auth/policy/public_url.hpp"

#include <catch2/catch.hpp>

TEST_CASE("only scheme, host and port of an endpoint are shown") {
    struct Row {
        std::string url;
        std::string shown;
    };
    const auto row = GENERATE(values<Row>({
        {"", ""},
        {"http://127.0.0.1:8545", "http://127.0.0.1:8545"},
        {"http://127.0.0.1:8545/v2/secret-key?token=abc#frag", "http://127.0.0.1:8545"},
        {"https://user:pass@Eth.Example/v2/key", "https://eth.example"},
        {"https://user:p@ss@eth.example?key=1", "https://eth.example"},
        {"https://eth.example:443/", "https://eth.example"},
        {"http://eth.example:80", "http://eth.example"},
        {"http://eth.example:443", "http://eth.example:443"},
        {"HTTPS://eth.example:", "https://eth.example"},
        {" https://eth.example ", "https://eth.example"},
        {"http://[::1]:8545/x", "http://[::1]:8545"},
        {"http://user@[2001:DB8::1]", "http://[2001:db8::1]"},
        {"https://eth.example\\@evil/", "https://eth.example"},
        {"https://eth.example#@evil/", "https://eth.example"},
        {"localhost:8545", "configured"},
        {"not a url", "configured"},
        {"ftp://eth.example", "configured"},
        {"http://", "configured"},
        {"http://:8545", "configured"},
        {"http://secret key@", "configured"},
        {"http://ho st/", "configured"},
        {"http://host:port", "configured"},
        {"http://host:70000", "configured"},
        {"http://[::1", "configured"},
        {"https://<key>", "configured"},
    }));
    INFO(row.url);
    CHECK(auth::public_url(row.url) == row.shown);
}

TEST_CASE("what is secret in a URL") {
    using List = std::vector<std::string>;
    struct Row {
        std::string url;
        List expected;
    };
    const auto row = GENERATE(values<Row>({
        {"https://eth.example", {}},
        {"https://eth.example/", {}},
        {"https://eth.example/rpc", {}},
        {"https://eth.example/v2/0123456789abcdef", {"v2/0123456789abcdef", "0123456789abcdef"}},
        {"https://user:topsecret@eth.example/", {"user:topsecret", "topsecret"}},
        {"https://eth.example/?key=topsecret&x=1", {"key=topsecret&x=1", "topsecret"}},
        {"https://eth.example/#fragment", {"fragment"}},
        {"https://user:top%2Fsecret@eth.example",
         {"user:top%2Fsecret", "user:top/secret", "top%2Fsecret", "top/secret"}},
        {"0123456789abcdef", {"0123456789abcdef"}},
        {"", {}},
    }));
    INFO(row.url);
    CHECK(auth::url_secrets(row.url) == row.expected);
}

TEST_CASE("secrets are taken out of texts") {
    CHECK(auth::without_secrets("a key, a key and a keyhole", {"keyhole", "key"}) ==
          "a [redacted], a [redacted] and a [redacted]");
    CHECK(auth::without_secrets("nothing", {}) == "nothing");
    CHECK(auth::without_secrets("redacted", {"redacted"}) == "[redacted]");
}
