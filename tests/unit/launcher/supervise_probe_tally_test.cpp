#include "launcher/supervise/probe_tally.hpp"

#include <catch2/catch.hpp>

using namespace launcher;
using namespace std::chrono_literals;
using O = ProbeOutcome;

TEST_CASE("a verdict takes as many results in a row as configured") {
    ProbeTally tally{3, 2};
    CHECK_FALSE(tally.verdict());
    CHECK_FALSE(tally.add(O::ok, true));
    CHECK(tally.add(O::ok, true) == true);
    CHECK_FALSE(tally.add(O::ok, true));  // no change
    CHECK_FALSE(tally.add(O::http_status, false));
    CHECK_FALSE(tally.add(O::http_status, false));
    CHECK_FALSE(tally.add(O::ok, true));  // a success between starts the count again
    CHECK_FALSE(tally.add(O::http_status, false));
    CHECK_FALSE(tally.add(O::tcp_refused, false));
    CHECK(tally.add(O::tcp_timeout, false) == false);
    CHECK(tally.failures() == 3);
}

TEST_CASE("results about the launcher itself change no verdict") {
    ProbeTally tally{1, 1};
    tally.add(O::ok, true);
    CHECK_FALSE(tally.add(O::probe_late, false));
    CHECK_FALSE(tally.add(O::probe_error, false));
    CHECK(tally.verdict() == true);
}

TEST_CASE("startup probes come quickly at first and every 2 s at last") {
    runtime::Duration before{0};
    for (int attempt = 0; attempt < 20; ++attempt) {
        const auto pause = startup_pause(attempt);
        CHECK(pause >= before);
        CHECK(pause <= 2s);
        before = pause;
    }
    CHECK(startup_pause(1) == 250ms);
    CHECK(startup_pause(19) == 2s);
}

TEST_CASE("jitter only shortens, by a tenth at most") {
    CHECK(jittered(10s, 0) == 10s);
    CHECK(jittered(10s, 1) == 9s);
    CHECK(jittered(10s, 7) == 9s);
    CHECK(jittered(10s, -1) == 10s);
}

TEST_CASE("a phase decides about readiness only for http-auto") {
    ProbePlan plan;
    plan.kind = ProbeKind::http_auto;
    ProbeResult result;
    result.outcome = O::ok;
    result.phase = "onboarding";
    CHECK_FALSE(counts_as_ready(result, plan));
    plan.ready_phases = {"serving", "onboarding"};
    CHECK(counts_as_ready(result, plan));
    plan.kind = ProbeKind::http;
    plan.ready_phases = {"serving"};
    CHECK(counts_as_ready(result, plan));
    result.outcome = O::http_status;
    CHECK_FALSE(counts_as_ready(result, plan));
}
