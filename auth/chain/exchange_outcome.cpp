#include "auth/chain/exchange_outcome.hpp"

#include <charconv>

namespace auth {
namespace {

using runtime::HttpFault;

constexpr unsigned kTooManyRequests = 429;
constexpr std::chrono::seconds kAtOnce{0};

FailureKind kind_of(const runtime::HttpExchange& exchange) {
    switch (exchange.fault) {
        case HttpFault::cannot_resolve:
        case HttpFault::bad_url:
            return FailureKind::cannot_resolve;
        case HttpFault::timed_out:
            return FailureKind::timed_out;
        case HttpFault::malformed:
        case HttpFault::too_large:
            return FailureKind::not_json_rpc;
        case HttpFault::busy:
            return FailureKind::busy;
        case HttpFault::closed:
            // Half an answer is something else than nobody there.
            return exchange.answer_began ? FailureKind::not_json_rpc : FailureKind::cannot_connect;
        case HttpFault::none:
        case HttpFault::cannot_connect:
        case HttpFault::internal:
            return FailureKind::cannot_connect;
    }
    return FailureKind::cannot_connect;
}

/// Retry-After in seconds; the form with a date is not taken.
std::optional<std::chrono::seconds> retry_after(const runtime::HttpExchange& exchange) {
    const std::string_view text = exchange.header("retry-after");
    unsigned seconds = 0;
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (text.empty() || bad != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return std::chrono::seconds(seconds);
}

/// Statuses by which servers refuse what a request says, rather than who asks or where.
bool refuses_content(unsigned status) {
    switch (status) {
        case 400:
        case 403:  // plans without batches
        case 405:
        case 406:
        case 413:
        case 415:
        case 422:
        case 501:
            return true;
        default:
            return false;
    }
}

}  // namespace

std::optional<ExchangeFault> judge(const runtime::HttpExchange& exchange) {
    if (exchange.fault != HttpFault::none) {
        ExchangeFault fault{Failure{kind_of(exchange), 0}, std::nullopt, false};
        const bool never_sent =
            exchange.fault == HttpFault::cannot_connect && !exchange.request_sent;
        // A kept connection may have been closed by the endpoint just before it was used.
        const bool stale = exchange.fault == HttpFault::closed && exchange.reused_connection;
        if (never_sent || stale) fault.retry_after = kAtOnce;
        fault.stale_connection = stale;
        return fault;
    }
    const unsigned status = exchange.status;
    if (status >= 200 && status < 300) return std::nullopt;
    if (status == kTooManyRequests)
        return ExchangeFault{Failure{FailureKind::rate_limited, 0}, retry_after(exchange), false};
    ExchangeFault fault{Failure{FailureKind::http_status, status}, std::nullopt,
                        refuses_content(status)};
    if (status == 502 || status == 503 || status == 504) fault.retry_after = kAtOnce;
    return fault;
}

}  // namespace auth
