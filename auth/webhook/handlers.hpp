/// The webhook's routes: GET /, POST /bootAuth/app, POST /bootAuth/kms, and GET /metrics;
/// everything else is 404.
///
/// Bytes ↔ values and status codes; who decides is the Backend. Every doubt on a POST ends as 200
/// "not allowed". Source: spec "auth-api" section 1.
#pragma once

#include "auth/webhook/backend.hpp"
#include "launcher/runtime/http_server.hpp"

#include <array>
#include <functional>

namespace auth {

/// Whose ids and hashes must be of full length (RequestRules::full_lengths).
enum class FullLengths {
    from_kms,  ///< of callers that say "dstack-kms" in their User-Agent; those always send full
               ///< lengths
    always,
    never,
};

/// How a request ended; labels metrics and log lines.
enum class Outcome { answered, allowed, denied, unavailable, invalid, unknown_route };
inline constexpr std::size_t kOutcomes = 6;
std::string_view to_string(Outcome outcome);

enum class Route { info, app, kms, metrics, other };
inline constexpr std::size_t kRoutes = 5;
std::string_view to_string(Route route);

class Handlers {
  public:
    struct Options {
        FullLengths full_lengths = FullLengths::from_kms;
    };
    /// `clock` and `backend` must outlive this object.
    Handlers(const runtime::Clock& clock, Backend& backend, Options options);

    /// Answers one request and writes its log line.
    runtime::Task<runtime::HttpServerReply> handle(const runtime::HttpServerRequest& request,
                                                   runtime::Deadline deadline);
    /// Adds families to /metrics beyond the backend's and the requests', such as those of the
    /// server.
    void add_metrics_source(std::function<void(runtime::MetricsText&)> source);

  private:
    struct Exchange;  // what is known of one request so far
    runtime::Task<runtime::HttpServerReply> answer(const runtime::HttpServerRequest& request,
                                                   runtime::Deadline deadline, Exchange& exchange);
    runtime::Task<runtime::HttpServerReply> answer_info(runtime::Deadline deadline,
                                                        Exchange& exchange);
    runtime::Task<runtime::HttpServerReply> answer_boot(const runtime::HttpServerRequest& request,
                                                        runtime::Deadline deadline,
                                                        Exchange& exchange);
    runtime::HttpServerReply answer_metrics(const runtime::HttpServerRequest& request) const;
    void count_failure(const Failure& failure, Exchange& exchange);
    void finish(const runtime::HttpServerRequest& request, const runtime::HttpServerReply& reply,
                const Exchange& exchange);

    const runtime::Clock& clock_;
    Backend& backend_;
    Options options_;
    std::vector<std::function<void(runtime::MetricsText&)>> sources_;
    std::array<std::array<runtime::Counter, kOutcomes>, kRoutes> requests_;
    std::array<runtime::DurationHistogram, kRoutes> durations_;
    std::array<runtime::Counter, kFailureKinds> failures_;
};

}  // namespace auth
