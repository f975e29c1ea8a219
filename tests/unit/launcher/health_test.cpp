#include "launcher/control/health.hpp"

#include "launcher/control/health_checks.hpp"
#include "launcher/control/status_page.hpp"
#include "launcher/probe/probe.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/unit/launcher/sample_status.hpp"

#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace launcher;
using namespace std::chrono_literals;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;

struct Numbers {
    runtime::HttpServerCounters server;
    RequestCounters requests;
    SystemSample system;
    operator EndpointNumbers() const { return {server, requests, system}; }
};

HttpServerRequest get(std::string target, std::string method = "GET") {
    HttpServerRequest request;
    request.method = std::move(method);
    request.target = target;
    const auto question = target.find('?');
    request.path = target.substr(0, question);
    if (question != std::string::npos) request.query = target.substr(question + 1);
    request.peer_address = "127.0.0.1";
    request.headers = {{"Host", "127.0.0.1:9180"}};
    return request;
}

std::string header(const HttpServerReply& reply, std::string_view name) {
    for (const auto& each : reply.headers)
        if (each.name == name) return each.value;
    return {};
}

/// Everything is well.
Status healthy() {
    Status status = test::sample_status();
    for (auto& service : status.services) {
        service.state = ServiceState::ready;
        service.freeze = FreezeState::none;
    }
    return status;
}

void nothing(Status&) {}
void freeze_kms(Status& status) {
    status.services[1].freeze = FreezeState::frozen;
    status.services[1].last_freeze_sentence = "kms is stuck";
}
void unready_kms(Status& status) {
    status.services[1].state = ServiceState::unready;
}
void kms_not_started(Status& status) {
    status.services[1].state = ServiceState::starting;
    status.services[1].was_started = false;
}
void kms_ended(Status& status) {
    status.services[1].state = ServiceState::failed;
    status.services[1].exit = ExitStatus{.signalled = true, .code = 11, .core_dumped = false};
}
void stopping(Status& status) {
    status.state = "stopping";
}
void stale(Status& status) {
    status.taken -= 5100ms;
}
void just_in_time(Status& status) {
    status.taken -= 5s;
}
void first_picture(Status& status) {
    status = Status{};
}
void suspect_kms(Status& status) {
    status.services[1].freeze = FreezeState::suspect;
}

struct Row {
    std::string name;
    void (*change)(Status&);
    std::string target;
    unsigned status;
    std::string body;  ///< contained; the whole for 200
};

TEST_CASE("each question is answered from the picture alone") {
    const std::vector<Row> rows = {
        {"healthy", nothing, "/livez", 200, "ok"},
        {"healthy", nothing, "/startupz", 200, "ok"},
        {"healthy", nothing, "/readyz", 200, "ok"},
        {"healthy", nothing, "/readyz/kms", 200, "ok"},
        {"healthy", nothing, "/healthz", 200, "ok"},
        {"healthy", nothing, "/readyz/nobody", 404, "no service of that name"},
        {"healthy", nothing, "/nowhere", 404, "/livez"},
        {"healthy", nothing, "/livez/", 404, ""},
        {"healthy", nothing, "/metrics/x", 404, ""},

        {"frozen", freeze_kms, "/livez", 200, "ok"},
        {"frozen", freeze_kms, "/startupz", 200, "ok"},
        {"frozen", freeze_kms, "/readyz", 503,
         "kms: frozen (http_headers_timeout) since 2026-11-22T20:49:16.000Z: kms is stuck\n"},
        {"frozen", freeze_kms, "/readyz/kms", 503, "kms: frozen"},
        {"frozen", freeze_kms, "/readyz/auth-eth", 200, "ok"},
        {"frozen", freeze_kms, "/healthz", 503, "kms: frozen"},
        {"suspect", suspect_kms, "/readyz", 200, "ok"},
        {"suspect", suspect_kms, "/healthz", 200, "ok"},

        {"unready", unready_kms, "/readyz", 503,
         "kms: unready, phase serving; liveness probe: http_headers_timeout: TCP is open"},
        {"unready", unready_kms, "/healthz", 200, "ok"},
        {"not started", kms_not_started, "/startupz", 503, "kms: not started yet: starting"},
        {"not started", kms_not_started, "/readyz", 503, "kms: starting"},
        {"ended", kms_ended, "/healthz", 503, "kms: no process: failed"},
        {"ended", kms_ended, "/livez", 200, "ok"},
        {"ended", kms_ended, "/readyz", 503, "kms: failed"},

        {"stopping", stopping, "/livez", 200, "ok"},
        {"stopping", stopping, "/readyz", 503, "launcher: stopping\n"},
        {"stopping", stopping, "/healthz", 200, "ok"},
        {"stopping", stopping, "/status", 200, ""},
        {"main loop stuck", stale, "/livez", 503,
         "launcher: the main loop has not turned for 5.1 s\n"},
        {"main loop stuck", stale, "/readyz", 503, "launcher: the main loop"},
        {"main loop stuck", stale, "/healthz", 503, "launcher: the main loop"},
        {"main loop slow", just_in_time, "/livez", 200, "ok"},
        {"before the first picture", first_picture, "/livez", 503, "has not turned yet"},
        {"before the first picture", first_picture, "/startupz", 503, "no service is known yet"},
        {"before the first picture", first_picture, "/readyz", 503, "no service is known yet"},
        {"before the first picture", first_picture, "/healthz", 503, "no service is known yet"},
        {"before the first picture", first_picture, "/metrics", 200, ""},
    };
    const Numbers numbers;
    for (const Row& row : rows) {
        INFO(row.name << " " << row.target);
        Status status = healthy();
        row.change(status);
        const auto reply =
            answer_health(get(row.target), status, runtime::TimePoint(1000h), numbers);
        CHECK(reply.status == row.status);
        if (row.body == "ok")
            CHECK(reply.body == "ok");
        else
            CHECK(reply.body.find(row.body) != std::string::npos);
        CHECK(header(reply, "Cache-Control") == "no-store");
        CHECK(header(reply, "X-Content-Type-Options") == "nosniff");
        CHECK(header(reply, "Set-Cookie").empty());
        CHECK(header(reply, "Access-Control-Allow-Origin").empty());
    }
}

