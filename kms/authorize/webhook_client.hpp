/// The authorisation service's client: GET for its facts, POST for a decision. Every exchange has a
/// time limit and a size limit of its own; decisions are never cached, and whatever is not a clear
/// "allowed" is none. Source: spec "kms-protocol" section 10, "auth-api" section 5.3.
#pragma once

#include "kms/authorize/boot_info.hpp"
#include "kms/authorize/chain_facts.hpp"
#include "launcher/runtime/http_client.hpp"

#include <chrono>
#include <cstddef>
#include <string>

namespace kms {

struct WebhookOptions {
    std::string url;                              ///< core.auth_api.webhook.url, used as it is
    std::chrono::milliseconds info_limit{4'000};  ///< one GET, from connecting to the last byte
    std::chrono::milliseconds decision_limit{10'000};  ///< one POST
    std::chrono::milliseconds connect_limit{1'000};    ///< resolve, TCP and TLS of either
    std::size_t decisions_in_flight = 64;              ///< beyond: resource_exhausted, at once
    std::size_t response_bytes = 1024 * 1024;
};

class WebhookClient {
  public:
    /// Both must outlive it. To be used from the HTTP client's thread.
    WebhookClient(runtime::HttpClient& http, runtime::Clock& clock, WebhookOptions options);

    /// Errors: deadline_exceeded, unavailable (no answer), invalid_argument (an answer without the
    /// facts). The text names the service's origin, never what stands behind it in the URL.
    runtime::Task<runtime::Result<ChainFacts>> info(runtime::Deadline deadline);
    /// Asks anew each time, on a new connection. Errors as above, and resource_exhausted.
    runtime::Task<runtime::Result<BootDecision>> decide(BootKind kind, BootInfo info,
                                                        runtime::Deadline deadline);

    const std::string& origin() const { return origin_; }

  private:
    runtime::HttpClientRequest request() const;
    runtime::Task<runtime::Result<BootDecision>> decide_counted(BootKind kind, BootInfo info,
                                                                runtime::Deadline deadline);

    runtime::HttpClient& http_;
    runtime::Clock& clock_;
    WebhookOptions options_;
    std::string origin_;
    std::size_t decisions_at_work_ = 0;
};

}  // namespace kms
