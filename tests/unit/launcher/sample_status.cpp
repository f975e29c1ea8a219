#include "tests/unit/launcher/sample_status.hpp"

namespace test {
namespace {

using namespace launcher;
using namespace std::chrono_literals;
using std::chrono::system_clock;

const system_clock::time_point kNow{std::chrono::seconds(1'795'380'570)};  // 2026-11-22T20:49:30Z

ProbeResult result(ProbeOutcome outcome, std::string detail,
                   std::initializer_list<std::chrono::microseconds> stages) {
    ProbeResult made;
    made.outcome = outcome;
    made.detail = std::move(detail);
    std::copy(stages.begin(), stages.end(), made.stage_times.begin());
    for (const auto stage : stages) made.total += stage;
    made.at = kNow - 1s;
    if (outcome == ProbeOutcome::ok) made.status = 200;
    return made;
}

ProbeStatus probe(std::string name, ProbeKind kind, std::vector<ProbeResult> recent) {
    ProbeStatus made;
    made.name = std::move(name);
    made.kind = kind;
    made.last = recent.back();
    made.recent = std::move(recent);
    made.consecutive = 4;
    made.last_change = kNow - 20s;
    made.last_ok = made.last->ok() ? kNow - 1s : kNow - 25s;
    runtime::DurationHistogram histogram;
    for (const auto& each : made.recent) {
        ++made.results[static_cast<std::size_t>(each.outcome)];
        histogram.observe(std::chrono::duration<double>(each.total).count());
    }
    made.stages.fill(histogram.snapshot());
    return made;
}

ServiceStatus service(std::string name, int pid) {
    ServiceStatus made;
    made.name = std::move(name);
    made.pid = pid;
    made.started = kNow - 3725s;
    made.ready_since = kNow - 3720s;
    made.time_to_ready_seconds = 1.25;
    made.was_started = true;
    made.process = ProcessStatus{.rss_bytes = 41'943'040,
                                 .virtual_bytes = 1'073'741'824,
                                 .swap_bytes = 0,
                                 .user_seconds = 12.5,
                                 .system_seconds = 3.25,
                                 .threads = 9,
                                 .open_fds = 37,
                                 .max_fds = 65'536,
                                 .thread_states = {{'S', 8}, {'R', 1}},
                                 .voluntary_switches = 1000,
                                 .involuntary_switches = 20,
                                 .major_faults = 3,
                                 .read_bytes = 4096,
                                 .written_bytes = 8192};
    return made;
}

ServiceStatus webhook() {
    ServiceStatus made = service("auth-eth", 12);
    made.state = ServiceState::ready;
    const auto good = result(ProbeOutcome::ok, "", {1us, 90us, 0us, 40us, 1900us, 30us});
    const auto slow = result(ProbeOutcome::http_headers_timeout,
                             "TCP is open, but no HTTP answer came within 5 s",
                             {1us, 80us, 0us, 35us, 5'000'100us});
    made.probes.push_back(probe("liveness", ProbeKind::http, std::vector<ProbeResult>(12, good)));
    made.probes.push_back(
        probe("readiness", ProbeKind::http, {good, good, slow, good, good, good, good}));
    made.freezes[ProbeOutcome::http_headers_timeout] = 1;
    made.freeze_seconds = 12.5;
    made.last_freeze_sentence =
        "auth-eth answers 404 in 2 ms but GET / timed out after 3 s: its Ethereum RPC does not "
        "answer";
    return made;
}

ServiceStatus kms() {
    ServiceStatus made = service("kms", 27);
    made.state = ServiceState::unready;
    made.phase = "serving";
    auto good = result(ProbeOutcome::ok, "", {1us, 110us, 3'200us, 50us, 2'400us, 40us});
    good.phase = "serving";
    good.certificate_sha256 = std::string(64, 'c');
    const auto stuck =
        result(ProbeOutcome::http_headers_timeout,
               "TCP is open and TLS is established, but no HTTP answer came within 3 s",
               {1us, 120us, 3'400us, 60us, 3'000'200us});
    std::vector<ProbeResult> recent(9, good);
    recent.insert(recent.end(), 4, stuck);
    made.probes.push_back(probe("startup", ProbeKind::http_auto, {good}));
    made.probes.push_back(probe("liveness", ProbeKind::http_auto, std::move(recent)));
    made.freeze = FreezeState::frozen;
    made.freeze_class = ProbeOutcome::http_headers_timeout;
    made.freeze_since = kNow - 14s;
    made.freezes[ProbeOutcome::http_headers_timeout] = 2;
    made.freezes[ProbeOutcome::tls_timeout] = 1;
    made.freeze_seconds = 30;
    made.last_freeze_sentence =
        "kms completes TLS handshakes in 3 ms but gives no HTTP answer: its workers wait for "
        "something";
    made.last_evidence_id = "evidence-kms-20261122T204920Z-3";
    made.evidence_taken = {{"suspect", 3}, {"frozen", 3}};
    made.evidence_skipped = {{"scheduled", 1}};
    return made;
}

logs::ServiceLogCounters counters(const std::string& name, std::uint64_t lines) {
    logs::ServiceLogCounters made{.service = name, .out = {}, .err = {}};
    made.out.lines_by_level = {0, 4, lines, 3, 1, 0};
    made.out.bytes_by_level = {0, 400, lines * 110, 330, 140, 0};
    made.out.filtered = 4;
    made.out.probe_noise = 17;
    made.out.pipe_bytes = 64;
    made.out.last_line = kNow - 2s;
    made.err.lines_by_level = {0, 0, 0, 2, 0, 0};
    return made;
}

}  // namespace

Status sample_status() {
    Status status;
    status.version = "0.1.0";
    status.pid = 1;
    status.pid1 = true;
    status.started = kNow - 3730s;
    status.taken = runtime::TimePoint(1000h);
    status.taken_wall = kNow;
    status.state = "running";
    status.config_digest = std::string(64, 'd');
    status.config_source = "/etc/kms/launcher.toml";
    status.services = {webhook(), kms()};
    status.log.services = {counters("auth-eth", 1200), counters("kms", 54'000)};
    logs::SinkCounters out;
    out.name = "stdout";
    out.state = "ok";
    out.queued_bytes = 1024;
    out.queue_limit_bytes = 4 * 1024 * 1024;
    out.records_written = 55'210;
    logs::SinkCounters file = out;
    file.name = "file:/var/log/kms.log";
    file.state = "degraded: No space left on device";
    file.up = false;
    file.stalled_for = 2500ms;
    file.dropped = {{"kms", {0, 0, 7, 0, 0, 0}}};
    file.dropped_by_stream = {{"kms", {{{}, {0, 0, 7, 0, 0, 0}, {}}}}};
    file.dropped_bytes = 770;
    status.log.sinks = {out, file};
    status.log.redactions = {{"known", 2}, {"pem", 0}};
    status.log_filter = "info,rocket=warn";
    status.orphans_reaped = 5;
    runtime::DurationHistogram lag;
    lag.observe(0.0004);
    status.loop_lag = lag.snapshot();
    status.control_seconds = 0.0012;
    return status;
}

}  // namespace test