TEST_CASE("verbose lists every check, good or bad") {
    Status status = healthy();
    freeze_kms(status);
    const auto reply =
        answer_health(get("/readyz?verbose"), status, runtime::TimePoint(1000h), Numbers{});
    CHECK(reply.status == 503);
    CHECK(reply.body.starts_with(
        "[+] launcher: the main loop turns\n[+] auth-eth: ready\n[-] kms: frozen"));
    CHECK(
        answer_health(get("/livez?verbose=1"), status, runtime::TimePoint(1000h), Numbers{}).body ==
        "[+] launcher: the main loop turns\n");
    CHECK(
        answer_health(get("/livez?verbosely"), status, runtime::TimePoint(1000h), Numbers{}).body ==
        "ok");
}

TEST_CASE("only GET and HEAD, and nothing with a body") {
    const Status status = healthy();
    for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get"}) {
        INFO(method);
        const auto reply =
            answer_health(get("/livez", method), status, runtime::TimePoint(1000h), Numbers{});
        CHECK(reply.status == 405);
        CHECK(header(reply, "Allow") == "GET, HEAD");
    }
    CHECK(
        answer_health(get("/livez", "HEAD"), status, runtime::TimePoint(1000h), Numbers{}).status ==
        200);
    auto request = get("/livez");
    request.body_fault = runtime::BodyFault::too_large;
    const auto reply = answer_health(request, status, runtime::TimePoint(1000h), Numbers{});
    CHECK(reply.status == 413);
    CHECK(reply.close);
}

TEST_CASE("a Host header is loopback only if it surely is") {
    for (const char* good : {"localhost", "LOCALHOST:9180", "127.0.0.1", "127.0.0.1:9180",
                             "127.9.8.7", "[::1]", "[::1]:9180"}) {
        INFO(good);
        CHECK(names_loopback(good));
    }
    for (const char* bad : {"", "evil.example", "127.0.0.1.evil.example", "127.evil.example:9180",
                            "localhost.evil.example", "10.0.0.1", "[::2]", "[::1", "[::1]x",
                            "0.0.0.0", "127.0.0", "::1"}) {
        INFO(bad);
        CHECK_FALSE(names_loopback(bad));
    }
}

struct GuardRow {
    std::string name;
    std::vector<std::string> listen;
    bool token;
    std::string host, authorization, peer;
    unsigned status;  ///< 0 = let through
};

