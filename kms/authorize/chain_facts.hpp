/// What the authorisation service says about itself and its chain; GetMeta passes it on. Values and
/// pure decisions. Source: spec "kms-protocol" sections 6.2 and 10.2.
#pragma once

#include "launcher/runtime/deadline.hpp"
#include "launcher/runtime/result.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kms {

struct ChainFacts {
    std::string gateway_app_id;
    std::string kms_contract_address;
    std::string app_implementation;
    std::uint64_t chain_id = 0;
    std::string eth_rpc_url{};  ///< empty when the service does not say

    friend bool operator==(const ChainFacts&, const ChainFacts&) = default;
};

/// Reads the body of the webhook's info answer. Errors (invalid_argument) say which member is
/// missing or wrong.
runtime::Result<ChainFacts> parse_chain_facts(std::string_view body);

/// How long GetMeta trusts what it knows, and how long it waits to know better.
struct FactsBounds {
    /// Facts of this age are passed on without asking anybody.
    std::chrono::milliseconds fresh{200};
    /// Facts of this age, from a service that answers, are passed on while a new exchange runs in
    /// the background.
    std::chrono::milliseconds settled{1'000};
    /// Beyond that a call waits for the exchange, until the exchange has taken this long.
    std::chrono::milliseconds wait{40};
    /// And this much for one that is overdue, so that the first call after a stopped service woke
    /// up sees its answer.
    std::chrono::milliseconds overdue_wait{5};
    /// An exchange that takes this long is announced as an outage before it fails.
    std::chrono::milliseconds overdue_notice{500};
    /// After a failed exchange the next one starts this much later at the earliest.
    std::chrono::milliseconds retry{20};
};

/// What is known about the last successful exchange, the one before now, and the one at work.
struct FactsState {
    std::optional<runtime::TimePoint>
        known_since;  ///< when the facts at hand were asked for; none = no facts yet
    std::optional<runtime::TimePoint>
        exchange_since;  ///< when the exchange at work started; none = no exchange
    std::optional<runtime::TimePoint>
        failed_at;  ///< when the last finished exchange failed; none = it did not
};

/// What one call has to do: start an exchange or not, and wait for the one at work until
/// `wait_until` (now = not at all).
struct FactsPlan {
    bool start_exchange = false;
    runtime::TimePoint wait_until;
};
FactsPlan plan_facts(const FactsState& state, runtime::TimePoint now, const FactsBounds& bounds);

}  // namespace kms
