/// Plan: everything the launcher was told to do, as plain values. Made once by plan_loader,
/// validated, then immutable. Source: spec "launcher" section 8.1; the names of the members are the
/// names of the keys.
#pragma once

#include "launcher/runtime/log_filter.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace launcher {

using std::chrono::milliseconds;

enum class ProbeKind {
    tcp,
    tls,
    http,
    https,
    http_auto,
    unix_socket,
    notify,
    log_line,
    exec,
    all,
    any
};
enum class ProbeRole { startup, liveness, readiness };

/// Deadlines of the stages of a layered probe (section 2.4).
struct StageLimits {
    milliseconds resolve{1000}, connect{1000}, tls{2000}, request{1000}, headers{3000}, body{2000},
        total{8000};
};

struct ProbePlan {
    ProbeRole role = ProbeRole::startup;
    ProbeKind kind = ProbeKind::http;
    std::string url;   ///< http kinds; "http://127.0.0.1:9200/path"
    std::string host;  ///< tcp, tls
    std::uint16_t port = 0;
    std::string path;  ///< unix: the socket's path
    std::string method = "GET";
    std::vector<std::pair<std::string, std::string>> headers;
    std::vector<unsigned> expect_status;                           ///< empty = 200…399
    std::optional<std::string> expect_body;                        ///< the body equals this text
    std::optional<std::string> expect_contains;                    ///< the body contains this text
    std::vector<std::pair<std::string, std::string>> expect_json;  ///< JSON pointer → text
    std::string verify = "none";                                   ///< none | ca-file | pin-sha256
    std::string ca_file, pin_sha256, sni;
    std::string alpn = "http/1.1";                     ///< empty = none is offered
    std::string min_tls = "1.2";                       ///< 1.2 | 1.3
    std::string client_cert_file, client_key_file;     ///< PEM; both or none
    std::vector<std::string> ready_phases{"serving"};  ///< http-auto
    std::string stream, target, pattern;               ///< log-line
    bool pattern_is_regex = false;
    std::vector<std::string> command;  ///< exec
    std::vector<ProbePlan> probes;     ///< all, any
    std::size_t max_body = 64 * 1024;
    StageLimits timeouts;
    milliseconds interval{5000};
    milliseconds deadline{0};  ///< startup only: until when it must have succeeded; 0 = none
    int failure_threshold = 3;
    int success_threshold = 1;
};

/// A secret environment variable and where its value is read from.
struct SecretSource {
    enum class From { environment, credential, file } from = From::environment;
    std::string name;  ///< variable, credential or path
};

enum class Dependency { started, ready };
enum class StopMode { leader, group };
enum class LogFormat { automatic, tracing, json, pino, plain };

struct ServiceLimits {
    std::optional<std::uint64_t> nofile, nproc, address_space;
    std::uint64_t core = 0;  ///< a core dump of a KMS holds keys
    // By a leaf of a delegated cgroup v2:
    std::optional<std::uint64_t> memory_high, memory_max;  ///< bytes
    std::optional<std::uint64_t> pids_max;
    std::optional<int> cpu_weight;  ///< 1 to 10000; 100 is usual
    bool needs_cgroup() const { return memory_high || memory_max || pids_max || cpu_weight; }
};

struct ServicePlan {
    std::string name;
    std::vector<std::string>
        command;      ///< argv; a name without '/' is searched in the service's PATH
    std::string cwd;  ///< empty = the launcher's
    std::vector<std::pair<std::string, std::string>> env;
    std::vector<std::string> env_pass;
    std::vector<std::pair<std::string, SecretSource>> secret_env;
    std::vector<std::pair<std::string, Dependency>> depends_on;
    std::string user;  ///< empty = unchanged
    bool stdin_inherit = false;
    bool no_new_privs = true;
    std::optional<int> umask, nice, oom_score_adj;
    ServiceLimits limits;
    int stop_signal = 15;
    milliseconds stop_timeout{6000};  ///< less when not configured and stop_total has to be shared
    StopMode stop_mode = StopMode::leader;
    std::vector<int> success_exit_status;
    std::vector<int> forward_signals;
    std::optional<milliseconds> onboarding_deadline;
    struct Log {
        LogFormat format = LogFormat::automatic;
        bool multiline = true;
        bool fields = true;
        bool keep_original = false;
        bool merge_streams = false;
        bool pty = false;  ///< a terminal in place of pipes, for diagnosis; merges the streams
        bool probe_noise_keep = false;
        std::size_t max_line = 64 * 1024;
    } log;
    std::optional<ProbePlan> startup, liveness, readiness;
};

enum class SinkKind { standard_output, standard_error, journald, file };
enum class SinkFormat { automatic, json, text };

struct SinkPlan {
    SinkKind kind = SinkKind::standard_output;
    SinkFormat format = SinkFormat::automatic;
    std::size_t queue = 4 * 1024 * 1024;
    std::optional<std::string> filter;
    std::string path;  ///< file
    std::uint64_t max_size = 64 * 1024 * 1024;
    unsigned max_files = 8;
    milliseconds max_age{0};
};

struct LogPlan {
    std::string filter = "info";
    runtime::LogFilterSyntax syntax = runtime::LogFilterSyntax::tracing;
    std::vector<SinkPlan> sinks{SinkPlan{}};
};

struct HealthPlan {
    std::vector<std::string> listen{"127.0.0.1:9180"};
    std::string unix_path;
    bool allow_remote = false;
    std::string token_file;
};

struct Plan {
    milliseconds stop_total{9000};
    bool stop_parallel = false;
    Dependency notify_ready = Dependency::started;
    std::string evidence_dir;  ///< empty = memory only
    std::string exit_record;   ///< path; empty = none
    LogPlan log;
    HealthPlan health;
    std::vector<ServicePlan> services;  ///< in start order: dependencies first
    std::string source;                 ///< file it came from, or "built-in"
    std::string digest;                 ///< SHA-256 of the effective configuration, hex
};

}  // namespace launcher