TEST_CASE("the guard lets in who may ask") {
    const auto path =
        std::filesystem::temp_directory_path() / ("health-token-" + std::to_string(getpid()));
    std::ofstream(path) << "0123456789abcdef\n";
    const std::vector<std::string> local = {"127.0.0.1:9180"};
    const std::vector<std::string> remote = {"0.0.0.0:9180"};
    const std::vector<GuardRow> rows = {
        {"loopback", local, false, "localhost:9180", "", "127.0.0.1", 0},
        {"DNS rebinding", local, false, "evil.example:9180", "", "127.0.0.1", 403},
        {"no Host", local, false, "", "", "127.0.0.1", 403},
        {"unix socket", local, true, "evil.example", "", "unix", 0},
        {"remote listener takes any Host", remote, false, "kms.example", "", "10.0.0.9", 0},
        {"no token", local, true, "localhost", "", "127.0.0.1", 401},
        {"wrong token", local, true, "localhost", "Bearer 0123456789abcdeX", "127.0.0.1", 401},
        {"shorter token", local, true, "localhost", "Bearer 0123456789abcde", "127.0.0.1", 401},
        {"other scheme", local, true, "localhost", "Basic 0123456789abcdef", "127.0.0.1", 401},
        {"right token", local, true, "localhost", "Bearer 0123456789abcdef", "127.0.0.1", 0},
        {"scheme in small letters", remote, true, "x", "bearer 0123456789abcdef", "10.0.0.9", 0},
        {"token does not help a wrong Host", local, true, "evil.example", "Bearer 0123456789abcdef",
         "127.0.0.1", 403},
    };
    for (const GuardRow& row : rows) {
        INFO(row.name);
        HealthPlan plan;
        plan.listen = row.listen;
        plan.allow_remote = true;
        if (row.token) plan.token_file = path;
        const auto guard = HealthGuard::create(plan);
        REQUIRE(guard);
        HttpServerRequest request = get("/status");
        request.headers = {{"Host", row.host}, {"Authorization", row.authorization}};
        request.peer_address = row.peer;
        const auto refusal = guard->refusal(request);
        CHECK((refusal ? refusal->status : 0) == row.status);
        if (refusal) {
            CHECK(refusal->body.find("0123456789") == std::string::npos);
            CHECK((refusal->status == 401) == (header(*refusal, "WWW-Authenticate") == "Bearer"));
        }
    }
    std::filesystem::remove(path);
}

TEST_CASE("a listener that could surprise is refused at the start") {
    HealthPlan plan;
    plan.listen = {"127.0.0.1:0", "0.0.0.0:0"};
    const auto remote = HealthGuard::create(plan);
    REQUIRE_FALSE(remote);
    CHECK(remote.error().context.find("allow_remote") != std::string::npos);
    plan.listen = {"127.0.0.1:0"};
    plan.token_file = "/nonexistent/token";
    CHECK_FALSE(HealthGuard::create(plan));
    const auto path =
        std::filesystem::temp_directory_path() / ("health-token2-" + std::to_string(getpid()));
    for (const char* text : {"short", "", "0123456789 abcdef", "0123456789abcdef\nmore"}) {
        INFO(text);
        std::ofstream(path) << text;
        plan.token_file = path;
        const auto guard = HealthGuard::create(plan);
        REQUIRE_FALSE(guard);
        CHECK((std::string_view(text).empty() ||
               guard.error().context.find(text) == std::string::npos));
    }
    std::filesystem::remove(path);
}

/// The endpoint itself, asked over real sockets.
struct Endpoint {
    explicit Endpoint(HealthPlan plan = {}) {
        board->publish(picture());
        if (plan.listen == HealthPlan{}.listen) plan.listen = {"127.0.0.1:0"};
        auto started = HealthEndpoint::start(plan, clock, board);
        REQUIRE(started);
        endpoint = std::move(*started);
    }
    std::shared_ptr<const Status> picture() {
        auto status = std::make_shared<Status>(healthy());
        status->taken = clock.now();
        return status;
    }
    ProbeExchange ask(const std::string& target,
                      std::vector<std::pair<std::string, std::string>> headers = {}) {
        ProbePlan plan;
        plan.kind = ProbeKind::http;
        plan.url = endpoint->url() + target;
        plan.headers = std::move(headers);
        plan.max_body = 1024 * 1024;
        return test::run(io, run_exchange(clock, plan, runtime::Deadline::after(clock.now(), 5s)));
    }
    std::uint16_t port() const {
        return static_cast<std::uint16_t>(std::stoi(endpoint->url().substr(17)));
    }

