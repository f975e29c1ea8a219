#include "tests/unit/runtime/http_client_fixture.hpp"

#include <fstream>

#include <unistd.h>

using runtime::HttpClientRequest;
using runtime::HttpFault;
using test::HttpClientFixture;
using test::Script;
using test::ScriptedServer;

namespace {

class TemporaryFile {
  public:
    TemporaryFile(const std::string& name, const std::string& text)
        : path_("/tmp/http-client-tls." + std::to_string(::getpid()) + "." + name) {
        std::ofstream(path_) << text;
    }
    ~TemporaryFile() { ::unlink(path_.c_str()); }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

const test::TestIdentity& localhost() {
    static const test::TestIdentity identity = test::make_identity("localhost");
    return identity;
}

HttpClientRequest request_to(const ScriptedServer& server, const std::string& host = "localhost") {
    HttpClientRequest request;
    request.url = "https://who:secret@" + host + ":" + std::to_string(server.port()) + "/secret";
    return request;
}

}  // namespace

TEST_CASE("a certificate that nobody vouches for is refused") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::ok().over_tls(localhost()));
    const auto exchange = fixture.get(request_to(server));
    CHECK(exchange.fault == HttpFault::cannot_connect);
    CHECK(exchange.fault_detail ==
          "no TLS connection to https://localhost:" + std::to_string(server.port()) +
              ": its certificate was refused (self-signed certificate)");
    CHECK_FALSE(exchange.request_sent);
    CHECK(server.requests().empty());
}

TEST_CASE(
    "a certificate is taken when it need not be verified, and its connection is not lent to those "
    "who verify") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::ok("over TLS").over_tls(localhost()));
    auto request = request_to(server);
    request.tls.verify_peer = false;
    const auto first = fixture.get(request);
    CHECK(first.body == "over TLS");
    CHECK(first.times.tls > std::chrono::microseconds(0));
    CHECK(fixture.get(request).reused_connection);
    request.tls.verify_peer = true;
    CHECK(fixture.get(request).fault == HttpFault::cannot_connect);
    CHECK(server.requests().size() == 2);
}

TEST_CASE("a CA file vouches for a certificate") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, Script::ok("verified").over_tls(localhost()));
    auto request = request_to(server);

    SECTION("of this name") {
        const TemporaryFile ca("ca.pem", localhost().certificate_pem);
        request.tls.ca_file = ca.path();
        CHECK(fixture.get(request).body == "verified");
        CHECK(fixture.get(request).reused_connection);
    }
    SECTION("but not of another") {
        const TemporaryFile ca("ca.pem", localhost().certificate_pem);
        auto other = request_to(server, "127.0.0.1");
        other.tls.ca_file = ca.path();
        const auto exchange = fixture.get(other);
        CHECK(exchange.fault == HttpFault::cannot_connect);
        CHECK(exchange.fault_detail.ends_with("its certificate is not for this name"));
        CHECK_FALSE(exchange.request_sent);
    }
    SECTION("but not one of another issuer") {
        const TemporaryFile ca("ca.pem", test::make_identity("another CA").certificate_pem);
        request.tls.ca_file = ca.path();
        const auto exchange = fixture.get(request);
        CHECK(exchange.fault == HttpFault::cannot_connect);
        CHECK(exchange.fault_detail.find("its certificate was refused") != std::string::npos);
    }
    SECTION("unless there is no such file") {
        request.tls.ca_file = "/nowhere/ca.pem";
        const auto exchange = fixture.get(request);
        CHECK(exchange.fault == HttpFault::cannot_connect);
        CHECK(exchange.fault_detail.ends_with(
            "the CA file '/nowhere/ca.pem' cannot be read or holds no certificate"));
    }
    SECTION("unless it holds none") {
        const TemporaryFile ca("ca.pem", "no certificate");
        request.tls.ca_file = ca.path();
        const auto exchange = fixture.get(request);
        CHECK(exchange.fault == HttpFault::cannot_connect);
        CHECK(exchange.fault_detail.find("cannot be read or holds no certificate") !=
              std::string::npos);
    }
}

TEST_CASE("a client certificate is presented from memory, and only where it was given") {
    HttpClientFixture fixture;
    Script script = Script::ok().over_tls(localhost());
    script.ask_for_certificate = true;
    ScriptedServer server(fixture.io, script);
    auto anonymous = request_to(server);
    anonymous.tls.verify_peer = false;
    const auto me = test::make_identity("the client");
    auto named = anonymous;
    named.tls.client_certificate_pem = me.certificate_pem;
    named.tls.client_key_pem = me.key_pem;

    CHECK(fixture.get(named).ok());
    CHECK(server.client_names() == std::vector<std::string>{"the client"});
    const auto next = fixture.get(anonymous);
    CHECK(next.ok());
    CHECK_FALSE(next.reused_connection);
    CHECK(server.client_names().size() == 1);
    CHECK(fixture.get(named).reused_connection);

    auto broken = named;
    broken.new_connection = true;
    broken.tls.client_key_pem = "no key";
    const auto exchange = fixture.get(broken);
    CHECK(exchange.fault == HttpFault::cannot_connect);
    CHECK(exchange.fault_detail.ends_with("the client certificate or its key cannot be used"));
}

TEST_CASE("a peer that speaks no TLS is told apart from one that refuses connections") {
    struct Row {
        const char* name;
        Script script;
        const char* words;
    };
    const auto row = GENERATE(values<Row>({
        {"reset in the handshake", Script::deaf(), "Connection reset by peer"},
        {"end in the handshake", Script::deaf(),
         "the handshake failed; check that the peer speaks TLS there"},
    }));
    INFO(row.name);
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io, row.script);
    const auto watched = fixture.start(request_to(server, "127.0.0.1"), std::chrono::hours(1));
    REQUIRE(test::run_until(fixture.io, [&] { return server.accepted() == 1; }));
    // Bytes that were not read turn the end into a reset.
    if (std::string_view(row.name).starts_with("end"))
        server.send_unasked("HTTP/1.1 400 Bad Request\r\n\r\n");
    test::run_ready(fixture.io);
    server.close_all();
    REQUIRE(test::run_until(fixture.io, [&] { return watched->over(); }));
    CHECK(watched->result->fault == HttpFault::cannot_connect);
    CHECK(watched->result->fault_detail == "no TLS connection to https://127.0.0.1:" +
                                               std::to_string(server.port()) + ": " + row.words);
    CHECK_FALSE(watched->result->request_sent);
}
