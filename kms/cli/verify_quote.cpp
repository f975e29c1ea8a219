// dstack-kms verify-quote: is this quote genuine, and what does it say?
#include "kms/cli/input.hpp"
#include "kms/cli/subcommand.hpp"

namespace kms::cli {
namespace {

constexpr std::string_view kHelp =
    R"(Usage: dstack-kms verify-quote FILE (--collateral FILE | --pccs URL) [--root FILE] [--at UNIX_SECONDS] [--json]

Verifies a quote (binary, or hex) and says what it holds, what state its platform is in, and which check refused it.

      --collateral FILE    Intel's statements as JSON (the members of QuoteCollateralV3, binary ones in hex)
      --pccs URL           fetch them from this PCCS, or from Intel's PCS
                           (https://api.trustedservices.intel.com); proxy variables are obeyed
      --pccs-ca-file FILE  trust these roots (PEM) for its TLS certificate instead of the system's
      --collateral-out FILE  write what was fetched, for --collateral
      --root FILE          trust this certificate (DER or PEM) instead of Intel's root
      --at UNIX_SECONDS    verify as of that time instead of now
      --json               one JSON object instead of text

Exit status: 0 accepted, 1 refused, 2 something that was given cannot be read.
)";

/// All of it: the quote itself, then what dstack asks of its body.
Verdict<QuoteReport> verdict_of(const Input& input) {
    auto verdict = kms::verify_quote(input.content, *input.collateral, input.anchor, input.at);
    if (!verdict) return verdict;
    const auto quote = parse_quote(input.content);
    if (auto policy = check_dstack_policy(*quote); !policy)
        return tl::unexpected(std::move(policy.error()));
    return verdict;
}

}  // namespace

int verify_quote(std::span<char*> words) {
    constexpr std::string_view kName = "verify-quote";
    auto input = read_input(words);
    if (!input) return fail(kName, input.error());
    if (input->help) {
        print(kHelp);
        return 0;
    }
    if (auto fetched = fetch_collateral_of(*input, input->content); !fetched)
        return fail(kName, fetched.error());
    if (!input->collateral)
        return fail(kName,
                    {ErrorCode::invalid_argument,
                     "without collateral nothing can be said: give --collateral FILE or --pccs URL "
                     "(inspect-attestation shows a quote without judging it)"});
    Report report;
    const auto verdict = verdict_of(*input);
    report_verdict(report, verdict, true);
    report.number("at", input->at);
    if (const auto quote = parse_quote(input->content)) report_quote(report, *quote);
    print(std::move(report).take(input->as_json));
    return verdict ? 0 : 1;
}

}  // namespace kms::cli
