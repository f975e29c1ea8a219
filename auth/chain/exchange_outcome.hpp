/// What one HTTP exchange with a chain endpoint came to, and whether it may be tried once more.
/// Pure. Source: spec "auth-api" section 5.3, points 4 and 5.
#pragma once

#include "auth/policy/decision.hpp"
#include "launcher/runtime/http_client.hpp"

#include <chrono>
#include <optional>

namespace auth {

/// Why an exchange gave nothing that could be read.
struct ExchangeFault {
    Failure failure;
    /// One more try may succeed where this one did not, after this pause.
    std::optional<std::chrono::seconds> retry_after;
    /// The endpoint refused the request as such: a batch may be what it does not take.
    bool refused_request = false;
    /// The kept connection was closed already; others may have ended with it.
    bool stale_connection = false;
};

/// Nothing: there is a body to read.
std::optional<ExchangeFault> judge(const runtime::HttpExchange& exchange);

}  // namespace auth
