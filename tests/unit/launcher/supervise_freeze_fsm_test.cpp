#include "launcher/supervise/freeze_fsm.hpp"

#include <vector>

#include <catch2/catch.hpp>

using namespace launcher;
using namespace std::chrono_literals;
using What = FreezeChange::What;
using O = ProbeOutcome;

namespace {

const runtime::TimePoint t0{std::chrono::hours(1)};

struct Row {
    std::string name;
    std::vector<O> outcomes;
    std::vector<What> changes;
    FreezeState state;
    O freeze_class;
};

}  // namespace

TEST_CASE("a freeze by the sequence of shallow results") {
    const auto row = GENERATE(values<Row>({
        {"healthy", {O::ok, O::ok}, {What::nothing, What::nothing}, FreezeState::none, O::ok},
        {"one time-out is a suspicion",
         {O::http_headers_timeout},
         {What::suspected},
         FreezeState::suspect,
         O::http_headers_timeout},
        {"a wrong suspicion",
         {O::tcp_timeout, O::ok},
         {What::suspected, What::cleared},
         FreezeState::none,
         O::ok},
        {"three in a row",
         {O::http_headers_timeout, O::http_headers_timeout, O::tls_timeout},
         {What::suspected, What::nothing, What::frozen},
         FreezeState::frozen,
         O::tls_timeout},
        {"refused is down, not frozen",
         {O::tcp_refused, O::tcp_refused, O::tcp_refused, O::http_closed},
         {What::nothing, What::nothing, What::nothing, What::nothing},
         FreezeState::none,
         O::ok},
        {"refused between time-outs starts the count again",
         {O::tcp_timeout, O::tcp_timeout, O::tcp_refused, O::tcp_timeout, O::tcp_timeout},
         {What::suspected, What::nothing, What::cleared, What::suspected, What::nothing},
         FreezeState::suspect,
         O::tcp_timeout},
        {"the launcher's own troubles count for nothing",
         {O::tls_timeout, O::probe_late, O::probe_error, O::tls_timeout, O::tls_timeout},
         {What::suspected, What::nothing, What::nothing, What::nothing, What::frozen},
         FreezeState::frozen,
         O::tls_timeout},
        {"the class may change",
         {O::http_headers_timeout, O::http_headers_timeout, O::http_headers_timeout, O::tls_timeout,
          O::tls_timeout},
         {What::suspected, What::nothing, What::frozen, What::class_changed, What::nothing},
         FreezeState::frozen,
         O::tls_timeout},
        {"one good answer does not end it",
         {O::tls_timeout, O::tls_timeout, O::tls_timeout, O::ok, O::tls_timeout, O::ok},
         {What::suspected, What::nothing, What::frozen, What::nothing, What::nothing,
          What::nothing},
         FreezeState::frozen,
         O::tls_timeout},
        {"two good answers do",
         {O::tls_timeout, O::tls_timeout, O::tls_timeout, O::ok, O::ok},
         {What::suspected, What::nothing, What::frozen, What::nothing, What::ended},
         FreezeState::none,
         O::ok},
        {"a refusal between two good answers starts their count again",
         {O::tls_timeout, O::tls_timeout, O::tls_timeout, O::ok, O::tcp_refused, O::ok},
         {What::suspected, What::nothing, What::frozen, What::nothing, What::nothing,
          What::nothing},
         FreezeState::frozen,
         O::tls_timeout},
    }));
    INFO(row.name);
    FreezeFsm fsm;
    std::vector<What> changes;
    for (const auto outcome : row.outcomes) changes.push_back(fsm.step(outcome, t0).what);
    CHECK(changes == row.changes);
    CHECK(fsm.state() == row.state);
    CHECK(fsm.freeze_class() == row.freeze_class);
}

TEST_CASE("the records of a freeze tell how long each part took, and how deep it went") {
    FreezeFsm fsm;
    fsm.step(O::http_headers_timeout, t0);
    fsm.step(O::http_headers_timeout, t0 + 4s);
    fsm.step(O::http_headers_timeout, t0 + 8s);
    const auto changed = fsm.step(O::tcp_timeout, t0 + 20s);
    CHECK(changed.old_class == O::http_headers_timeout);
    CHECK(changed.new_class == O::tcp_timeout);
    CHECK(changed.lasted == 12s);
    fsm.step(O::http_headers_timeout, t0 + 30s);
    fsm.step(O::ok, t0 + 40s);
    const auto ended = fsm.step(O::ok, t0 + 41s);
    CHECK(ended.what == What::ended);
    CHECK(ended.lasted == 33s);  // from the third time-out
    CHECK(ended.worst == O::tcp_timeout);
}

TEST_CASE("a hard freeze is found within the interval and three times the stage and a second") {
    // The probe's headers stage fires after 3 s; interval 5 s, as by default.
    FreezeFsm fsm;
    auto now = t0 + 5s;  // the freeze began just after a good answer at t0
    for (int probes = 0; fsm.state() != FreezeState::frozen; ++probes) {
        REQUIRE(probes < 10);
        now += 3s;
        fsm.step(O::http_headers_timeout, now);
        if (fsm.state() != FreezeState::frozen) now += fsm.probe_again_after().value_or(5s);
    }
    CHECK(now - t0 <= 17s);
}

TEST_CASE("thresholds can be configured") {
    FreezeFsm fsm{{.failures = 1, .successes = 1}};
    CHECK(fsm.step(O::tls_timeout, t0).what == What::frozen);
    CHECK(fsm.step(O::ok, t0).what == What::ended);
}

TEST_CASE("evidence of a running freeze is due after 10 s, 60 s, 10 min, and then every hour") {
    FreezeFsm fsm;
    for (int i = 0; i < 3; ++i) fsm.step(O::tls_timeout, t0);
    std::vector<runtime::Duration> due;
    for (int i = 0; i < 5; ++i) {
        REQUIRE(fsm.evidence_due());
        due.push_back(*fsm.evidence_due() - t0);
        fsm.evidence_taken(*fsm.evidence_due());
    }
    CHECK(due == std::vector<runtime::Duration>{10s, 60s, 10min, 10min + 1h, 10min + 2h});
    fsm.step(O::ok, t0);
    fsm.step(O::ok, t0);
    CHECK_FALSE(fsm.evidence_due());
}
