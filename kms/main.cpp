// dstack-kms: environment and verifiers → the program.
#include "kms/cli/subcommand.hpp"
#include "kms/program/program.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>

int main(int argc, char** argv) {
    try {
        const std::span words(argv, static_cast<std::size_t>(argc));
        if (const auto status = kms::cli::run_subcommand(words)) return *status;
        const kms::Verifiers verifiers{
            .quotes =
                [](const kms::VerifierContext&) {
                    return std::make_unique<kms::RefusingQuoteVerifier>();
                },
            .images =
                [](const kms::VerifierContext&) {
                    return std::make_unique<kms::RefusingImageCheck>();
                },
        };
        const kms::ProgramEnvironment environment{
            .rust_log = std::getenv("RUST_LOG"),
            .rocket_workers = std::getenv("ROCKET_WORKERS"),
            .agent_address = std::getenv("DSTACK_AGENT_ADDRESS"),
        };
        return kms::run_program(words, environment, verifiers);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "Error: %s\n", failure.what());
        return 1;
    }
}
