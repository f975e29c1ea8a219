// What is made of a status: the document of /status, the exposition of /metrics, the tables of
// `status`.
#include "launcher/control/status.hpp"

#include "launcher/control/cli_status.hpp"
#include "launcher/control/metrics.hpp"
#include "tests/unit/launcher/sample_status.hpp"

#include <regex>
#include <set>

#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>

namespace {

using namespace launcher;
using namespace std::chrono_literals;
using runtime::MetricsText;
using runtime::TimePoint;

const TimePoint kNow{1000h};

SystemSample sample() {
    SystemSample made;
    made.self = ProcessStatus{};
    made.cgroup_memory_bytes = 1000;
    made.cgroup_memory_limit_bytes = 2000;
    made.cgroup_oom_kills = 1;
    made.pressure = parse_pressure(
        "cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 total=5\n");
    return made;
}

std::string metrics(const Status& status,
                    MetricsText::Format format = MetricsText::Format::prometheus) {
    static const runtime::HttpServerCounters server;
    static const RequestCounters requests;
    const SystemSample system = sample();
    return metrics_text(status, kNow, {server, requests, system}, format);
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    return lines;
}

/// Checks the rules of the exposition format that a scraper relies on; returns the names of the
/// families.
std::set<std::string> check_exposition(const std::string& text, bool open) {
    static const std::regex sample_line(
        R"re(([a-z_:][a-z0-9_:]*)(\{([a-z_]+="([^"\\\n]|\\.)*"(,[a-z_]+="([^"\\\n]|\\.)*")*)?\})? (\S+))re",
        std::regex::icase);
    std::set<std::string> families, series;
    std::string family, kind;
    for (const std::string& line : lines_of(text)) {
        INFO(line);
        if (line == "# EOF") continue;
        if (line.starts_with("# TYPE ")) {
            std::istringstream words(line.substr(7));
            words >> family >> kind;
            CHECK(families.insert(family).second);
            CHECK((kind == "counter" || kind == "gauge" || kind == "histogram"));
            CHECK((kind == "counter" && !open) == family.ends_with("_total"));
            continue;
        }
        if (line.starts_with("#")) {
            CHECK((line.starts_with("# HELP " + family + " ") ||
                   (open && line.starts_with("# UNIT " + family + " "))));
            continue;
        }
        std::smatch match;
        REQUIRE(std::regex_match(line, match, sample_line));
        std::string name = match[1];
        if (kind == "histogram")
            name = std::regex_replace(name, std::regex("_(bucket|sum|count)$"), "");
        CHECK(name == (open && kind == "counter" ? family + "_total" : family));
        CHECK(series.insert(std::string(match[1]) + std::string(match[2])).second);
        CHECK_NOTHROW(std::stod(match[7]));
    }
    CHECK(text.ends_with('\n'));
    CHECK(text.ends_with("# EOF\n") == open);
    return families;
}

TEST_CASE("the exposition keeps to the format, in both forms") {
    check_exposition(metrics(test::sample_status()), false);
    check_exposition(metrics(test::sample_status(), MetricsText::Format::openmetrics), true);
    check_exposition(metrics(Status{}), false);
    Status odd = test::sample_status();
    odd.services[0].name = "we\"ird\\na\nme";
    check_exposition(metrics(odd), false);
}

TEST_CASE("every metric of the specification is there") {
    const auto families = check_exposition(metrics(test::sample_status()), false);
    for (const char* name : {"kms_launcher_build_info",
                             "kms_launcher_start_time_seconds",
                             "kms_launcher_loop_lag_seconds",
                             "kms_launcher_orphans_reaped_total",
                             "kms_launcher_service_up",
                             "kms_launcher_service_state",
                             "kms_launcher_service_phase_info",
                             "kms_launcher_service_start_time_seconds",
                             "kms_launcher_service_time_to_ready_seconds",
                             "kms_launcher_service_restarts_total",
                             "kms_launcher_service_exit_code",
                             "kms_launcher_service_exit_signal",
                             "kms_launcher_probe_success",
                             "kms_launcher_probe_results_total",
                             "kms_launcher_probe_stage_duration_seconds",
                             "kms_launcher_probe_last_success_timestamp_seconds",
                             "kms_launcher_freeze_state",
                             "kms_launcher_freezes_total",
                             "kms_launcher_freeze_seconds_total",
                             "kms_launcher_evidence_snapshots_total",
                             "kms_launcher_evidence_skipped_total",
                             "kms_launcher_log_lines_total",
                             "kms_launcher_log_bytes_total",
                             "kms_launcher_log_filtered_total",
                             "kms_launcher_log_probe_total",
                             "kms_launcher_log_redactions_total",
                             "kms_launcher_log_dropped_total",
                             "kms_launcher_log_dropped_bytes_total",
                             "kms_launcher_log_queue_bytes",
                             "kms_launcher_log_queue_limit_bytes",
                             "kms_launcher_log_sink_up",
                             "kms_launcher_log_sink_stalled_seconds",
                             "kms_launcher_log_pipe_bytes",
                             "kms_launcher_process_cpu_seconds_total",
                             "kms_launcher_process_resident_memory_bytes",
                             "kms_launcher_process_virtual_memory_bytes",
                             "kms_launcher_process_swap_bytes",
                             "kms_launcher_process_threads",
                             "kms_launcher_process_open_fds",
                             "kms_launcher_process_max_fds",
                             "kms_launcher_process_thread_states",
                             "kms_launcher_process_context_switches_total",
                             "kms_launcher_process_major_page_faults_total",
                             "kms_launcher_process_io_bytes_total",
                             "kms_launcher_cgroup_memory_bytes",
                             "kms_launcher_cgroup_memory_limit_bytes",
                             "kms_launcher_cgroup_oom_kills_total",
                             "kms_launcher_pressure_stall_seconds_total",
                             "kms_launcher_http_requests_total",
                             "kms_launcher_http_rejected_total",
                             "process_cpu_seconds_total",
                             "process_open_fds",
                             "process_max_fds",
                             "process_virtual_memory_bytes",
                             "process_virtual_memory_max_bytes",
                             "process_resident_memory_bytes",
                             "process_start_time_seconds",
                             "process_threads"}) {
        INFO(name);
        CHECK(families.contains(name));
    }
}

TEST_CASE("the values are those of the picture") {
    Status status = test::sample_status();
    status.services[0].exit = ExitStatus{.signalled = false, .code = 7, .core_dumped = false};
    status.services[1].exit = ExitStatus{.signalled = true, .code = 11, .core_dumped = false};
    const std::string text = "\n" + metrics(status);
    for (
        const char* line : {
            "kms_launcher_start_time_seconds 1795376840",
            R"(kms_launcher_service_up{service="kms"} 0)",
            R"(kms_launcher_service_state{service="kms",state="unready"} 1)",
            R"(kms_launcher_service_state{service="kms",state="ready"} 0)",
            R"(kms_launcher_service_phase_info{service="kms",phase="serving"} 1)",
            R"(kms_launcher_service_phase_info{service="auth-eth",phase="unknown"} 1)",
            R"(kms_launcher_service_restarts_total{service="kms"} 0)",
            R"(kms_launcher_service_exit_code{service="auth-eth"} 7)",
            R"(kms_launcher_service_exit_signal{service="kms"} 11)",
            R"(kms_launcher_probe_success{service="kms",probe="liveness"} 0)",
            R"(kms_launcher_probe_results_total{service="kms",probe="liveness",result="ok"} 9)",
            R"(kms_launcher_probe_results_total{service="kms",probe="liveness",result="tls_timeout"} 0)",
            R"(kms_launcher_probe_stage_duration_seconds_count{service="kms",probe="liveness",stage="tls"} 13)",
            R"(kms_launcher_freeze_state{service="kms",class="http_headers_timeout"} 1)",
            R"(kms_launcher_freeze_state{service="kms",class="tls_timeout"} 0)",
            R"(kms_launcher_freeze_state{service="auth-eth",class="http_headers_timeout"} 0)",
            R"(kms_launcher_freezes_total{service="kms",class="tls_timeout"} 1)",
            R"(kms_launcher_freezes_total{service="kms",class="send_timeout"} 0)",
            R"(kms_launcher_freeze_seconds_total{service="kms"} 44)",  // 30 of the past, 14 of the
                                                                       // one that goes on
            R"(kms_launcher_evidence_snapshots_total{service="kms",reason="frozen"} 3)",
            R"(kms_launcher_evidence_snapshots_total{service="auth-eth",reason="manual"} 0)",
            R"(kms_launcher_evidence_skipped_total{service="kms",reason="scheduled"} 1)",
            R"(kms_launcher_log_lines_total{service="kms",stream="stdout",level="info"} 54000)",
            R"(kms_launcher_log_lines_total{service="kms",stream="stderr",level="warn"} 2)",
            R"(kms_launcher_log_probe_total{service="kms"} 17)",
            R"(kms_launcher_log_redactions_total{rule="known"} 2)",
            R"(kms_launcher_log_dropped_total{service="kms",stream="stdout",level="info",sink="file:/var/log/kms.log"} 7)",
            R"(kms_launcher_log_dropped_total{service="launcher",stream="none",level="error",sink="stdout"} 0)",
            R"(kms_launcher_log_dropped_bytes_total{sink="file:/var/log/kms.log"} 770)",
            R"(kms_launcher_log_sink_up{sink="file:/var/log/kms.log"} 0)",
            R"(kms_launcher_log_sink_stalled_seconds{sink="file:/var/log/kms.log"} 2.5)",
            R"(kms_launcher_process_cpu_seconds_total{service="kms",mode="user"} 12.5)",
            R"(kms_launcher_process_thread_states{service="kms",state="S"} 8)",
            R"(kms_launcher_process_thread_states{service="kms",state="D"} 0)",
            R"(kms_launcher_pressure_stall_seconds_total{resource="cpu",kind="some"} 1.5)",
            R"(kms_launcher_http_requests_total{path="/livez",code="200"} 0)",
            R"(kms_launcher_http_rejected_total{code="503"} 0)",
        }) {
        INFO(line);
        CHECK(text.find("\n" + std::string(line) + "\n") != std::string::npos);
    }
}

TEST_CASE("a value that may not be read is absent; before the start it is 0") {
    Status status = test::sample_status();
    status.services[0].process.reset();
    status.services[1].process.reset();
    status.services[1].pid = 0;
    const std::string text = metrics(status);
    CHECK(text.find(R"(kms_launcher_process_threads{service="auth-eth"})") == std::string::npos);
    CHECK(text.find(R"(kms_launcher_process_threads{service="kms"} 0)") != std::string::npos);
}

TEST_CASE("request counters know a fixed set of paths and codes") {
    RequestCounters counters;
    counters.add("/readyz/kms", 200);
    counters.add("/readyz", 503);
    counters.add("/wp-login.php", 404);
    counters.add("/livez", 299);
    const auto count = [&](std::string_view path, unsigned code) {
        const auto p =
            std::find(RequestCounters::kPaths.begin(), RequestCounters::kPaths.end(), path);
        const auto c =
            std::find(RequestCounters::kCodes.begin(), RequestCounters::kCodes.end(), code);
        return counters.count(static_cast<std::size_t>(p - RequestCounters::kPaths.begin()),
                              static_cast<std::size_t>(c - RequestCounters::kCodes.begin()));
    };
    CHECK(count("/readyz", 200) == 1);
    CHECK(count("/readyz", 503) == 1);
    CHECK(count("other", 404) == 1);
    CHECK(count("/livez", 503) == 1);
}

TEST_CASE("what the kernel writes is read, and nothing is made up") {
    const auto pressure = parse_pressure(
        "io",
        "some avg10=1.00 avg60=0 avg300=0 total=2500000\nfull avg10=0 total=7\nodd total=1\n");
    REQUIRE(pressure.size() == 2);
    CHECK(pressure[0].kind == "some");
    CHECK(pressure[0].seconds == 2.5);
    CHECK(parse_pressure("io", "").empty());
    CHECK(parse_pressure("io", "some avg10=1.00\n").empty());
    CHECK(keyed_number("low 1\noom 2\noom_kill 3\n", "oom_kill") == 3);
    CHECK(keyed_number("oom_kill_group 3\n", "oom_kill") == std::nullopt);
    CHECK(cgroup_path("0::/user.slice/x\n", false) == "/user.slice/x");
    CHECK(cgroup_path("0::/\n", false) == "");
    CHECK(cgroup_path("12:cpu,memory:/docker/1\n0::/\n", true) == "/docker/1");
    CHECK(cgroup_path("3:memory_other:/x\n", true) == std::nullopt);
    CHECK(cgroup_path("rubbish", false) == std::nullopt);
}

TEST_CASE("the status document has the members of schema 1") {
    const auto document = boost::json::parse(status_json(test::sample_status(), kNow + 1s));
    const auto at = [&](const char* pointer) { return document.at_pointer(pointer); };
    CHECK(at("/schema") == 1);
    CHECK(at("/time") == "2026-11-22T20:49:31.000Z");
    CHECK(at("/launcher/version") == "0.1.0");
    CHECK(at("/launcher/pid1") == true);
    CHECK(at("/launcher/uptime_seconds") == 3731.0);
    CHECK(at("/launcher/config/digest").as_string().size() == 64);
    CHECK(at("/launcher/log/sinks/1/state") == "degraded: No space left on device");
    CHECK(at("/launcher/log/sinks/1/dropped") == 7);
    CHECK(at("/services/1/name") == "kms");
    CHECK(at("/services/1/state") == "unready");
    CHECK(at("/services/1/phase") == "serving");
    CHECK(at("/services/1/exit") == nullptr);
    CHECK(at("/services/1/probes/1/name") == "liveness");
    CHECK(at("/services/1/probes/1/kind") == "http-auto");
    CHECK(at("/services/1/probes/1/last/result") == "http_headers_timeout");
    CHECK(at("/services/1/probes/1/last/stages_ms/tls") == 3.4);
    CHECK(at("/services/1/probes/1/last/stages_ms").as_object().contains("body") == false);
    CHECK(at("/services/1/probes/1/recent").as_array().size() == 13);
    CHECK(at("/services/1/freeze/state") == "frozen");
    CHECK(at("/services/1/freeze/class") == "http_headers_timeout");
    CHECK(at("/services/1/freeze/count") == 3);
    CHECK(at("/services/1/freeze/last_evidence") == "evidence-kms-20261122T204920Z-3");
    CHECK(at("/services/1/process/rss_bytes") == 41'943'040);
    CHECK(at("/services/1/process/thread_states/S") == 8);
    CHECK(at("/services/1/log/stdout/lines/info") == 54'000);
    CHECK(at("/services/1/log/dropped") == 7);
    CHECK(at("/services/0/freeze/class") == nullptr);
    const auto empty = boost::json::parse(status_json(Status{}, kNow));
    CHECK(empty.at_pointer("/time") == nullptr);
    CHECK(empty.at_pointer("/services").as_array().empty());
}

TEST_CASE("an end is told as code or as signal") {
    Status status = test::sample_status();
    status.services[0].exit = ExitStatus{.signalled = true, .code = 11, .core_dumped = true};
    const auto document = boost::json::parse(status_json(status, kNow));
    CHECK(document.at_pointer("/services/0/exit/signal_name") == "SIGSEGV");
    CHECK(document.at_pointer("/services/0/exit/core_dumped") == true);
    CHECK(document.at_pointer("/services/0/uptime_seconds") == nullptr);
}

TEST_CASE("the table for people has a line for everything") {
    Status status = test::sample_status();
    status.services[0].phase = "odd\x1b[2J";
    const auto text = status_text(status_json(status, kNow));
    REQUIRE(text);
    for (const char* part :
         {"launcher 0.1.0, running, pid 1, up 1 h 2 min, config /etc/kms/launcher.toml",
          "auth-eth  ready", "kms       unready  serving", "frozen (http_headers_timeout)",
          "kms liveness", "3.00 s", "file:/var/log/kms.log",
          "last freeze of kms: kms completes TLS handshakes"}) {
        INFO(part << "\n" << *text);
        CHECK(text->find(part) != std::string::npos);
    }
    CHECK(text->find('\x1b') == std::string::npos);
    CHECK_FALSE(status_text("{}"));
    CHECK_FALSE(status_text("not JSON"));
    CHECK(status_text(R"({"launcher":{"state":"running"},"services":[{}]})"));
}

}  // namespace
