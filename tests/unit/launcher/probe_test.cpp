#include "launcher/probe/probe.hpp"

#include "launcher/probe/connection.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/unit/launcher/fault_server.hpp"

#include <filesystem>
#include <fstream>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <unistd.h>

namespace {

using namespace launcher;
using namespace std::chrono_literals;
using test::Behaviour;
using test::FaultServer;
using test::Peer;

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";

const runtime::TlsServerContext& server_tls() {
    static const test::TestIdentity identity = test::make_identity("localhost");
    static const auto context =
        runtime::TlsServerContext::create({.certificate_pem = identity.certificate_pem,
                                           .key_pem = identity.key_pem,
                                           .client_ca_pem = {}});
    return *context;
}

Behaviour answer(std::string text) {
    return [text](Peer& peer) {
        peer.read_head();
        peer.send(text);
    };
}
Behaviour over_tls(Behaviour inner) {
    return [inner](Peer& peer) {
        if (peer.handshake(server_tls())) inner(peer);
    };
}
Behaviour answer_then_hang(std::string text) {
    return [text](Peer& peer) {
        peer.read_head();
        peer.send(text);
        peer.hang();
    };
}
void hang(Peer& peer) {
    peer.hang();
}
void leave(Peer&) {}
void reset(Peer& peer) {
    peer.close_with_reset();
}

/// A plan whose every stage is patient but one, so that a loaded machine changes nothing.
ProbePlan plan_for(ProbeKind kind, const FaultServer& server, std::string_view target = "/") {
    ProbePlan plan;
    plan.kind = kind;
    if (kind == ProbeKind::tcp || kind == ProbeKind::tls) {
        plan.host = "127.0.0.1";
        plan.port = server.port();
    } else {
        plan.url = server.url(kind == ProbeKind::http ? "http" : "https", target);
    }
    plan.timeouts = {8s, 8s, 8s, 8s, 8s, 8s, 9s};
    return plan;
}

ProbeResult probe(const ProbePlan& plan) {
    boost::asio::io_context io;
    runtime::SystemClock clock;
    const auto deadline = runtime::Deadline::after(clock.now(), 9s);
    return test::run(io, run_probe(clock, plan, deadline));
}

bool reached(const ProbeResult& result, ProbeStage stage) {
    return result.stage_times[static_cast<std::size_t>(stage)] > 0us;
}

struct Fault {
    std::string name;
    ProbeKind kind;
    Behaviour behaviour;
    std::function<void(ProbePlan&)> change;
    ProbeOutcome outcome;
    ProbeStage last;  ///< the last stage that was reached
    std::string detail;
};

void nothing(ProbePlan&) {}
void short_tls(ProbePlan& plan) {
    plan.timeouts.tls = 50ms;
}
void short_headers(ProbePlan& plan) {
    plan.timeouts.headers = 50ms;
}
void short_body(ProbePlan& plan) {
    plan.timeouts.body = 50ms;
}

std::vector<Fault> faults() {
    using K = ProbeKind;
    using O = ProbeOutcome;
    using S = ProbeStage;
    return {
        {"tcp ok", K::tcp, hang, nothing, O::ok, S::connect, ""},
        {"tls ok", K::tls, over_tls(hang), nothing, O::ok, S::tls, ""},
        {"http ok", K::http, answer(std::string(kOk)), nothing, O::ok, S::body, ""},
        {"https ok", K::https, over_tls(answer(std::string(kOk))), nothing, O::ok, S::body, ""},
        {"body until the end of the stream", K::http, answer("HTTP/1.1 200 OK\r\n\r\nOK"), nothing,
         O::ok, S::body, ""},
        {"chunked", K::https,
         over_tls(
             answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nOK\r\n0\r\n\r\n")),
         [](ProbePlan& plan) { plan.expect_body = "OK"; }, O::ok, S::body, ""},
        {"an interim answer first", K::http,
         answer("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + std::string(kOk)), nothing, O::ok,
         S::body, ""},

        {"handshake hangs", K::tls, hang, short_tls, O::tls_timeout, S::tls,
         "handshake was not completed within 50 ms"},
        {"closes on the ClientHello", K::tls, leave, nothing, O::tls_closed, S::tls, "closed"},
        {"resets on the ClientHello", K::https,
         [](Peer& peer) {
             peer.read_some();
             reset(peer);
         },
         nothing, O::tls_closed, S::tls, "closed"},
        {"speaks ssh", K::https,
         [](Peer& peer) {
             peer.send("SSH-2.0-OpenSSH_9.2\r\n");
             peer.hang();
         },
         nothing, O::tls_error, S::tls, "TLS failed during the handshake"},
        {"speaks plain http", K::https,
         [](Peer& peer) {
             peer.read_some();
             peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
             peer.hang();
         },
         nothing, O::tls_error, S::tls, "the peer speaks plain HTTP"},
        {"certificate of another name", K::https, over_tls(answer(std::string(kOk))),
         [](ProbePlan& plan) {
             plan.verify = "pin-sha256";
             plan.pin_sha256 = std::string(64, 'a');
         },
         O::tls_error, S::tls, "not the pinned one"},

        {"does not read", K::http, hang,
         [](ProbePlan& plan) {
             plan.headers = {{"X-Long", std::string(32 * 1024 * 1024, 'x')}};
             plan.timeouts.request = 200ms;
         },
         O::send_timeout, S::request, "could not be sent within 200 ms"},
        {"http never answers", K::http, hang, short_headers, O::http_headers_timeout, S::headers,
         "TCP is open, but no HTTP answer came within 50 ms"},
        {"the reported freeze", K::https, over_tls(hang), short_headers, O::http_headers_timeout,
         S::headers, "TCP is open and TLS is established, but no HTTP answer came within 50 ms"},
        {"half a head, then silence", K::http, answer_then_hang("HTTP/1.1 200 OK\r\nServer: x"),
         short_headers, O::http_headers_timeout, S::headers, ""},
        {"closes without an answer", K::http, [](Peer& peer) { peer.read_head(); }, nothing,
         O::http_closed, S::headers, "without an answer"},
        {"closes tls without an answer", K::https, over_tls([](Peer& peer) { peer.read_head(); }),
         nothing, O::http_closed, S::headers, "without an answer"},
        {"resets instead of an answer", K::http,
         [](Peer& peer) {
             peer.read_head();
             reset(peer);
         },
         nothing, O::http_closed, S::headers, "reset"},
        {"closes within the head", K::http, answer("HTTP/1.1 200 OK\r\nServer: x"), nothing,
         O::http_closed, S::headers, "in the middle of the head"},
        {"closes within the body", K::http,
         answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK"), nothing, O::http_closed, S::body,
         "in the middle of the body"},
        {"not http", K::http, answer("220 mail.example ESMTP\r\n\r\n"), nothing, O::http_malformed,
         S::headers, "not HTTP"},
        {"an endless head", K::http,
         answer_then_hang("HTTP/1.1 200 OK\r\n" + std::string(64 * 1024, 'x')), nothing,
         O::http_malformed, S::headers, ""},
        {"broken chunks", K::http,
         answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), nothing,
         O::http_malformed, S::body, ""},
        {"unexpected status", K::https,
         over_tls(answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")), nothing,
         O::http_status, S::body, "status 503"},
        {"unexpected status whose body hangs", K::http,
         answer_then_hang("HTTP/1.1 500 No\r\nContent-Length: 5\r\n\r\n"), short_body,
         O::http_status, S::body, "status 500"},
        {"expected 404", K::http, answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
         [](ProbePlan& plan) { plan.expect_status = {404}; }, O::ok, S::body, ""},
        {"200 where 404 is expected", K::http, answer(std::string(kOk)),
         [](ProbePlan& plan) { plan.expect_status = {404}; }, O::http_status, S::body,
         "status 200"},
        {"body hangs", K::https,
         over_tls(answer_then_hang("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK")), short_body,
         O::http_body_timeout, S::body, "its body did not end within 50 ms"},
        {"wrong body", K::http, answer(std::string(kOk)),
         [](ProbePlan& plan) { plan.expect_body = "ok"; }, O::http_body_mismatch, S::body,
         "is not the expected text"},
        {"body lacks a word", K::http, answer(std::string(kOk)),
         [](ProbePlan& plan) { plan.expect_contains = "ready"; }, O::http_body_mismatch, S::body,
         "does not contain"},
        {"body is not json", K::http, answer(std::string(kOk)),
         [](ProbePlan& plan) { plan.expect_json = {{"/status", "ok"}}; }, O::http_body_mismatch,
         S::body, "not JSON"},
        {"a header that would end its line", K::http, answer(std::string(kOk)),
         [](ProbePlan& plan) { plan.headers = {{"X-A", "b\r\nX-C: d"}}; }, O::probe_error,
         S::connect, "not valid"},
    };
}

TEST_CASE("a probe names the layer that failed") {
    for (const Fault& fault : faults()) {
        INFO(fault.name);
        FaultServer server(fault.behaviour);
        ProbePlan plan = plan_for(fault.kind, server);
        fault.change(plan);
        const ProbeResult result = probe(plan);
        CAPTURE(result.detail, to_string(result.outcome));
        CHECK(result.outcome == fault.outcome);
        CHECK(result.detail.find(fault.detail) != std::string::npos);
        CHECK(result.detail.empty() == result.ok());
        for (std::size_t stage = 0; stage < kProbeStages; ++stage) {
            // TLS is skipped by plain HTTP.
            const bool skipped =
                static_cast<ProbeStage>(stage) == ProbeStage::tls && fault.kind == ProbeKind::http;
            INFO(to_string(static_cast<ProbeStage>(stage)));
            CHECK(reached(result, static_cast<ProbeStage>(stage)) ==
                  (!skipped && stage <= static_cast<std::size_t>(fault.last)));
        }
        CHECK(result.total > 0us);
        CHECK(result.local_port != 0);
        CHECK(result.at.time_since_epoch() > 0s);
    }
}

TEST_CASE("a port without a listener, a full queue and an unknown name are told apart") {
    ProbePlan plan;
    plan.kind = ProbeKind::tcp;
    plan.host = "127.0.0.1";
    plan.timeouts = {8s, 8s, 8s, 8s, 8s, 8s, 9s};
    SECTION("refused") {
        plan.port = test::closed_port();
        const ProbeResult result = probe(plan);
        CHECK(result.outcome == ProbeOutcome::tcp_refused);
        CHECK(result.detail == "nothing listens on 127.0.0.1:" + std::to_string(plan.port) +
                                   " (connection refused)");
    }
    SECTION("accept queue full") {
        test::FullListener full;
        plan.port = full.port();
        plan.timeouts.connect = 100ms;
        const ProbeResult result = probe(plan);
        CHECK(result.outcome == ProbeOutcome::tcp_timeout);
        CHECK(result.stage_times[static_cast<std::size_t>(ProbeStage::connect)] >= 100ms);
    }
    SECTION("unknown name") {
        plan.host = "no-such-host.invalid";
        plan.port = 1;
        plan.timeouts.resolve = 500ms;
        const ProbeResult result = probe(plan);
        CHECK(result.outcome == ProbeOutcome::dns_error);
        CHECK_FALSE(reached(result, ProbeStage::connect));
    }
    SECTION("localhost needs no resolver and tries both families") {
        plan.host = "localhost";
        plan.port = test::closed_port();
        CHECK(probe(plan).outcome == ProbeOutcome::tcp_refused);
        FaultServer server(hang);
        plan.port = server.port();
        CHECK(probe(plan).ok());
    }
}

TEST_CASE("a refused connection is the service's affair, a lack of means is ours") {
    const std::vector<std::pair<int, ProbeOutcome>> rows = {
        {0, ProbeOutcome::ok},
        {ECONNREFUSED, ProbeOutcome::tcp_refused},
        {ECONNRESET, ProbeOutcome::tcp_refused},
        {EHOSTUNREACH, ProbeOutcome::tcp_refused},
        {ENETUNREACH, ProbeOutcome::tcp_refused},
        {ETIMEDOUT, ProbeOutcome::tcp_timeout},
        {EAGAIN, ProbeOutcome::tcp_timeout},
        {EMFILE, ProbeOutcome::probe_error},
        {ENFILE, ProbeOutcome::probe_error},
        {ENOMEM, ProbeOutcome::probe_error},
        {EADDRNOTAVAIL, ProbeOutcome::probe_error},
        {EPERM, ProbeOutcome::probe_error},
    };
    for (const auto& [error, outcome] : rows) {
        INFO(error);
        const StageEnd end = judge_connect(error, "127.0.0.1:9100");
        CHECK(end.outcome == outcome);
        CHECK((end.detail.find("127.0.0.1:9100") != std::string::npos) == (error != 0));
    }
}

#ifndef __SANITIZE_ADDRESS__
// The sanitizers open a pipe of their own to check pointers, which fails here.
TEST_CASE("a launcher out of descriptors blames itself") {
    FaultServer server(answer(std::string(kOk)));
    boost::asio::io_context io;
    runtime::SystemClock clock;
    rlimit before{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;
    none.rlim_cur = 0;
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    const auto deadline = runtime::Deadline::after(clock.now(), 5s);
    const ProbeResult result =
        test::run(io, run_probe(clock, plan_for(ProbeKind::http, server), deadline));
    REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(result.outcome == ProbeOutcome::probe_error);
    CHECK(result.detail.find("Too many open files") != std::string::npos);
}
#endif

TEST_CASE("the certificate that was presented is recorded, pinned and verified") {
    const test::TestIdentity identity = test::make_identity("kms.test");
    const auto context =
        runtime::TlsServerContext::create({.certificate_pem = identity.certificate_pem,
                                           .key_pem = identity.key_pem,
                                           .client_ca_pem = {}});
    REQUIRE(context);
    FaultServer server([&](Peer& peer) {
        if (peer.handshake(*context)) answer(std::string(kOk))(peer);
    });
    const ProbePlan plan = plan_for(ProbeKind::https, server);
    const ProbeResult plain = probe(plan);
    REQUIRE(plain.ok());
    REQUIRE(plain.certificate_sha256.size() == 64);

    SECTION("the right pin, in the form that openssl prints") {
        ProbePlan pinned = plan;
        pinned.verify = "pin-sha256";
        for (std::size_t i = 0; i < 64; i += 2)
            pinned.pin_sha256 += (i == 0 ? "" : ":") + plain.certificate_sha256.substr(i, 2);
        CHECK(probe(pinned).ok());
    }
    SECTION("a CA file: the name must fit, and the chain") {
        const auto path = std::filesystem::temp_directory_path() /
                          ("probe-ca-" + std::to_string(getpid()) + ".pem");
        std::ofstream(path) << identity.certificate_pem;
        ProbePlan verified = plan;
        verified.verify = "ca-file";
        verified.ca_file = path;
        verified.sni = "kms.test";
        const ProbeResult good = probe(verified);
        CAPTURE(good.detail);
        CHECK(good.ok());
        verified.sni = "other.test";
        const ProbeResult other = probe(verified);
        CHECK(other.outcome == ProbeOutcome::tls_error);
        CHECK(other.detail.find("ostname mismatch") != std::string::npos);
        std::ofstream(path) << test::make_identity("kms.test").certificate_pem;
        verified.sni = "kms.test";
        CHECK(probe(verified).outcome == ProbeOutcome::tls_error);
        std::filesystem::remove(path);
        CHECK(probe(verified).outcome == ProbeOutcome::probe_error);
    }
    SECTION("an unknown policy never means none") {
        ProbePlan odd = plan;
        odd.verify = "nnone";
        CHECK(probe(odd).outcome == ProbeOutcome::probe_error);
    }
}

struct AutoRow {
    std::string name;
    Behaviour behaviour;
    ProbeOutcome outcome;
    std::string phase;
};

TEST_CASE("http-auto finds out which of both the service speaks") {
    /// A server that reads first and then speaks plain HTTP, or leaves when it is not spoken to in
    /// it.
    const auto plain = [](bool says_400) {
        return [says_400](Peer& peer) {
            const std::string first = peer.read_some();
            if (first.starts_with("GET "))
                peer.send(kOk);
            else if (says_400)
                peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        };
    };
    const auto plain_then = [](Behaviour then) {
        return [then](Peer& peer) {
            if (peer.read_some().starts_with("GET ")) then(peer);
        };
    };
    const std::vector<AutoRow> rows = {
        {"serves TLS", over_tls(answer(std::string(kOk))), ProbeOutcome::ok, "serving"},
        {"TLS, then stuck", over_tls(hang), ProbeOutcome::http_headers_timeout, "serving"},
        {"plain, answers a ClientHello with 400", plain(true), ProbeOutcome::ok, "onboarding"},
        {"plain, leaves on a ClientHello", plain(false), ProbeOutcome::ok, "onboarding"},
        {"plain and stuck", plain_then(hang), ProbeOutcome::http_headers_timeout, "onboarding"},
        {"plain with a bad status",
         plain_then([](Peer& peer) { peer.send("HTTP/1.1 500 No\r\n\r\n"); }),
         ProbeOutcome::http_status, "onboarding"},
        {"leaves on everything", [](Peer& peer) { peer.read_some(); }, ProbeOutcome::tls_closed,
         ""},
        {"never completes a handshake", hang, ProbeOutcome::tls_timeout, ""},
    };
    for (const AutoRow& row : rows) {
        INFO(row.name);
        FaultServer server(row.behaviour);
        ProbePlan plan = plan_for(ProbeKind::http_auto, server);
        plan.timeouts.tls = row.outcome == ProbeOutcome::tls_timeout ? 50ms : 8000ms;
        plan.timeouts.headers = row.outcome == ProbeOutcome::http_headers_timeout ? 50ms : 8000ms;
        const ProbeResult result = probe(plan);
        CAPTURE(result.detail, to_string(result.outcome));
        CHECK(result.outcome == row.outcome);
        CHECK(result.phase == row.phase);
    }
}

TEST_CASE("unix sockets are looked at before they are used") {
    const auto directory =
        std::filesystem::temp_directory_path() / ("probe-unix-" + std::to_string(getpid()));
    std::filesystem::create_directories(directory);
    const std::string path = directory / "s";
    ProbePlan plan;
    plan.kind = ProbeKind::unix_socket;
    plan.path = path;
    SECTION("missing") {
        const ProbeResult result = probe(plan);
        CHECK(result.outcome == ProbeOutcome::tcp_refused);
        CHECK(result.detail == path + " is missing");
    }
    SECTION("not a socket") {
        std::ofstream(path) << "x";
        CHECK(probe(plan).detail == path + " is not a socket");
    }
    SECTION("left over by a server that is gone") {
        FaultServer server(hang, path);
        std::filesystem::rename(path, path + "2");
        plan.path = path + "2";
        CHECK(probe(plan).ok());
        plan.path = path + "3";
        {
            FaultServer gone(hang, path + "1");
            std::filesystem::rename(path + "1", path + "3");
        }
        const ProbeResult result = probe(plan);
        CHECK(result.outcome == ProbeOutcome::tcp_refused);
        CHECK(result.detail.find("nothing listens on") == 0);
    }
    SECTION("with a request over it") {
        FaultServer server(answer(std::string(kOk)), path);
        plan.url = "http://localhost/health";
        plan.expect_body = "OK";
        const ProbeResult result = probe(plan);
        CHECK(result.ok());
        CHECK(result.status == 200);
    }
    std::filesystem::remove_all(directory);
}

TEST_CASE("the request is what a log can recognise, and the answer's body is bounded") {
    std::string seen;
    FaultServer server([&](Peer& peer) {
        seen = peer.read_head();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" +
                  std::string(100'000, 'a'));
    });
    ProbePlan plan = plan_for(ProbeKind::http, server, "/health?x=1");
    plan.headers = {{"X-Extra", "1"}, {"host", "kms.test"}};
    plan.expect_contains = "aaa";
    boost::asio::io_context io;
    runtime::SystemClock clock;
    const auto deadline = runtime::Deadline::after(clock.now(), 5s);
    const ProbeExchange exchange = test::run(io, run_exchange(clock, plan, deadline));
    CHECK(exchange.result.ok());
    CHECK(exchange.body.size() == plan.max_body);
    CHECK(seen.starts_with(
        "GET /health?x=1 HTTP/1.1\r\nHost: kms.test\r\nUser-Agent: kms-launcher-probe/"));
    CHECK(seen.find("\r\nX-Extra: 1\r\n") != std::string::npos);
    plan.expect_contains.reset();
    plan.expect_body = "a";
    const auto later = runtime::Deadline::after(clock.now(), 5s);
    CHECK(test::run(io, run_probe(clock, plan, later)).detail ==
          "the body is longer than 65536 bytes");
}

TEST_CASE("a stage ends exactly at its limit, not before") {
    FaultServer server(hang);
    boost::asio::io_context io;
    test::ManualClock clock;
    ProbePlan plan = plan_for(ProbeKind::http, server);
    plan.timeouts = StageLimits{};
    std::optional<ProbeResult> result;
    const auto begin = clock.now();
    boost::asio::co_spawn(
        io, run_probe(clock, plan, runtime::Deadline::after(begin, 60s)),
        [&](std::exception_ptr, ProbeResult ended) { result = std::move(ended); });
    // The third wait on the clock (resolve and connect have ended theirs) is the one for the head.
    const bool asked =
        test::run_until(io, [&] { return server.connections() == 1 && clock.sleepers() == 1; });
    REQUIRE(asked);
    test::run_ready(io);
    clock.advance(2999ms);
    test::run_ready(io);
    CHECK_FALSE(result);
    clock.advance(1ms);
    const bool ended = test::run_until(io, [&] { return result.has_value(); });
    REQUIRE(ended);
    CHECK(result->outcome == ProbeOutcome::http_headers_timeout);
    CHECK(result->stage_times[static_cast<std::size_t>(ProbeStage::headers)] == 3s);
    CHECK(result->total == 3s);
}

TEST_CASE(
    "the caller's deadline and the total cut a stage short, and a given-up probe ends at once") {
    FaultServer server(hang);
    boost::asio::io_context io;
    runtime::SystemClock clock;
    ProbePlan plan = plan_for(ProbeKind::http, server);
    SECTION("deadline") {
        const auto deadline = runtime::Deadline::after(clock.now(), 60ms);
        const ProbeResult result = test::run(io, run_probe(clock, plan, deadline));
        CHECK(result.outcome == ProbeOutcome::http_headers_timeout);
        CHECK(result.total < 5s);
    }
    SECTION("total") {
        plan.timeouts.total = 60ms;
        const auto deadline = runtime::Deadline::after(clock.now(), 9s);
        CHECK(test::run(io, run_probe(clock, plan, deadline)).outcome ==
              ProbeOutcome::http_headers_timeout);
    }
    SECTION("cancelled") {
        boost::asio::cancellation_signal signal;
        std::optional<ProbeResult> result;
        bool threw = false;
        boost::asio::co_spawn(io, run_probe(clock, plan, runtime::Deadline::after(clock.now(), 9s)),
                              boost::asio::bind_cancellation_slot(
                                  signal.slot(), [&](std::exception_ptr failed, ProbeResult ended) {
                                      threw = failed != nullptr;
                                      result = std::move(ended);
                                  }));
        const bool connected = test::run_until(io, [&] { return server.connections() == 1; });
        REQUIRE(connected);
        signal.emit(boost::asio::cancellation_type::terminal);
        const bool ended = test::run_until(io, [&] { return result.has_value(); });
        REQUIRE(ended);
        CHECK_FALSE(threw);
        CHECK(result->outcome == ProbeOutcome::probe_error);
    }
}

TEST_CASE("hanging targets delay no other probe") {
    FaultServer stuck(hang);
    FaultServer healthy(answer(std::string(kOk)));
    boost::asio::io_context io;
    runtime::SystemClock clock;
    int hanging = 0;
    int answered_while_hanging = 0;
    ProbePlan slow = plan_for(ProbeKind::http, stuck);
    slow.timeouts.headers = 1500ms;
    const auto deadline = runtime::Deadline::after(clock.now(), 9s);
    for (int i = 0; i < 40; ++i) {
        ++hanging;
        boost::asio::co_spawn(io, run_probe(clock, slow, deadline),
                              [&](std::exception_ptr, ProbeResult result) {
                                  CHECK(result.outcome == ProbeOutcome::http_headers_timeout);
                                  --hanging;
                              });
    }
    for (int i = 0; i < 20; ++i)
        boost::asio::co_spawn(io, run_probe(clock, plan_for(ProbeKind::http, healthy), deadline),
                              [&](std::exception_ptr, ProbeResult result) {
                                  CHECK(result.ok());
                                  if (hanging == 40) ++answered_while_hanging;
                              });
    const bool ended = test::run_until(io, [&] { return hanging == 0; });
    REQUIRE(ended);
    CHECK(answered_while_hanging == 20);
}

}  // namespace
