#include "launcher/control/supervisor.hpp"

#include "tests/unit/launcher/supervisor_fake_host.hpp"

#include <csignal>

#include <catch2/catch.hpp>

using namespace launcher;
using namespace std::chrono_literals;
using test::Stage;
using O = ProbeOutcome;

namespace {

ProbePlan probe(ProbeRole role, ProbeKind kind = ProbeKind::http) {
    ProbePlan plan;
    plan.role = role;
    plan.kind = kind;
    plan.url = "http://127.0.0.1:9200/";
    plan.interval = 5s;
    if (role == ProbeRole::startup) plan.deadline = 30s;
    if (role == ProbeRole::liveness) plan.success_threshold = 2;
    return plan;
}

ServicePlan service(const std::string& name, milliseconds stop_timeout) {
    ServicePlan plan;
    plan.name = name;
    plan.command = {name};
    plan.stop_timeout = stop_timeout;
    plan.startup = probe(ProbeRole::startup);
    plan.liveness = probe(ProbeRole::liveness);
    return plan;
}

/// auth-eth, and a KMS that waits for it.
Plan two_services(Dependency dependency = Dependency::started) {
    Plan plan;
    auto auth = service("auth-eth", 2s);
    auth.readiness = probe(ProbeRole::readiness);
    auth.readiness->interval = 30s;
    auto kms = service("kms", 6s);
    kms.depends_on = {{"auth-eth", dependency}};
    plan.services = {auth, kms};
    return plan;
}

/// Both are up and ready, one second has passed.
void bring_up(Stage& stage) {
    for (const auto* name : {"auth-eth startup", "auth-eth liveness", "auth-eth readiness",
                             "kms startup", "kms liveness"})
        stage.host.answers[name] = O::ok;
    stage.pass(1s);
    REQUIRE(stage.state("auth-eth") == ServiceState::ready);
    REQUIRE(stage.state("kms") == ServiceState::ready);
    stage.host.obedient = {{"kms", true}, {"auth-eth", true}};
}

const logs::FieldValue* field(const logs::Record& record, const std::string& name) {
    for (const auto& [key, value] : record.fields)
        if (key == name) return &value;
    return nullptr;
}

}  // namespace

TEST_CASE("a service starts when what it depends on has started") {
    Stage stage(two_services());
    CHECK(stage.host.deeds ==
          std::vector<std::string>{"notify STATUS=kms pending; auth-eth starting", "spawn auth-eth",
                                   "notify EXTEND_TIMEOUT_USEC=35000000"});
    stage.pass(3s);
    CHECK(stage.state("kms") == ServiceState::pending);
    stage.host.answers["auth-eth startup"] = O::ok;  // deep checks still fail
    stage.pass(2s);
    CHECK(stage.host.deeds_like("spawn kms") == 1);
    CHECK(stage.state("auth-eth") == ServiceState::started);
    CHECK(stage.host.deeds_like("notify READY=1") == 0);
    stage.host.answers["kms startup"] = O::ok;
    stage.pass(2s);
    CHECK(stage.state("kms") == ServiceState::ready);
    CHECK(stage.host.deeds_like("notify READY=1") == 1);
    CHECK(stage.board.current()->state == "running");
    CHECK(stage.status_of("kms").limits.at("nofile") == "1024");
}

TEST_CASE("a service that waits for readiness waits for the deep probe") {
    Stage stage(two_services(Dependency::ready));
    stage.host.answers["auth-eth startup"] = O::ok;
    stage.host.answers["auth-eth readiness"] = O::http_status;
    stage.pass(20s);
    CHECK(stage.state("auth-eth") == ServiceState::started);
    CHECK(stage.host.deeds_like("spawn kms") == 0);
    stage.host.answers["auth-eth readiness"] = O::ok;
    stage.pass(30s);
    CHECK(stage.host.deeds_like("spawn kms") == 1);
}

