/// The health endpoint: what orchestrators, operators and monitoring ask the launcher. It runs on a
/// thread and an io_context of its own and reads only the StatusBoard. Source: spec "launcher"
/// section 5.
#pragma once

#include "launcher/control/health_guard.hpp"
#include "launcher/control/metrics.hpp"
#include "launcher/control/status.hpp"
#include "launcher/runtime/clock.hpp"
#include "launcher/runtime/http_server.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>

namespace launcher {

/// Pure: the answer to one request about `status` at time `now`. `numbers` gives the endpoint's own
/// counters and what the machine says about itself. GET and HEAD of /livez /startupz
/// /readyz[/SERVICE] /healthz (each with ?verbose), /status, /metrics and the page at /; 405 for
/// other methods, 404 elsewhere.
runtime::HttpServerReply answer_health(const runtime::HttpServerRequest& request,
                                       const Status& status, runtime::TimePoint now,
                                       const EndpointNumbers& numbers);

/// Answers what changes something or is asked for by name (/control/…), on the main thread. Only
/// requests over the unix socket get there, from root or the launcher's own user.
struct ControlDoor {
    boost::asio::any_io_executor executor;  ///< of the main thread
    std::function<runtime::Task<runtime::HttpServerReply>(runtime::HttpServerRequest,
                                                          runtime::Deadline)>
        answer;  ///< empty = there is no control
};
inline constexpr std::string_view kControlPath = "/control/";
inline constexpr std::size_t kMaxControlBody = 8 * 1024;

class HealthEndpoint {
  public:
    /// Listens and starts the thread. Errors: as HttpServer::listen; invalid_argument for an
    /// address beyond loopback without allow_remote, and for a token file that cannot be used.
    static runtime::Result<std::unique_ptr<HealthEndpoint>> start(
        const HealthPlan& plan, runtime::Clock& clock, std::shared_ptr<const StatusBoard> board,
        ControlDoor door = {});
    /// Closes the listeners and ends the thread, within 500 ms.
    ~HealthEndpoint();
    HealthEndpoint(const HealthEndpoint&) = delete;
    HealthEndpoint& operator=(const HealthEndpoint&) = delete;
    /// "http://127.0.0.1:9180" of the first TCP listener, for messages and for the control
    /// measurement; empty when there is none. 0.0.0.0 is given as 127.0.0.1.
    std::string url() const;

  private:
    struct Impl;
    explicit HealthEndpoint(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

}  // namespace launcher
