// The subcommands poll, probe and health.
#include "launcher/control/cli_health.hpp"
#include "launcher/control/cli_poll.hpp"
#include "launcher/control/cli_probe.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/unit/launcher/fault_server.hpp"

#include <filesystem>
#include <fstream>

#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>
#include <unistd.h>

namespace {

using namespace launcher;
using namespace std::chrono_literals;
using runtime::TimePoint;

const TimePoint kBegin{1000h};

ProbeResult answer(std::chrono::microseconds total) {
    ProbeResult result;
    result.outcome = ProbeOutcome::ok;
    result.total = total;
    return result;
}
ProbeResult failure(ProbeOutcome outcome, std::string detail) {
    ProbeResult result;
    result.outcome = outcome;
    result.detail = std::move(detail);
    return result;
}

TEST_CASE("a tally counts, and finds the longest silence") {
    PollTally tally(kBegin);
    CHECK_FALSE(tally.all_answered());
    tally.add(answer(2ms), kBegin + 1s);
    CHECK(tally.all_answered());
    tally.add(answer(4ms), kBegin + 6s);
    tally.add(failure(ProbeOutcome::http_headers_timeout, "no HTTP answer"), kBegin + 16s);
    tally.add(failure(ProbeOutcome::http_headers_timeout, "no HTTP answer, again"), kBegin + 17s);
    tally.add(answer(3ms), kBegin + 21s);
    tally.finish(kBegin + 22s);
    CHECK(tally.polls() == 5);
    CHECK(tally.answered() == 3);
    CHECK_FALSE(tally.all_answered());
    CHECK(tally.longest_gap() == 15s);
    CHECK(tally.elapsed() == 22s);
    const std::string text = tally.text("https://kms");
    for (const char* part :
         {"5 polls in 22.0 s: 3 answered, 2 failed",
          "http_headers_timeout  2  no HTTP answer (first after 16.0 s)", "min 2.00 ms",
          "max 4.00 ms", "longest time without an answer: 15.0 s, beginning 6.00 s after"}) {
        INFO(part << "\n" << text);
        CHECK(text.find(part) != std::string::npos);
    }
    const auto document = boost::json::parse(tally.json("https://kms", false));
    CHECK(document.at_pointer("/answered") == 3);
    CHECK(document.at_pointer("/failures/http_headers_timeout/count") == 2);
    CHECK(document.at_pointer("/longest_gap_seconds") == 15.0);
    CHECK(document.at_pointer("/interrupted") == false);
}

TEST_CASE("silence before the first and after the last answer counts") {
    PollTally never(kBegin);
    never.add(failure(ProbeOutcome::tcp_refused, "refused"), kBegin + 1s);
    never.finish(kBegin + 9s);
    CHECK(never.longest_gap() == 9s);
    CHECK(never.percentile(0.5) == 0us);
    CHECK(never.text("u").find("latency") == std::string::npos);
    PollTally fell_silent(kBegin);
    fell_silent.add(answer(1ms), kBegin + 1s);
    fell_silent.finish(kBegin + 31s);
    CHECK(fell_silent.longest_gap() == 30s);
}

TEST_CASE("percentiles are exact to two in a hundred") {
    for (const int scale : {1, 10, 1000, 50'000}) {
        PollTally tally(kBegin);
        for (int i = 1; i <= 1000; ++i)
            tally.add(answer(std::chrono::microseconds(i * scale)), kBegin);
        for (const double share : {0.5, 0.9, 0.99, 1.0}) {
            const double exact = share * 1000 * scale;
            const auto got = static_cast<double>(tally.percentile(share).count());
            CHECK(got == Approx(exact).epsilon(0.02).margin(1));
        }
        CHECK(tally.percentile(1.0) == tally.max());
    }
    PollTally extremes(kBegin);
    extremes.add(answer(0us), kBegin);
    extremes.add(answer(100h), kBegin);
    CHECK(extremes.max() == 100h);
    CHECK(extremes.percentile(0.99) <= extremes.max());
}

test::Behaviour serve(std::string text) {
    return [text](test::Peer& peer) {
        peer.read_head();
        peer.send(text);
    };
}

PollPlan plan_for(const test::FaultServer& server) {
    PollPlan plan;
    plan.probe.kind = ProbeKind::http;
    plan.probe.url = server.url("http");
    plan.every = 0ms;
    plan.count = 20;
    return plan;
}

TEST_CASE("each poll is a fresh connection, and workers share the count") {
    test::FaultServer server(serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    boost::asio::io_context io;
    runtime::SystemClock clock;
    const std::atomic<bool> stop{false};
    for (const unsigned concurrency : {1U, 4U}) {
        const int before = server.connections();
        PollPlan plan = plan_for(server);
        plan.concurrency = concurrency;
        std::uint64_t seen = 0;
        const PollTally tally = test::run(
            io, poll_url(clock, plan, stop, [&](const ProbeResult&, const PollTally& so_far) {
                seen = so_far.polls();
            }));
        CHECK(tally.answered() == 20);
        CHECK(seen == 20);
        CHECK(server.connections() - before == 20);
    }
}

TEST_CASE("polls keep their rhythm on the clock") {
    test::FaultServer server(serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    boost::asio::io_context io;
    test::ManualClock clock;
    const std::atomic<bool> stop{false};
    PollPlan plan = plan_for(server);
    plan.count.reset();
    plan.every = 5s;
    plan.span = 12s;
    std::optional<PollTally> tally;
    std::uint64_t polls = 0;
    boost::asio::co_spawn(
        io,
        poll_url(clock, plan, stop,
                 [&](const ProbeResult&, const PollTally& so_far) { polls = so_far.polls(); }),
        [&](std::exception_ptr, PollTally made) { tally = std::move(made); });
    for (std::uint64_t i = 1; i <= 3; ++i) {
        const bool polled =
            test::run_until(io, [&] { return polls == i && (clock.sleepers() == 1 || i == 3); });
        REQUIRE(polled);
        clock.advance(4999ms);
        test::run_ready(io);
        CHECK(polls == i);
        clock.advance(1ms);
    }
    const bool ended = test::run_until(io, [&] { return tally.has_value(); });
    REQUIRE(ended);
    CHECK(tally->answered() == 3);
    CHECK(tally->longest_gap() == 5s);
}

/// What a subcommand wrote and returned.
struct Ran {
    int status;
    std::string out, err;
};
template <class Command>
Ran run_command(Command command, std::vector<std::string> words) {
    std::vector<std::string_view> args(words.begin(), words.end());
    std::ostringstream out, err;
    const int status = command(args, CliIo{out, err, false});
    return {status, out.str(), err.str()};
}
Ran poll_command(std::vector<std::string> words) {
    return run_command(run_poll, std::move(words));
}

TEST_CASE("poll exits 0 only if every poll was answered with 2xx") {
    struct Row {
        std::string name;
        test::Behaviour behaviour;
        int status;
        std::string failure;
    };
    const std::vector<Row> rows = {
        {"answers", serve("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"), 0, ""},
        {"204", serve("HTTP/1.1 204 No Content\r\n\r\n"), 0, ""},
        {"redirects", serve("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"), 1, "http_status"},
        {"500", serve("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), 1, "http_status"},
        {"hangs", [](test::Peer& peer) { peer.hang(); }, 1, "http_headers_timeout"},
        {"leaves", [](test::Peer& peer) { peer.read_head(); }, 1, "http_closed"},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        test::FaultServer server(row.behaviour);
        const bool hangs = row.failure == "http_headers_timeout";
        const Ran ran = poll_command({server.url("http"), "--count", "3", "--every", "1ms",
                                      "--timeout", hangs ? "40ms" : "5s", "--json"});
        CHECK(ran.status == row.status);
        const auto document = boost::json::parse(ran.out);
        CHECK(document.at_pointer("/polls") == 3);
        CHECK(document.at_pointer("/answered") == (row.status == 0 ? 3 : 0));
        if (!row.failure.empty()) {
            CHECK(document.at_pointer("/failures/" + row.failure + "/count") == 3);
            CHECK(ran.err.find(" " + row.failure + ": ") != std::string::npos);
        } else {
            CHECK(ran.err.empty());
        }
    }
    const Ran refused = poll_command(
        {"tcp://127.0.0.1:" + std::to_string(test::closed_port()), "--count=2", "--every=1ms"});
    CHECK(refused.status == 1);
    CHECK(refused.out.find("2 polls in ") != std::string::npos);
    CHECK(refused.out.find("tcp_refused") != std::string::npos);
}

TEST_CASE("bad arguments are 64 and one sentence") {
    const std::vector<std::pair<std::vector<std::string>, std::string>> rows = {
        {{}, "one URL is needed"},
        {{"http://a/", "http://b/"}, "one URL is needed"},
        {{"ftp://a/"}, "the scheme must be"},
        {{"http://a/", "--forever"}, "unknown option '--forever'"},
        {{"http://a/", "--for"}, "--for needs a value"},
        {{"http://a/", "--for", "soon"}, "--for"},
        {{"http://a/", "--for", "0s"}, "--for must be more than 0"},
        {{"http://a/", "--timeout", "0s"}, "--timeout must be more than 0"},
        {{"http://a/", "--count", "0"}, "--count must be a number from 1"},
        {{"http://a/", "--concurrency", "1000"}, "--concurrency must be a number from 1 to 256"},
        {{"http://a/", "--json=yes"}, "--json takes no value"},
        {{"https://a/", "--insecure", "--ca-file", "x"}, "exclude each other"},
    };
    for (const auto& [words, sentence] : rows) {
        INFO(sentence);
        const Ran ran = poll_command(words);
        CHECK(ran.status == 64);
        CHECK(ran.out.empty());
        CHECK(ran.err.find(sentence) != std::string::npos);
        CHECK(ran.err.find("usage: kms-launcher poll") != std::string::npos);
    }
}

TEST_CASE("probe shows one probe stage by stage") {
    test::FaultServer server(serve("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"));
    const Ran refused = run_command(run_probe_command, {server.url("http", "/x")});
    CHECK(refused.status == 1);
    for (const char* part : {"resolve  ", "headers  ", "http_status, status 404", "tls      -"}) {
        INFO(part << "\n" << refused.out);
        CHECK(refused.out.find(part) != std::string::npos);
    }
    const Ran expected = run_command(
        run_probe_command, {server.url("http", "/x"), "--expect-status", "200,404", "--json"});
    CHECK(expected.status == 0);
    CHECK(boost::json::parse(expected.out).at_pointer("/result") == "ok");
    CHECK(run_command(run_probe_command, {server.url("http"), "--expect-status", "20"}).status ==
          64);
    CHECK(run_command(run_probe_command, {}).status == 64);
}

HealthPlanLoader loader(HealthPlan plan) {
    return [plan](const std::string&) -> runtime::Result<HealthPlan> { return plan; };
}
runtime::Result<HealthPlan> no_config(const std::string&) {
    return runtime::Error{runtime::ErrorCode::invalid_argument, "the configuration is broken"};
}

TEST_CASE("health finds the endpoint by option, variable or configuration") {
    struct Row {
        std::string name;
        HealthAddress address;
        std::string environment;
        std::vector<std::string> listen;
        std::string unix_path;
        std::string url, socket;  ///< expected; socket empty = TCP
    };
    const std::vector<std::string> configured = {"0.0.0.0:9181"};
    const std::vector<Row> rows = {
        {"configuration, 0.0.0.0", {}, "", configured, "", "http://127.0.0.1:9181/healthz", ""},
        {"configuration, ::", {}, "", {"[::]:1"}, "", "http://[::1]:1/healthz", ""},
        {"configuration, socket only", {}, "", {}, "/run/h", "http://localhost/healthz", "/run/h"},
        {"variable, address", {}, "127.0.0.1:7", configured, "", "http://127.0.0.1:7/healthz", ""},
        {"variable, wildcard", {}, "0.0.0.0:7", configured, "", "http://127.0.0.1:7/healthz", ""},
        {"variable, URL",
         {},
         "http://localhost:7/",
         configured,
         "",
         "http://localhost:7/healthz",
         ""},
        {"variable, socket", {}, "unix:/s", configured, "", "http://localhost/healthz", "/s"},
        {"variable, path", {}, "/s", configured, "", "http://localhost/healthz", "/s"},
        {"--url", {"", "http://h:1", ""}, "/s", configured, "", "http://h:1/healthz", ""},
        {"--socket", {"/o", "", ""}, "/s", configured, "", "http://localhost/healthz", "/o"},
    };
    for (const Row& row : rows) {
        INFO(row.name);
        HealthPlan plan;
        plan.listen = row.listen;
        plan.unix_path = row.unix_path;
        const auto question =
            health_question(row.address, loader(plan), row.environment, "/healthz");
        REQUIRE(question);
        CHECK(question->url == row.url);
        CHECK(question->path == row.socket);
        CHECK((question->kind == ProbeKind::unix_socket) == !row.socket.empty());
    }
    CHECK(health_question({"", "http://h:1", ""}, no_config, "", "/healthz"));
    CHECK_FALSE(health_question({}, no_config, "", "/healthz"));
}

TEST_CASE("health prints one line and never exits 2") {
    const auto health = [](const HealthPlanLoader& load, std::vector<std::string> words) {
        return run_command([&](std::span<const std::string_view> args,
                               const CliIo& io) { return run_health(args, load, "", io); },
                           std::move(words));
    };
    std::string asked;
    test::FaultServer good([&](test::Peer& peer) {
        asked = peer.read_head();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
    test::FaultServer bad(
        serve("HTTP/1.1 503 No\r\nContent-Length: 24\r\n\r\nkms: frozen\nlauncher: x\n"));
    test::FaultServer silent([](test::Peer& peer) { peer.hang(); });

    Ran ran = health(loader({}), {"--url", good.url("http", "")});
    CHECK(ran.status == 0);
    CHECK(ran.out == "healthy\n");
    CHECK(asked.starts_with("GET /healthz "));
    ran = health(loader({}), {"--url", good.url("http", ""), "--ready"});
    CHECK(ran.out == "ready\n");
    CHECK(asked.starts_with("GET /readyz "));
    ran = health(loader({}), {"--url", bad.url("http", "")});
    CHECK(ran.status == 1);
    CHECK(ran.out == "unhealthy: kms: frozen; launcher: x\n");
    ran = health(loader({}), {"--url", silent.url("http", ""), "--timeout", "50ms"});
    CHECK(ran.status == 1);
    CHECK(ran.out.find("no HTTP answer came within") != std::string::npos);
    ran = health(loader({}), {"--url", "http://127.0.0.1:" + std::to_string(test::closed_port())});
    CHECK(ran.status == 1);
    CHECK(ran.out.find("nothing listens on") != std::string::npos);
    CHECK(health(no_config, {}).status == 1);
    CHECK(health(loader({}), {"--nonsense"}).status == 64);
    CHECK(health(loader({}), {"--url", "a", "--socket", "b"}).status == 64);

    const auto path =
        std::filesystem::temp_directory_path() / ("cli-token-" + std::to_string(getpid()));
    std::ofstream(path) << "0123456789abcdef\n";
    HealthPlan with_token;
    with_token.listen = {good.url("http", "").substr(7)};
    with_token.token_file = path;
    CHECK(health(loader(with_token), {}).status == 0);
    CHECK(asked.find("\r\nAuthorization: Bearer 0123456789abcdef\r\n") != std::string::npos);
    std::filesystem::remove(path);
    ran = health(loader(with_token), {});
    CHECK(ran.status == 1);
    CHECK(ran.out.find("cannot read the health token") != std::string::npos);
}

}  // namespace
