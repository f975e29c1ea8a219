// The parts of a probe that need no peer: addresses, answers piece by piece, and the control
// measurement's verdict.
#include "launcher/probe/control_measurement.hpp"
#include "launcher/probe/http_response.hpp"
#include "launcher/probe/line_watch.hpp"
#include "launcher/probe/notify_socket.hpp"
#include "launcher/probe/probe.hpp"
#include "launcher/probe/probe_url.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/raw_client.hpp"

#include <thread>

#include <catch2/catch.hpp>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

using namespace launcher;
using namespace std::chrono_literals;
using runtime::Task;

TEST_CASE("a probe's address is taken apart, or refused with a reason") {
    struct Row {
        std::string url, scheme, host;
        int port;
        std::string authority, target, problem;
    };
    const std::vector<Row> rows = {
        {"http://127.0.0.1:9200/x?y=1#z", "http", "127.0.0.1", 9200, "127.0.0.1:9200", "/x?y=1",
         ""},
        {"HTTPS://kms.example", "https", "kms.example", 0, "kms.example", "/", ""},
        {"https://[::1]:9100?json", "https", "::1", 9100, "[::1]:9100", "/?json", ""},
        {"http://[::1]", "http", "::1", 0, "[::1]", "/", ""},
        {"127.0.0.1:9100", "", "", 0, "", "", "begin with a scheme"},
        {"://x", "", "", 0, "", "", "begin with a scheme"},
        {"http://", "", "", 0, "", "", "host is missing"},
        {"http://:80/", "", "", 0, "", "", "host is missing"},
        {"http://h:0/", "", "", 0, "", "", "1 to 65535"},
        {"http://h:65536/", "", "", 0, "", "", "1 to 65535"},
        {"http://h:80x/", "", "", 0, "", "", "1 to 65535"},
        {"http://[::1/", "", "", 0, "", "", "']'"},
        {"http://[::1]x/", "", "", 0, "", "", "only a port"},
        {"http://h/a b", "", "", 0, "", "", "percent-encoded"},
        {"http://h/\r\nX: y", "", "", 0, "", "", "percent-encoded"},
        {"http://h/\xc3\xa9", "", "", 0, "", "", "percent-encoded"},
        {"http://user:hunter2@h/", "", "", 0, "", "", "must not hold a user name or password"},
    };
    for (const Row& row : rows) {
        INFO(row.url);
        const auto parts = parse_target(row.url);
        CHECK(parts.has_value() == row.problem.empty());
        if (parts) {
            CHECK(parts->scheme == row.scheme);
            CHECK(parts->host == row.host);
            CHECK(parts->port == row.port);
            CHECK(parts->authority == row.authority);
            CHECK(parts->target == row.target);
        } else {
            CHECK(parts.error().context.find(row.problem) != std::string::npos);
            CHECK(parts.error().context.find("hunter2") == std::string::npos);
        }
    }
}

TEST_CASE("a URL that a person types becomes a plan") {
    CHECK(probe_plan_from_url("https://127.0.0.1:9100/health")->kind == ProbeKind::https);
    CHECK(probe_plan_from_url("http://127.0.0.1:9100/health")->kind == ProbeKind::http);
    CHECK(probe_plan_from_url("http-auto://127.0.0.1:9100/health")->kind == ProbeKind::http_auto);
    const auto tls = probe_plan_from_url("tls://localhost:9100");
    REQUIRE(tls);
    CHECK(tls->kind == ProbeKind::tls);
    CHECK(tls->host == "localhost");
    CHECK(tls->port == 9100);
    CHECK(probe_plan_from_url("tcp://[::1]:1")->host == "::1");
    CHECK(probe_plan_from_url("unix:/run/x.sock")->path == "/run/x.sock");
    CHECK(probe_plan_from_url("unix:///run/x.sock")->path == "/run/x.sock");
    for (const char* wrong : {"tcp://h", "ftp://h/", "unix:x", "", "h:1"}) {
        INFO(wrong);
        CHECK_FALSE(probe_plan_from_url(wrong));
    }
}

