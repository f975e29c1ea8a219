/// What operators read of a chain: exchanges as lines, a check as a table with advice. Pure.
#pragma once

#include "auth/chain/chain_endpoint.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace auth {

/// One line of a check.
struct CheckStep {
    std::string what;    ///< "chain id"
    std::string answer;  ///< "31337", or the category of the failure
    std::optional<std::chrono::microseconds> took;
    bool good = true;
    std::string advice;  ///< what to do; also on good steps that deserve a look; may be empty
};
struct EndpointCheck {
    std::string label;  ///< scheme, host and port
    std::vector<CheckStep> steps;

    bool good() const;
};

/// A table, one line per step, then the advice.
std::string to_table(const std::vector<EndpointCheck>& checks);
/// One exchange, its calls and what they came to, indented lines with LF. Texts of the endpoint are
/// quoted and shortened; `secrets` are left out of them.
std::string to_text(const ExchangeSeen& seen, const std::vector<std::string>& secrets);

/// What an operator can do about a failure, as one sentence.
std::string advice_for(const Failure& failure);
/// "0.412 ms", "1.250 s".
std::string span_text(std::chrono::microseconds span);

}  // namespace auth