TEST_CASE("an orderly stop ends services in reverse order") {
    Stage stage(two_services());
    bring_up(stage);
    stage.host.deeds.clear();
    stage.supervisor.request_stop("SIGTERM from pid 1 (uid 0)");
    stage.pass(100ms);
    CHECK(stage.exit_status == 0);
    CHECK(stage.host.deeds ==
          std::vector<std::string>{"notify STOPPING=1", "15 kms", "15 auth-eth"});
    CHECK(stage.host.actions().back() == "launcher-exit");
    CHECK(stage.host.flushed);
    CHECK(stage.board.current()->state == "stopping");
}

TEST_CASE(
    "a service that does not stop is killed after its time, and only then the next is asked") {
    Stage stage(two_services());
    bring_up(stage);
    stage.host.obedient["kms"] = false;
    stage.host.deeds.clear();
    stage.supervisor.request_stop("SIGTERM");
    stage.pass(5900ms);
    CHECK(stage.host.deeds == std::vector<std::string>{"notify STOPPING=1", "15 kms"});
    stage.pass(200ms);
    CHECK(stage.host.deeds ==
          std::vector<std::string>{"notify STOPPING=1", "15 kms", "9 kms group", "15 auth-eth"});
    CHECK(stage.exit_status == 137);
}

TEST_CASE("stop_total bounds the whole stop") {
    auto plan = two_services();
    plan.stop_total = 3s;
    Stage stage(plan);
    bring_up(stage);
    stage.host.obedient.clear();
    stage.supervisor.request_stop("SIGTERM");
    stage.pass(2900ms);
    CHECK_FALSE(stage.exit_status);
    stage.pass(200ms);
    CHECK(stage.exit_status == 137);
}

TEST_CASE("services can be stopped side by side") {
    auto plan = two_services();
    plan.stop_parallel = true;
    Stage stage(plan);
    bring_up(stage);
    stage.host.obedient.clear();
    stage.host.deeds.clear();
    stage.supervisor.request_stop("SIGTERM");
    stage.pass(10ms);
    CHECK(stage.host.deeds ==
          std::vector<std::string>{"notify STOPPING=1", "15 kms", "15 auth-eth"});
    stage.pass(7s);
    CHECK(stage.exit_status == 137);
}

TEST_CASE("a second request ends all grace") {
    Stage stage(two_services());
    bring_up(stage);
    stage.host.obedient.clear();
    stage.supervisor.request_stop("SIGTERM");
    stage.pass(100ms);
    stage.supervisor.request_stop("SIGTERM");
    stage.pass(50ms);
    CHECK(stage.exit_status == 137);
    CHECK(stage.host.deeds_like("9 auth-eth group") == 1);
}

TEST_CASE("the unexpected end of one service ends the other, with its status") {
    struct Row {
        std::string service;
        ExitStatus status;
        int exit_status;
    };
    const auto row = GENERATE(values<Row>({{"kms", {false, 7, false}, 7},
                                           {"kms", {true, SIGSEGV, true}, 139},
                                           {"kms", {false, 0, false}, 80},
                                           {"auth-eth", {false, 7, false}, 7}}));
    INFO(row.service << " " << row.exit_status);
    Stage stage(two_services());
    bring_up(stage);
    const std::string other = row.service == "kms" ? "auth-eth" : "kms";
    stage.host.end(row.service, row.status);
    CHECK(stage.state(row.service) == ServiceState::failed);  // before anything else runs
    stage.pass(100ms);
    CHECK(stage.exit_status == row.exit_status);
    CHECK(stage.host.deeds_like("15 " + other) == 1);
    CHECK(stage.host.deeds_like("spawn") == 2);  // nothing is restarted
    const auto* record = stage.host.record("service-exit");
    REQUIRE(record != nullptr);
    CHECK(record->level == runtime::LogLevel::error);
    CHECK(std::get<logs::JsonText>(*field(*record, "last_lines")).text ==
          "[\"last line of " + row.service + "\"]");
}