TEST_CASE("an answer reads the same however it is cut into pieces") {
    using State = ResponseReader::State;
    struct Row {
        std::string name, text;
        bool head_only;
        State at_end;
        unsigned status;
        std::string body;
    };
    const std::vector<Row> rows = {
        {"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, State::done, 200,
         "hello"},
        {"chunks",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: "
         "v\r\n\r\n",
         false, State::done, 200, "hello"},
        {"no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false,
         State::done, 200, ""},
        {"until the end", "HTTP/1.0 200 OK\r\n\r\nhello", false, State::done, 200, "hello"},
        {"no body by status", "HTTP/1.1 204 No Content\r\n\r\n", false, State::done, 204, ""},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, State::done, 200, ""},
        {"100 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx",
         false, State::done, 404, "x"},
        {"cut head", "HTTP/1.1 200 OK\r\nConte", false, State::cut, 0, ""},
        {"cut body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", false, State::cut, 200,
         "hello"},
        {"cut chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello", false,
         State::cut, 200, "hello"},
        {"nothing", "", false, State::cut, 0, ""},
        {"long by length", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n01234567890123456789",
         false, State::truncated, 200, "0123456789"},
        {"long without length", "HTTP/1.1 200 OK\r\n\r\n01234567890123456789", false,
         State::truncated, 200, "0123456789"},
        {"just fits", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", false, State::done,
         200, "0123456789"},
        {"ssh", "SSH-2.0-OpenSSH_9.2\r\n\r\n", false, State::malformed, 0, ""},
        {"ssh greeting", "SSH-2.0-OpenSSH_9.2\r\n", false, State::malformed, 0, ""},
        {"http/2", "PRI * HTTP/2.0\r\n\r\n", false, State::malformed, 0, ""},
        {"bad length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", false, State::malformed, 0,
         ""},
        {"endless head", "HTTP/1.1 200 OK\r\nA: " + std::string(20'000, 'x'), false,
         State::malformed, 0, ""},
    };
    for (const Row& row : rows)
        for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{100'000}}) {
            INFO(row.name << " in pieces of " << piece);
            ResponseReader reader(row.head_only, 10);
            for (std::size_t at = 0; at < row.text.size(); at += piece)
                reader.feed(std::string_view(row.text).substr(at, piece));
            reader.finish();
            CHECK(reader.state() == row.at_end);
            CHECK(reader.status() == row.status);
            CHECK(reader.body() == row.body);
            CHECK(reader.any_bytes() == !row.text.empty());
            CHECK(reader.detail().empty() == (row.at_end != State::malformed));
        }
}

TEST_CASE("a peer that speaks another protocol is known before it closes, however it is cut") {
    for (const std::string_view text :
         {"SSH-2.0-OpenSSH_9.2\r\n", "220 mail.example ESMTP ready\r\n", "+OK\r\n",
          "\x15\x03\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"})
        for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{100}}) {
            INFO(text << " in pieces of " << piece);
            ResponseReader reader(false, 10);
            for (std::size_t at = 0; at < text.size(); at += piece)
                reader.feed(text.substr(at, piece));
            CHECK(reader.state() == ResponseReader::State::malformed);
        }
}

TEST_CASE("a body is checked without being repeated") {
    const std::string secret = "https://node.example/v3/0123456789abcdef0123456789abcdef";
    const std::string body =
        R"({"status":"error","code":7,"ok":true,"deep":[{"a/b":"x"}],"url":")" + secret + "\"}";
    struct Row {
        std::vector<std::pair<std::string, std::string>> json;
        std::string problem;
    };
    const std::vector<Row> rows = {
        {{{"/status", "error"}, {"/code", "7"}, {"/ok", "true"}, {"/deep/0/a~1b", "x"}}, ""},
        {{{"/status", "ok"}}, "the JSON body has 'error' at '/status', not 'ok'"},
        {{{"/url", "ok"}}, "the JSON body has another value at '/url', not 'ok'"},
        {{{"/missing", "ok"}}, "the JSON body has nothing at '/missing'"},
        {{{"/deep/7", "ok"}}, "the JSON body has nothing at '/deep/7'"},
    };
    for (const Row& row : rows) {
        ProbePlan plan;
        plan.expect_json = row.json;
        CHECK(body_mismatch(plan, body, false).value_or("") == row.problem);
    }
    ProbePlan plan;
    plan.expect_body = "OK";
    CHECK(body_mismatch(plan, secret, false)->find("0123456789") == std::string::npos);
    CHECK_FALSE(body_mismatch(plan, "OK", false));
    CHECK(body_mismatch(plan, "OK", true) == "the body is longer than 65536 bytes");
}

