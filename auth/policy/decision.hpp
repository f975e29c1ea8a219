/// What the webhook answers: decisions, facts about the authority, and failures, each with its JSON
/// text.
///
/// A refusal is not a failure: Answer<Decision> keeps "no" and "could not ask" apart until the
/// edge, where both become "not allowed". Source: spec "auth-api" sections 1.1, 1.3, 1.4, 3.1, 3.3
/// and 5.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

namespace auth {

/// The answer to a BootRequest. A default-constructed one is "not allowed".
struct Decision {
    bool is_allowed = false;
    std::string reason;          ///< why not; for people. Empty when allowed by a stock contract.
    std::string gateway_app_id;  ///< goes to the guest unchanged

    friend bool operator==(const Decision&, const Decision&) = default;
};

/// Facts about the authority, for GET /.
struct Info {
    std::string kms_contract_addr;           ///< as configured
    std::optional<std::string> eth_rpc_url;  ///< scheme, host and port only; absent without a chain
    std::string gateway_app_id;
    std::uint64_t chain_id = 0;
    std::string app_implementation;
    std::optional<std::string> note;  ///< a warning that callers can see
};

/// Why the authority could not be asked. The list is closed: it labels metrics and is shown to
/// guests.
enum class FailureKind {
    cannot_resolve,
    cannot_connect,
    timed_out,
    rate_limited,
    http_status,  ///< Failure::code is the status
    not_json_rpc,
    rpc_error,  ///< Failure::code is the code of the JSON-RPC error
    reverted,
    no_contract,
    undecodable,
    wrong_chain,
    state_not_available,
    busy,  ///< a bound of ours was reached
};
inline constexpr std::size_t kFailureKinds = 13;

struct Failure {
    FailureKind kind = FailureKind::timed_out;
    std::int64_t code = 0;

    friend bool operator==(const Failure&, const Failure&) = default;
};

/// A T, or why there is none.
template <class T>
using Answer = tl::expected<T, Failure>;

/// The category as callers see it: "timed out", "HTTP 503", "RPC error -32000".
std::string to_string(const Failure& failure);
/// The category as a metric label: "timed_out", "http_status".
std::string_view metric_label(FailureKind kind);

// Bodies, members in the order of the specification.
std::string to_json(const Decision& decision);
std::string to_json(const Info& info);
/// Not allowed, because the authority could not be asked.
std::string unavailable_decision_json(const Failure& failure);
/// The answer to GET / when the authority could not be asked.
std::string unavailable_info_json(const Failure& failure);
/// Not allowed, because the request was wrong; `detail` says how.
std::string invalid_request_json(std::string_view detail);
/// `target` as sent by the client; bytes beyond ASCII are read as Latin-1, as Node does.
std::string not_found_json(std::string_view method, std::string_view target);

}  // namespace auth
