/// The exposition of /metrics. Source: spec "launcher" section 5.1: every row of its table, every
/// series from the start.
#pragma once

#include "launcher/control/metrics_system.hpp"
#include "launcher/control/status.hpp"
#include "launcher/runtime/http_server.hpp"
#include "launcher/runtime/metrics.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace launcher {

/// Requests that the endpoint has answered, by path (a fixed set) and status.
class RequestCounters {
  public:
    static constexpr std::array<std::string_view, 8> kPaths = {
        "/", "/livez", "/startupz", "/readyz", "/healthz", "/status", "/metrics", "other"};
    static constexpr std::array<unsigned, 9> kCodes = {200, 400, 401, 403, 404, 405, 413, 429, 503};

    /// Other codes count as 503. /readyz/SERVICE counts as /readyz.
    void add(std::string_view path, unsigned code);
    std::uint64_t count(std::size_t path, std::size_t code) const {
        return counters_[path][code].value();
    }

  private:
    std::array<std::array<runtime::Counter, kCodes.size()>, kPaths.size()> counters_;
};

/// What only the endpoint knows. Borrowed for the call.
struct EndpointNumbers {
    const runtime::HttpServerCounters& server;
    const RequestCounters& requests;
    const SystemSample& system;
};

/// Pure: the whole exposition.
std::string metrics_text(const Status& status, runtime::TimePoint now,
                         const EndpointNumbers& numbers, runtime::MetricsText::Format format);

}  // namespace launcher