TEST_CASE("the launcher's own lateness excuses time-outs only") {
    const ControlMeasurement fine{.lag = 20ms, .round_trip = 5ms};
    const ControlMeasurement lagging{.lag = 501ms, .round_trip = 5ms};
    const ControlMeasurement slow{.lag = 0ms, .round_trip = 1501ms};
    CHECK_FALSE(launcher_was_late({.lag = 500ms, .round_trip = 1500ms}, 3s));
    for (std::size_t i = 0; i < kProbeOutcomes; ++i) {
        ProbeResult result;
        result.outcome = static_cast<ProbeOutcome>(i);
        INFO(to_string(result.outcome));
        CHECK(judged(result, fine, 3s).outcome == result.outcome);
        for (const auto& control : {lagging, slow}) {
            const ProbeResult late = judged(result, control, 3s);
            CHECK((late.outcome == ProbeOutcome::probe_late) ==
                  (is_timeout(result.outcome) || result.outcome == ProbeOutcome::probe_late));
        }
    }
    ProbeResult result;
    result.outcome = ProbeOutcome::tls_timeout;
    result.detail = "no handshake";
    CHECK(judged(result, lagging, 3s).detail ==
          "the launcher itself was late (timer 501 ms, own health listener 5 ms), so this does not "
          "count: no handshake");
}

TEST_CASE("a line is recognised by stream, target and text") {
    const auto watch = [](std::string stream, std::string target, std::string pattern, bool regex) {
        ProbePlan plan;
        plan.kind = ProbeKind::log_line;
        plan.stream = std::move(stream);
        plan.target = std::move(target);
        plan.pattern = std::move(pattern);
        plan.pattern_is_regex = regex;
        return LineWatch::create(plan);
    };
    struct Row {
        std::string stream, target, pattern;
        bool regex, seen;
    };
    const std::vector<Row> rows = {
        {"", "", "launched from", false, true},   {"stdout", "", "launched", false, true},
        {"stderr", "", "launched", false, false}, {"", "rocket::launch", "launched", false, true},
        {"", "rocket", "launched", false, false}, {"", "", "^Rocket .*:91\\d\\d$", true, true},
        {"", "", "^launched", true, false},       {"", "", "91..", false, false},
    };
    for (const Row& row : rows) {
        INFO(row.stream << "/" << row.target << "/" << row.pattern);
        const auto made = watch(row.stream, row.target, row.pattern, row.regex);
        REQUIRE(made);
        (*made)->look("stdout", "rocket::launch", "Rocket has launched from https://0.0.0.0:9100");
        CHECK((*made)->seen() == row.seen);
        (*made)->look("stdout", "rocket::launch", "something else");
        CHECK((*made)->seen() == row.seen);
    }
    CHECK_FALSE(watch("", "", "(", true));
    CHECK_FALSE(watch("", "", "", false));
}

TEST_CASE("a notification says ready, stopping and a status, and commands nothing") {
    NotifyState state;
    apply_notification(state, "STATUS=loading\x1b[31m\nWATCHDOG=1\nMAINPID=1\nREADY=0\n");
    CHECK_FALSE(state.ready);
    CHECK(state.status == "loading?[31m");
    apply_notification(state, "READY=1");
    CHECK(state.ready);
    apply_notification(state, "X_READY=1\nSTOPPING=1\nSTATUS=" + std::string(1000, 's'));
    CHECK(state.stopping);
    CHECK(state.status.size() == 256);
}

bool send_message(const std::string& address, std::string_view text) {
    const int sender = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    address.copy(to.sun_path, sizeof to.sun_path);
    to.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    const auto sent =
        sendto(sender, text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&to), size);
    close(sender);
    return sent == static_cast<ssize_t>(text.size());
}

void notify(const std::string& address, std::string_view text) {
    const bool sent = send_message(address, text);
    CHECK(sent);
}

TEST_CASE("only the service's own processes are heard") {
    boost::asio::io_context io;
    bool ours = false;
    int asked_for = 0;
    const auto made = NotifySocket::create(io.get_executor(), [&](int pid) {
        asked_for = pid;
        return ours;
    });
    REQUIRE(made);
    NotifySocket& socket = **made;
    REQUIRE(socket.address().starts_with("@kms-launcher-notify-"));
    notify(socket.address(), "READY=1");
    const bool ignored = test::run_until(io, [&] { return socket.strangers() == 1; });
    CHECK(ignored);
    CHECK(asked_for == getpid());
    CHECK_FALSE(socket.ready());
    ours = true;
    notify(socket.address(), "READY=1\nSTATUS=serving");
    const bool heard = test::run_until(io, [&] { return socket.ready(); });
    CHECK(heard);
    CHECK(socket.state().status == "serving");
}

