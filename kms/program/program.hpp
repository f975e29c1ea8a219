/// The program dstack-kms, apart from its verifiers: main() gives those, so that a test can give
/// others.
#pragma once

#include "kms/authorize/quote_verifier.hpp"
#include "kms/config/kms_config.hpp"
#include "launcher/runtime/workers.hpp"

#include <functional>
#include <memory>
#include <span>

#include <boost/asio/any_io_executor.hpp>

namespace kms {

/// What a verifier may stand on; all of it outlives the verifier.
struct VerifierContext {
    boost::asio::any_io_executor executor;
    runtime::Clock& clock;
    runtime::Workers& workers;
    const KmsConfig& config;
};

struct Verifiers {
    std::function<std::unique_ptr<QuoteVerifier>(const VerifierContext&)> quotes;
    std::function<std::unique_ptr<ImageCheck>(const VerifierContext&)> images;
};

/// Texts of environment variables; null when they are not set.
struct ProgramEnvironment {
    const char* rust_log = nullptr;
    const char* rocket_workers = nullptr;
    const char* agent_address = nullptr;  ///< DSTACK_AGENT_ADDRESS
};

/// Runs to the end of the process: 0, 1 for a failure (its sentence is on stderr), 2 for a command
/// line that cannot be understood.
int run_program(std::span<char*> words, const ProgramEnvironment& environment,
                const Verifiers& verifiers);

}  // namespace kms
