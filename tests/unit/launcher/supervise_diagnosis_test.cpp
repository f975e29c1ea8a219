#include "launcher/supervise/diagnosis.hpp"

#include <catch2/catch.hpp>

using namespace launcher;
using namespace std::chrono_literals;
using O = ProbeOutcome;

namespace {

ProbePlan http_probe(std::string url) {
    ProbePlan probe;
    probe.url = std::move(url);
    return probe;
}
ProbeResult result(O outcome, std::chrono::microseconds total = 3ms, unsigned status = 0,
                   std::string detail = "") {
    ProbeResult made;
    made.outcome = outcome;
    made.total = total;
    made.status = status;
    made.detail = std::move(detail);
    return made;
}
DiagnosisFacts facts_of(ProbeResult last, std::string url = "http://127.0.0.1:9200/") {
    DiagnosisFacts facts;
    facts.service = "auth-eth";
    facts.pid = 12;
    facts.probe = http_probe(std::move(url));
    facts.last = std::move(last);
    return facts;
}

struct Row {
    std::string rule;
    DiagnosisFacts facts;
    std::string sentence;  ///< a part of it
};

DiagnosisFacts with_listeners(std::vector<Listener> listeners) {
    auto facts = facts_of(result(O::tcp_refused));
    facts.listeners = std::move(listeners);
    return facts;
}
DiagnosisFacts with_shallow(ProbeResult last, ProbeResult shallow) {
    auto facts = facts_of(std::move(last));
    facts.shallow = std::move(shallow);
    return facts;
}
DiagnosisFacts without_process() {
    auto facts = facts_of(result(O::tcp_refused));
    facts.pid = 0;
    return facts;
}
DiagnosisFacts stopped() {
    auto facts = facts_of(result(O::http_headers_timeout, 3s));
    facts.thread_states = {{'T', 11}};
    return facts;
}
DiagnosisFacts kms_waits() {
    auto facts = with_shallow(result(O::http_headers_timeout, 3s), result(O::ok, 2ms, 200));
    facts.service = "kms";
    facts.dependencies = {"auth-eth"};
    return facts;
}
DiagnosisFacts nothing_known() {
    auto facts = facts_of(result(O::ok));
    facts.last.reset();
    return facts;
}

}  // namespace

TEST_CASE("every rule of the diagnosis has its sentence") {
    const auto row = GENERATE(values<Row>({
        {"wrong-port", with_listeners({{"127.0.0.1", 8000, 12, "auth-eth"}}),
         "nothing listens on 127.0.0.1:9200, but pid 12 (auth-eth) listens on 127.0.0.1:8000: set "
         "PORT=9200"},
        {"upstream-hangs",
         with_shallow(result(O::http_headers_timeout, 3s), result(O::ok, 2ms, 404)),
         "auth-eth answers 404 in 2.0 ms, but GET / timed out after 3.0 s: its Ethereum RPC does "
         "not answer"},
        {"upstream-hangs", kms_waits(),
         "kms answers 200 in 2.0 ms, but GET / timed out after 3.0 s: auth-eth does not answer"},
        {"upstream-fails", with_shallow(result(O::http_status, 3ms, 500), result(O::ok, 2ms, 404)),
         "answers GET / with status 500: its Ethereum RPC fails"},
        {"not-listening", with_listeners({{"127.0.0.1", 9999, 3, "kms"}}),
         "listens on no port: it has not come up"},
        {"wrong-address", with_listeners({{"192.0.2.1", 9200, 12, "auth-eth"}}),
         "listens on 192.0.2.1:9200 only"},
        {"foreign-port", with_listeners({{"0.0.0.0", 9200, 99, "nginx"}}),
         "port 9200 is held by pid 99 (nginx)"},
        {"foreign-port", with_listeners({{"127.0.0.1", 9200, 0, ""}}),
         "port 9200 is held by another process"},
        {"no-process", without_process(), "there is no process of auth-eth"},
        {"stopped", stopped(), "is stopped by a signal or traced"},
        {"plain-on-tls-port", facts_of(result(O::tls_error, 1ms, 0, "wrong version number")),
         "wrong version number"},
        {"plain-on-tls-port", facts_of(result(O::tls_closed)), "kind = \"http-auto\""},
        {"tls-on-plain-port", facts_of(result(O::http_closed)), "use https://"},
        {"tls-on-plain-port", facts_of(result(O::http_malformed)), "use https://"},
        {"stuck-after-handshake", facts_of(result(O::http_headers_timeout, 3s)),
         "did not answer within 3.0 s"},
        {"stuck-after-handshake", facts_of(result(O::http_body_timeout, 2500ms)),
         "did not answer within 2.5 s"},
        {"stuck-in-handshake", facts_of(result(O::tls_timeout, 2s)),
         "does not even complete a TLS handshake"},
        {"accept-queue-full", facts_of(result(O::tcp_timeout, 1s)), "the accept queue is full"},
        {"bad-status", facts_of(result(O::http_status, 3ms, 503)),
         "with status 503, expected was 200 to 399"},
        {"bad-body", facts_of(result(O::http_body_mismatch, 3ms, 200, "expected OK")),
         "is it the right program"},
        {"unknown-name", facts_of(result(O::dns_error), "http://auth.local:9200/"),
         "the name 'auth.local' cannot be resolved"},
        {"own-fault", facts_of(result(O::probe_error, 0ms, 0, "Too many open files")),
         "Too many open files"},
        {"answers", facts_of(result(O::ok)), "answers its probe"},
        {"unknown", nothing_known(), "has not answered its probe yet"},
    }));
    INFO(row.rule);
    const auto diagnosis = diagnose(row.facts);
    CHECK(diagnosis.rule == row.rule);
    CHECK_THAT(diagnosis.sentence, Catch::Contains(row.sentence));
}

TEST_CASE("a service that listens on all addresses is not told to change its address") {
    CHECK(diagnose(with_listeners({{"0.0.0.0", 9200, 12, "auth-eth"}})).rule == "not-listening");
    CHECK(diagnose(with_listeners({{"::", 9200, 12, "auth-eth"}})).rule == "not-listening");
}