TEST_CASE("a program that cannot be run ends everything") {
    Stage stage(two_services());
    stage.host.refusals["kms"] = {
        0, 126, "exec failed: /opt/kms: Permission denied (errno 13)", {}};
    stage.host.obedient["auth-eth"] = true;
    stage.host.answers["auth-eth startup"] = O::ok;
    stage.pass(1s);
    CHECK(stage.exit_status == 126);
    CHECK(stage.host.deeds_like("15 auth-eth") == 1);
    CHECK_THAT(stage.host.record("service-exit")->message, Catch::Contains("/opt/kms"));
}

TEST_CASE("nothing starts when a program was refused beforehand") {
    auto plan = two_services();
    boost::asio::io_context io;
    test::ManualClock clock;
    test::FakeHost host(clock);
    StatusBoard board;
    Supervisor::Options options;
    options.random = [] { return 0.0; };
    Supervisor supervisor(io.get_executor(), clock, host, board, plan, options);
    supervisor.refuse("kms", 127);
    CHECK(test::run(io, supervisor.run()) == 127);
    CHECK(host.deeds_like("spawn") == 0);
}

TEST_CASE("a missed start-up deadline ends everything with a diagnosis") {
    Stage stage(two_services());
    stage.host.obedient["auth-eth"] = true;
    stage.host.sockets = {{"127.0.0.1", 8000, 100, "auth-eth"}};
    stage.pass(29s);
    CHECK_FALSE(stage.exit_status);
    stage.pass(2s);
    CHECK(stage.exit_status == 75);
    const auto* record = stage.host.record("stop-begin");
    REQUIRE(record != nullptr);
    CHECK_THAT(record->message, Catch::Contains("auth-eth did not start within 30s") &&
                                    Catch::Contains("set PORT=9200"));
    for (const auto* name :
         {"service", "deadline_seconds", "last_results", "first_result", "last_result", "listening",
          "thread_states", "last_lines", "diagnosis", "rule"}) {
        INFO(name);
        CHECK(field(*record, name) != nullptr);
    }
    CHECK(stage.host.deeds_like("spawn kms") == 0);
}

TEST_CASE("a frozen service is named, and left as it is") {
    Stage stage(two_services());
    bring_up(stage);
    stage.host.deeds.clear();
    stage.host.answers["kms liveness"] = O::http_headers_timeout;
    stage.pass(17s);
    CHECK(stage.status_of("kms").freeze == FreezeState::frozen);
    CHECK(stage.status_of("kms").freeze_class == O::http_headers_timeout);
    CHECK(stage.status_of("kms").freezes.at(O::http_headers_timeout) == 1);
    CHECK_THAT(stage.status_of("kms").last_freeze_sentence,
               Catch::Contains("did not answer within"));
    REQUIRE(stage.host.record("freeze-suspect") != nullptr);
    CHECK(stage.host.record("freeze-begin")->level == runtime::LogLevel::error);
    CHECK(stage.host.evidence == std::vector<std::string>{"kms suspect", "kms frozen"});
    stage.pass(2min);
    CHECK(stage.host.evidence ==
          std::vector<std::string>{"kms suspect", "kms frozen", "kms scheduled", "kms scheduled"});
    stage.host.answers["kms liveness"] = O::tls_timeout;
    stage.pass(10s);
    REQUIRE(stage.host.record("freeze-class") != nullptr);
    // Another class is no other freeze.
    const std::map<O, std::uint64_t> once = {{O::http_headers_timeout, 1}};
    CHECK(stage.status_of("kms").freezes == once);
    // What is shown while it lasts must not be more than what is counted when it has ended.
    const auto frozen_for = stage.clock.wall_now() - *stage.status_of("kms").freeze_since;
    stage.host.answers["kms liveness"] = O::ok;
    stage.pass(20s);
    CHECK(stage.status_of("kms").freeze == FreezeState::none);
    CHECK(stage.status_of("kms").freeze_seconds > 120);
    CHECK(stage.status_of("kms").freeze_seconds >=
          std::chrono::duration<double>(frozen_for).count());
    REQUIRE(stage.host.record("freeze-end") != nullptr);
    CHECK(stage.host.evidence.back() == "kms freeze-end");
    const std::map<std::string, std::uint64_t> taken = {
        {"suspect", 1}, {"frozen", 1}, {"scheduled", 2}, {"freeze-end", 1}};
    CHECK(stage.status_of("kms").evidence_taken == taken);
    CHECK(stage.status_of("kms").evidence_skipped.empty());
    CHECK(stage.status_of("kms").last_evidence_id == "evidence-5");
    CHECK(stage.state("kms") == ServiceState::ready);
    for (const auto& deed : stage.host.deeds)
        CHECK_THAT(deed, Catch::StartsWith("notify "));  // no signal, no spawn
    CHECK_FALSE(stage.exit_status);
}

