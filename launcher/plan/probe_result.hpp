/// What a probe found: the vocabulary of section 2.4 of spec "launcher". Values only.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace launcher {

enum class ProbeOutcome {
    ok,
    dns_error,
    tcp_refused,
    tcp_timeout,
    tls_timeout,
    tls_closed,
    tls_error,
    send_timeout,
    http_headers_timeout,  ///< TCP open, TLS ok, HTTP stuck: the face of the reported freeze
    http_closed,
    http_malformed,
    http_status,
    http_body_timeout,
    http_body_mismatch,
    probe_error,  ///< the launcher's own fault; never counts against the service
    probe_late,   ///< the launcher or the host was starved; never counts against the service
};
inline constexpr std::size_t kProbeOutcomes = 16;
std::string_view to_string(ProbeOutcome outcome);
/// Whether the outcome advances the freeze state machine (section 2.5).
bool is_timeout(ProbeOutcome outcome);

enum class ProbeStage { resolve, connect, tls, request, headers, body };
inline constexpr std::size_t kProbeStages = 6;
std::string_view to_string(ProbeStage stage);

struct ProbeResult {
    ProbeOutcome outcome = ProbeOutcome::probe_error;
    std::string detail;   ///< one line for people: "connection refused", "status 500"
    unsigned status = 0;  ///< HTTP status; 0 when there was none
    std::string phase;    ///< http-auto: "serving" (TLS) or "onboarding" (plain); else empty
    std::string
        certificate_sha256;  ///< hex, of the certificate that the peer presented; else empty
    std::uint16_t local_port =
        0;  ///< source port of the probe's connection, for probe-noise suppression
    std::array<std::chrono::microseconds, kProbeStages>
        stage_times{};  ///< zero when a stage was not reached
    std::chrono::microseconds total{0};
    std::chrono::system_clock::time_point at{};  ///< when it ended

    bool ok() const { return outcome == ProbeOutcome::ok; }
};

}  // namespace launcher
