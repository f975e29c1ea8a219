/// The life of the service: keys (loaded, made, fetched or asked for on the onboarding listener) →
/// certificates → main listener → until a signal. Source: spec "kms-protocol" section 7.2.
#pragma once

#include "kms/program/program.hpp"

#include <cstddef>
#include <string>

namespace kms {

struct LifeOptions {
    std::string agent_address;  ///< of the guest agent
    std::size_t workers = 2;    ///< threads for computing
};

/// Blocks until a signal (then the result is empty), or until the program cannot go on.
Result<void> serve_until_signal(const KmsConfig& config, const LifeOptions& options,
                                const Verifiers& verifiers);

}  // namespace kms