TEST_CASE("evidence that is skipped is counted, and changes nothing else") {
    Stage stage(two_services());
    bring_up(stage);
    stage.host.refused_evidence = "suspect";
    stage.host.answers["kms liveness"] = O::http_headers_timeout;
    stage.pass(17s);
    const std::map<std::string, std::uint64_t> taken = {{"frozen", 1}}, skipped = {{"suspect", 1}};
    CHECK(stage.status_of("kms").evidence_taken == taken);
    CHECK(stage.status_of("kms").evidence_skipped == skipped);
    CHECK(stage.status_of("kms").freeze == FreezeState::frozen);
}

TEST_CASE("a service that is down is not frozen") {
    Stage stage(two_services());
    bring_up(stage);
    stage.host.answers["kms liveness"] = O::tcp_refused;
    stage.pass(30s);
    CHECK(stage.status_of("kms").freeze == FreezeState::none);
    CHECK(stage.state("kms") == ServiceState::unready);
    stage.host.answers["kms liveness"] = O::ok;
    stage.pass(6s);
    CHECK(stage.state("kms") == ServiceState::ready);
    CHECK_FALSE(stage.exit_status);
}

TEST_CASE("a deep failure takes readiness, not the life, of a service") {
    Stage stage(two_services());
    bring_up(stage);
    stage.host.deeds.clear();
    stage.host.answers["auth-eth readiness"] = O::http_headers_timeout;
    stage.pass(2min);
    CHECK(stage.state("auth-eth") == ServiceState::unready);
    CHECK(stage.status_of("auth-eth").freeze == FreezeState::none);
    bool told = false;
    for (const auto& record : stage.host.records)
        told = told || record.message.find("its Ethereum RPC does not answer") != std::string::npos;
    CHECK(told);
    for (const auto& deed : stage.host.deeds) CHECK_THAT(deed, Catch::StartsWith("notify "));
}

TEST_CASE("time-outs do not count while the launcher itself is starved") {
    Stage stage(two_services());
    bring_up(stage);
    stage.host.answers["kms liveness"] = O::http_headers_timeout;
    stage.host.control_time = 2s;  // more than half of the headers stage
    stage.pass(1min);
    CHECK(stage.status_of("kms").freeze == FreezeState::none);
    CHECK(stage.state("kms") == ServiceState::ready);
    const auto& results = stage.status_of("kms").probes[1].results;
    CHECK(results[static_cast<std::size_t>(O::probe_late)] > 3);
}