    runtime::SystemClock clock;
    boost::asio::io_context io;
    std::shared_ptr<StatusBoard> board = std::make_shared<StatusBoard>();
    std::unique_ptr<HealthEndpoint> endpoint;
};

TEST_CASE("the endpoint answers, counts, and ends in time") {
    Endpoint endpoint;
    REQUIRE(endpoint.endpoint->url().starts_with("http://127.0.0.1:"));
    CHECK(endpoint.ask("/livez").body == "ok");
    CHECK(endpoint.ask("/livez", {{"Host", "evil.example"}}).result.status == 403);
    CHECK(endpoint.ask("/nowhere").result.status == 404);
    const std::string metrics = endpoint.ask("/metrics").body;
    CHECK(metrics.find("kms_launcher_http_requests_total{path=\"/livez\",code=\"200\"} 1\n") !=
          std::string::npos);
    CHECK(metrics.find("kms_launcher_http_requests_total{path=\"/livez\",code=\"403\"} 1\n") !=
          std::string::npos);
    CHECK(metrics.find("kms_launcher_http_requests_total{path=\"other\",code=\"404\"} 1\n") !=
          std::string::npos);
    CHECK(metrics.find("\nprocess_resident_memory_bytes ") != std::string::npos);
    CHECK(endpoint.ask("/metrics", {{"Accept", "application/openmetrics-text; version=1.0.0"}})
              .body.ends_with("# EOF\n"));
    // An open connection does not hold up the end.
    test::RawClient idle(endpoint.io, endpoint.port());
    idle.send("GET /livez HT");
    const auto begin = endpoint.clock.now();
    endpoint.endpoint.reset();
    CHECK(endpoint.clock.now() - begin < 2s);
}

TEST_CASE("clients that say nothing give way to one that asks") {
    Endpoint endpoint;
    std::vector<std::unique_ptr<test::RawClient>> silent;
    for (int i = 0; i < 16; ++i) {
        silent.push_back(std::make_unique<test::RawClient>(endpoint.io, endpoint.port()));
        silent.back()->send("G");
        silent.back()->collect();
    }
    // The first answers may be refusals: nobody has been silent for long yet.
    std::optional<std::string> body;
    const bool answered = test::run_until(endpoint.io, [&] {
        body = endpoint.ask("/livez").body;
        return *body == "ok";
    });
    CHECK(answered);
    const bool told = test::run_until(endpoint.io, [&] {
        return std::any_of(silent.begin(), silent.end(),
                           [](const auto& client) { return client->ended(); });
    });
    CHECK(told);
    CHECK(
        endpoint.ask("/metrics").body.find("kms_launcher_http_rejected_total{code=\"408\"} 0\n") ==
        std::string::npos);
}

TEST_CASE("a port that is taken is told, and a unix socket is for its owner") {
    const auto path =
        std::filesystem::temp_directory_path() / ("health-" + std::to_string(getpid()) + ".sock");
    HealthPlan plan;
    plan.listen = {"127.0.0.1:0"};
    plan.unix_path = path;
    Endpoint endpoint(plan);
    struct stat entry{};
    REQUIRE(stat(path.c_str(), &entry) == 0);
    CHECK((entry.st_mode & 0777) == 0600);
    ProbePlan probe;
    probe.kind = ProbeKind::unix_socket;
    probe.path = path;
    probe.url = "http://localhost/readyz";
    const auto answer = test::run(
        endpoint.io,
        run_exchange(endpoint.clock, probe, runtime::Deadline::after(endpoint.clock.now(), 5s)));
    CHECK(answer.body == "ok");

    HealthPlan second;
    second.listen = {endpoint.endpoint->url().substr(7)};
    const auto taken = HealthEndpoint::start(second, endpoint.clock, endpoint.board);
    REQUIRE_FALSE(taken);
    CHECK(taken.error().context.find(second.listen.front()) != std::string::npos);
}

TEST_CASE("the page is whole in itself and its policy allows nothing else") {
    const auto reply = answer_health(get("/"), healthy(), runtime::TimePoint(1000h), Numbers{});
    CHECK(reply.status == 200);
    CHECK(reply.content_type == "text/html; charset=utf-8");
    const std::string policy = header(reply, "Content-Security-Policy");
    CHECK(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    CHECK(policy.find("unsafe") == std::string::npos);
    CHECK(policy.find('*') == std::string::npos);
    CHECK(reply.body == status_page());
}

}  // namespace