TEST_CASE("a flood of messages is read in portions, to its end") {
    constexpr unsigned kMessages = 300;
    boost::asio::io_context io;
    const auto made = NotifySocket::create(io.get_executor(), [](int) { return false; });
    REQUIRE(made);
    // The kernel queues a few; the sender waits for room.
    std::thread flood([address = (*made)->address()] {
        for (unsigned i = 0; i < kMessages; ++i) (void)send_message(address, "READY=1");
    });
    const bool all = test::run_until(io, [&] { return (*made)->strangers() == kMessages; });
    flood.join();
    CHECK(all);
    CHECK_FALSE((*made)->ready());
}

Task<runtime::Result<int>> exit_with(int status) {
    co_return status;
}
Task<runtime::Result<int>> cannot_start() {
    co_return runtime::Error{runtime::ErrorCode::unavailable, "no such program"};
}

TEST_CASE("the kinds without a network layer use the supervisor's hooks") {
    struct Row {
        std::string name;
        ProbeKind kind;
        ProbeHooks hooks;
        ProbeOutcome outcome;
    };
    const auto exits = [](int status) {
        return ProbeHooks{.exec = [status](std::vector<std::string>,
                                           runtime::Deadline) { return exit_with(status); },
                          .notified = {},
                          .line_seen = {}};
    };
    const auto fails = [](std::vector<std::string>, runtime::Deadline) { return cannot_start(); };
    const std::vector<Row> rows = {
        {"exec 0", ProbeKind::exec, exits(0), ProbeOutcome::ok},
        {"exec 3", ProbeKind::exec, exits(3), ProbeOutcome::http_status},
        {"exec fails",
         ProbeKind::exec,
         {.exec = fails, .notified = {}, .line_seen = {}},
         ProbeOutcome::probe_error},
        {"exec without a hook", ProbeKind::exec, {}, ProbeOutcome::probe_error},
        {"notified",
         ProbeKind::notify,
         {.exec = {}, .notified = [] { return true; }, .line_seen = {}},
         ProbeOutcome::ok},
        {"not notified",
         ProbeKind::notify,
         {.exec = {}, .notified = [] { return false; }, .line_seen = {}},
         ProbeOutcome::tcp_refused},
        {"notify without a hook", ProbeKind::notify, {}, ProbeOutcome::probe_error},
        {"line seen",
         ProbeKind::log_line,
         {.exec = {}, .notified = {}, .line_seen = [](const ProbePlan&) { return true; }},
         ProbeOutcome::ok},
        {"line not seen",
         ProbeKind::log_line,
         {.exec = {}, .notified = {}, .line_seen = [](const ProbePlan&) { return false; }},
         ProbeOutcome::tcp_refused},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        boost::asio::io_context io;
        runtime::SystemClock clock;
        ProbePlan plan;
        plan.kind = row.kind;
        const auto deadline = runtime::Deadline::after(clock.now(), 5s);
        const ProbeResult result = test::run(io, run_probe(clock, plan, deadline, row.hooks));
        CHECK(result.outcome == row.outcome);
        CHECK(result.detail.empty() == result.ok());
    }
}

TEST_CASE("combinations report the probe that decided") {
    const ProbeHooks hooks{
        .exec = {},
        .notified = [] { return true; },
        .line_seen = [](const ProbePlan& plan) { return plan.pattern == "yes"; }};
    ProbePlan yes, no, ready;
    yes.kind = no.kind = ProbeKind::log_line;
    yes.pattern = "yes";
    no.pattern = "no";
    ready.kind = ProbeKind::notify;
    struct Row {
        ProbeKind kind;
        std::vector<ProbePlan> parts;
        ProbeOutcome outcome;
    };
    const std::vector<Row> rows = {
        {ProbeKind::all, {yes, ready}, ProbeOutcome::ok},
        {ProbeKind::all, {yes, no, ready}, ProbeOutcome::tcp_refused},
        {ProbeKind::any, {no, ready}, ProbeOutcome::ok},
        {ProbeKind::any, {no, no}, ProbeOutcome::tcp_refused},
        {ProbeKind::all, {}, ProbeOutcome::probe_error},
    };
    for (const Row& row : rows) {
        boost::asio::io_context io;
        runtime::SystemClock clock;
        ProbePlan plan;
        plan.kind = row.kind;
        plan.probes = row.parts;
        const auto deadline = runtime::Deadline::after(clock.now(), 5s);
        CHECK(test::run(io, run_probe(clock, plan, deadline, hooks)).outcome == row.outcome);
    }
}

}  // namespace