TEST_CASE("a KMS in onboarding has started and is not ready") {
    auto plan = two_services();
    plan.services[1].startup->kind = plan.services[1].liveness->kind = ProbeKind::http_auto;
    SECTION("for as long as it takes") {
        Stage stage(plan);
        stage.host.phases["kms"] = "onboarding";
        for (const auto* name : {"auth-eth startup", "auth-eth liveness", "auth-eth readiness",
                                 "kms startup", "kms liveness"})
            stage.host.answers[name] = O::ok;
        stage.pass(10min);
        CHECK(stage.state("kms") == ServiceState::started);
        CHECK(stage.status_of("kms").phase == "onboarding");
        CHECK(stage.host.deeds_like("notify READY=1") == 1);
        stage.host.phases["kms"] = "serving";
        stage.pass(6s);
        CHECK(stage.state("kms") == ServiceState::ready);
        CHECK(stage.status_of("kms").phase == "serving");
    }
    SECTION("unless onboarding has a deadline") {
        plan.services[1].onboarding_deadline = 60s;
        Stage stage(plan);
        stage.host.obedient = {{"kms", true}, {"auth-eth", true}};
        stage.host.phases["kms"] = "onboarding";
        for (const auto* name :
             {"auth-eth startup", "auth-eth liveness", "kms startup", "kms liveness"})
            stage.host.answers[name] = O::ok;
        stage.pass(59s);
        CHECK_FALSE(stage.exit_status);
        stage.pass(3s);
        CHECK(stage.exit_status == 75);
    }
}

TEST_CASE("services without probes are ready as soon as they run") {
    Plan plan;
    ServicePlan only;
    only.name = "kms";
    only.command = {"kms"};
    plan.services = {only};
    Stage stage(plan);
    CHECK(stage.state("kms") == ServiceState::ready);
    CHECK(stage.host.actions() == std::vector<std::string>{"config-loaded", "service-start",
                                                           "service-ready", "service-ready"});
}

TEST_CASE("systemd can be told only when all is ready") {
    auto plan = two_services();
    plan.notify_ready = Dependency::ready;
    Stage stage(plan);
    for (const auto* name :
         {"auth-eth startup", "auth-eth liveness", "kms startup", "kms liveness"})
        stage.host.answers[name] = O::ok;
    stage.pass(5s);
    CHECK(stage.host.deeds_like("notify READY=1") == 0);
    stage.host.answers["auth-eth readiness"] = O::ok;
    stage.pass(30s);
    CHECK(stage.host.deeds_like("notify READY=1") == 1);
}

TEST_CASE("what outlives the services is ended") {
    Stage stage(two_services());
    bring_up(stage);
    stage.host.descendants = 2;
    SECTION("by SIGTERM") {
        stage.supervisor.request_stop("SIGTERM");
        stage.pass(100ms);
        CHECK(stage.exit_status == 0);
        CHECK(stage.host.deeds_like("15 descendants") == 1);
        CHECK(stage.host.deeds_like("9 descendants") == 0);
    }
    SECTION("or by SIGKILL") {
        stage.host.stubborn_descendants = true;
        stage.supervisor.request_stop("SIGTERM");
        stage.pass(450ms);
        CHECK_FALSE(stage.exit_status);
        stage.pass(200ms);
        CHECK(stage.exit_status == 0);
        CHECK(stage.host.deeds_like("9 descendants") == 1);
    }
}

TEST_CASE("signals go to the services that list them") {
    auto plan = two_services();
    plan.services[1].forward_signals = {SIGUSR2};
    Stage stage(plan);
    bring_up(stage);
    CHECK(stage.supervisor.forward(SIGUSR2));
    CHECK_FALSE(stage.supervisor.forward(SIGUSR1));
    CHECK(stage.host.deeds.back() == std::to_string(SIGUSR2) + " kms");
}

TEST_CASE("another certificate is told") {
    Stage stage(two_services());
    bring_up(stage);
    ProbeTrack track(probe(ProbeRole::liveness));
    ProbeResult result;
    result.outcome = O::ok;
    result.certificate_sha256 = "aa";
    CHECK(track.add(result, true).old_certificate.empty());
    result.certificate_sha256 = "bb";
    CHECK(track.add(result, true).old_certificate == "aa");
    CHECK(track.add(result, true).old_certificate.empty());
}

TEST_CASE("the status board has a fresh picture every second") {
    Stage stage(two_services());
    bring_up(stage);
    for (int i = 0; i < 5; ++i) {
        stage.pass(1s);
        CHECK(stage.clock.now() - stage.board.current()->taken <= 1s);
    }
}
