/// AskBudget: how often one address may cause work for things that nobody asked for before. Pure;
/// time comes in as a value.
#pragma once

#include "launcher/runtime/deadline.hpp"

#include <map>
#include <string>
#include <string_view>

namespace kms {

class AskBudget {
  public:
    struct Options {
        unsigned burst = 8;                                     ///< at once
        runtime::Duration interval = std::chrono::seconds(30);  ///< one more after each
        std::size_t addresses = 4096;                           ///< remembered at a time
    };
    explicit AskBudget(Options options) : options_(options) {}

    /// Whether `network` may ask once more, and counts it. False also when so many networks ask at
    /// a time that none of them can be forgotten.
    bool take(const std::string& network, runtime::TimePoint now);
    std::size_t remembered() const { return spent_until_.size(); }

  private:
    Options options_;
    /// When all that was asked for will have been earned; what lies in the past is forgotten.
    std::map<std::string, runtime::TimePoint> spent_until_;
};

/// Whom an address counts as: itself, or the network of 64 bits that an IPv6 address is in. Text
/// that is no address counts as itself.
std::string network_of(std::string_view address);

}  // namespace kms
