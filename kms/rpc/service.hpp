/// The main listener's service: request → route → method → answer, counted and logged.
#pragma once

#include "kms/rpc/handlers.hpp"
#include "kms/rpc/router.hpp"
#include "launcher/runtime/http_server.hpp"
#include "launcher/runtime/metrics.hpp"
#include "launcher/runtime/workers.hpp"

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace kms {

struct ServiceOptions {
    std::string ident = "Rocket";
    std::string app_version;  ///< "v0.1.0 (unknown)"
    BodyLimits body_limits;   ///< per method, names in lower case
    std::size_t body_limit = 10 * 1024 * 1024;
    bool keep_alive = true;  ///< false = every answer ends its connection
    bool metrics_enabled = true;
    bool quotes_enabled = true;  ///< for the gauge that shows weakened modes
    bool dev_mode = false;
    bool nobody_asked = false;       ///< core.auth_api.type = "none"
    bool open_to_all = false;        ///< ... and allow = "all"
    std::size_t verifications = 64;  ///< quotes being verified at a time
};

/// Who calls: nobody known, a verified machine, or why the evidence is refused.
using CallerResult = tl::expected<std::optional<AttestedCaller>, RpcError>;

class KmsService {
  public:
    /// All parts must outlive it. Runs on the thread of the HTTP server; large arguments are worked
    /// on by `workers`.
    KmsService(KmsParts parts, runtime::Clock& clock, runtime::Workers& workers,
               ServiceOptions options);

    runtime::Task<runtime::HttpServerReply> handle(const runtime::HttpServerRequest& request,
                                                   runtime::Deadline deadline);
    std::size_t body_limit(const runtime::HttpServerRequest& head) const;
    /// The listener whose counters /metrics shows; borrowed.
    void watch(const runtime::HttpServerCounters& counters) { http_ = &counters; }
    /// What the program still waits for although it serves: a sentence for /readyz, empty when it
    /// waits for nothing.
    void tell_awaited(std::function<std::string()> awaits) { awaits_ = std::move(awaits); }

  private:
    struct MethodCounters {
        runtime::Counter requests, failures;
        runtime::DurationHistogram duration;
    };

    runtime::Task<runtime::HttpServerReply> call(const Route& route,
                                                 const runtime::HttpServerRequest& request,
                                                 runtime::Deadline deadline);
    runtime::Task<CallerResult> caller_of(const RpcMethod* method,
                                          const runtime::HttpServerRequest& request,
                                          runtime::Deadline deadline);
    runtime::Task<RpcResult> run(const RpcMethod& method, const RpcCall& call,
                                 runtime::Deadline deadline);
    void count(const RpcMethod* method, bool failed, runtime::Duration took);
    runtime::HttpServerReply page(const Route& route,
                                  const runtime::HttpServerRequest& request) const;
    std::string metrics(runtime::MetricsText::Format format) const;
    void append_rpc_metrics(runtime::MetricsText& text) const;
    void append_facts_metrics(runtime::MetricsText& text) const;
    void append_http_metrics(runtime::MetricsText& text) const;

    KmsParts parts_;
    runtime::Clock& clock_;
    runtime::Workers& workers_;
    ServiceOptions options_;
    RouteTable routes_;
    std::shared_ptr<const std::vector<runtime::HttpHeader>> headers_;
    std::array<MethodCounters, 8>
        methods_;  ///< by place in kms_methods(); the last one for unknown methods
    runtime::Counter attestation_requests_, attestation_failures_;
    std::size_t verifications_at_work_ = 0;
    const runtime::HttpServerCounters* http_ = nullptr;
    std::function<std::string()> awaits_;
};

}  // namespace kms
