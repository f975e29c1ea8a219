// dstack-kms: environment and verifiers → the program.
#include "kms/attest/dcap_verifier.hpp"
#include "kms/attest/held_collateral.hpp"
#include "kms/attest/trust.hpp"
#include "kms/cli/guest_client.hpp"
#include "kms/cli/subcommand.hpp"
#include "kms/program/program.hpp"
#include "launcher/runtime/plain_http_client.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>

namespace {

#ifdef KMS_EXTERNAL_TRUST_ANCHORS
constexpr kms::ExternalAnchors kExternal = kms::ExternalAnchors::allowed;
#else
constexpr kms::ExternalAnchors kExternal = kms::ExternalAnchors::refused;
#endif

/// The configuration's, else the environment's, else Intel's service.
std::string collateral_url(const kms::KmsConfig& config) {
    if (config.attestation.pccs_url) return *config.attestation.pccs_url;
    if (config.pccs_url) return *config.pccs_url;
    const char* environment = std::getenv("PCCS_URL");
    return environment != nullptr && *environment != '\0' ? environment
                                                          : std::string(kms::kIntelPcs);
}

std::unique_ptr<kms::QuoteVerifier> quote_verifier(const kms::VerifierContext& context) {
    auto anchor = kms::trust_anchor(context.config.attestation, kExternal);
    if (!anchor) throw std::runtime_error(anchor.error().context);
    kms::HeldCollateralOptions options;
    options.fetch_limit = context.config.bounds.verification;
    options.server = {kms::collateral_base_url(collateral_url(context.config)),
                      context.config.attestation.pccs_ca_file};
    const std::string directory =
        context.config.attestation.collateral_dir.value_or(context.config.cert_dir + "/collateral");
    std::shared_ptr<kms::CollateralDirectory> stored;
    if (!directory.empty())
        stored = std::make_shared<kms::CollateralDirectory>(
            std::make_unique<runtime::PosixFileSystem>(), directory, options.server.base_url);
    auto http = std::make_unique<runtime::PlainHttpClient>(
        context.executor, context.clock,
        runtime::CurlHttpClient::Options{
            .max_in_flight = options.fetches, .kept_connections = 2, .user_agent = {}});
    return std::make_unique<kms::DcapVerifier>(
        context.clock, context.workers,
        std::make_unique<kms::HeldCollateral>(context.executor, context.clock, context.workers,
                                              std::move(http), std::move(*anchor),
                                              std::move(options), std::move(stored)));
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const std::span words(argv, static_cast<std::size_t>(argc));
        const char* agent_address = std::getenv("DSTACK_AGENT_ADDRESS");
        if (const auto status = kms::cli::run_subcommand(words)) return *status;
        if (const auto status = kms::cli::run_guest_client(words, agent_address)) return *status;
        const kms::Verifiers verifiers{
            .quotes = quote_verifier,
            .images =
                [](const kms::VerifierContext&) {
                    return std::make_unique<kms::RefusingImageCheck>();
                },
        };
        const kms::ProgramEnvironment environment{
            .check_trust = [](const kms::KmsConfig& config) -> kms::Result<void> {
                TRY_VOID(kms::trust_anchor(config.attestation, kExternal));
                return {};
            },
            .rust_log = std::getenv("RUST_LOG"),
            .rocket_workers = std::getenv("ROCKET_WORKERS"),
            .agent_address = agent_address,
        };
        return kms::run_program(words, environment, verifiers);
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "Error: %s\n", failure.what());
        return 1;
    }
}
