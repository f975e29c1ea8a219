/// Probes: one question to a service, answered with the layer that failed. Source: spec "launcher"
/// section 2.3, 2.4.
///
/// A probe uses its own socket and its own deadline per stage, on non-blocking sockets: a hanging
/// target delays nobody.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/plan/probe_result.hpp"
#include "launcher/runtime/clock.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace launcher {

/// What the kinds exec, notify and log-line need from the rest of the launcher; one per service. A
/// missing function makes such a probe a probe_error.
struct ProbeHooks {
    /// Runs a command to its end and returns its exit status (128 + n for signal n). It must end at
    /// the deadline and leave reaping to the one reaper.
    std::function<runtime::Task<runtime::Result<int>>(std::vector<std::string> command,
                                                      runtime::Deadline)>
        exec;
    /// Whether the service has sent READY=1 (NotifySocket::ready()).
    std::function<bool()> notified;
    /// Whether the line that `plan` waits for has been seen (LineWatch::seen()).
    std::function<bool(const ProbePlan& plan)> line_seen;
    /// Told the local port of a TCP connection before a byte is sent over it: the service may log
    /// the request before its answer is read. May be empty.
    std::function<void(std::uint16_t local_port)> connected{};
};

/// Runs one tcp, tls, http, https, http-auto or unix probe (unix speaks HTTP when the plan has a
/// url too). Ends at `deadline` at the latest (and at the plan's own stage limits before that).
/// Never throws.
runtime::Task<ProbeResult> run_probe(runtime::Clock& clock, ProbePlan plan,
                                     runtime::Deadline deadline);

/// The same for every kind. `all` and `any` run their probes side by side: `all` reports the first
/// in the list that failed, `any` the first that succeeded, else the last. How the kinds without a
/// network layer map to outcomes: not yet notified or seen = tcp_refused ("down, not frozen"), exit
/// status other than 0 = http_status, no end in time = http_headers_timeout. `hooks` is copied.
runtime::Task<ProbeResult> run_probe(runtime::Clock& clock, ProbePlan plan,
                                     runtime::Deadline deadline, ProbeHooks hooks);

/// A probe together with the body that it received (at most max_body bytes): how the launcher's own
/// subcommands talk to the health endpoint.
struct ProbeExchange {
    ProbeResult result;
    std::string body;
};
runtime::Task<ProbeExchange> run_exchange(runtime::Clock& clock, ProbePlan plan,
                                          runtime::Deadline deadline);

}  // namespace launcher
