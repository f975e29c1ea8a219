#include "auth/webhook/server_metrics.hpp"

#include "launcher/runtime/log.hpp"

namespace auth {

void add_server_metrics(const runtime::HttpServerCounters& counters,
                        runtime::MetricsText& metrics) {
    using runtime::MetricKind;
    metrics.family("auth_connections_open", MetricKind::gauge, "Connections that are open now");
    metrics.sample(static_cast<double>(counters.connections_open.load()));
    metrics.family("auth_requests_in_flight", MetricKind::gauge, "Requests at work now");
    metrics.sample(static_cast<double>(counters.requests_in_flight.load()));
    metrics.family("auth_connections_total", MetricKind::counter,
                   "Connections by what became of them");
    metrics.sample(counters.connections_accepted.value(), {{"result", "accepted"}});
    metrics.sample(counters.connections_refused.value(), {{"result", "refused"}});
    metrics.family("auth_requests_refused_total", MetricKind::counter,
                   "Requests refused before a route saw them");
    metrics.sample(counters.requests_refused.value(), {{"reason", "busy"}});
    metrics.sample(counters.heads_refused.value(), {{"reason", "bad_head"}});
    metrics.family("auth_client_timeouts_total", MetricKind::counter,
                   "Connections closed because the client was slow");
    metrics.sample(counters.timeouts_first_byte.value(), {{"phase", "first_byte"}});
    metrics.sample(counters.timeouts_head.value(), {{"phase", "head"}});
    metrics.sample(counters.timeouts_body.value(), {{"phase", "body"}});
    metrics.sample(counters.timeouts_write.value(), {{"phase", "write"}});
    metrics.sample(counters.timeouts_idle.value(), {{"phase", "idle"}});
    metrics.family("auth_log_lines_dropped_total", MetricKind::counter,
                   "Log lines lost because nobody read them");
    metrics.sample(runtime::Logging::lines_dropped());
}

}  // namespace auth
