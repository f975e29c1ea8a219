/// The HTTP server's counters as metrics of this service.
#pragma once

#include "launcher/runtime/http_server.hpp"
#include "launcher/runtime/metrics.hpp"

namespace auth {

void add_server_metrics(const runtime::HttpServerCounters& counters, runtime::MetricsText& metrics);

}  // namespace auth
