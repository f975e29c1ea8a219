/// Verifiers for tests: everything of a verification but the signatures.
#pragma once

#include "kms/authorize/quote_verifier.hpp"

#include <algorithm>
#include <string>

namespace test_support {

/// Accepts TDX evidence whose quote, report data and runtime events agree, made by anybody. The
/// device is that of the recorded exchanges.
class AcceptingQuoteVerifier final : public kms::QuoteVerifier {
  public:
    std::string tcb_status = "UpToDate";
    std::vector<std::string> advisory_ids;
    std::size_t asked = 0;
    bool refuses = false;  ///< everything

    runtime::Task<kms::Result<kms::VerifiedMachine>> verify(kms::SharedAttestation evidence,
                                                            std::string,
                                                            runtime::Deadline) override {
        ++asked;
        if (refuses) co_return refused("refused by the test");
        co_return judge(*evidence);
    }

  private:
    static kms::Error refused(std::string reason) {
        return {runtime::ErrorCode::unauthenticated, std::move(reason)};
    }

    kms::Result<kms::VerifiedMachine> judge(const kms::Attestation& evidence) const {
        const auto* tdx = std::get_if<kms::TdxEvidence>(&evidence.platform);
        if (tdx == nullptr) return refused("this test knows TDX only");
        TRY(const kms::TdReport report, kms::td_report_of(tdx->quote));
        constexpr std::uint8_t kDebug = 1;
        constexpr std::uint8_t kSeptVeDisable = 0x10;  // bit 28 of the attributes
        if ((report.td_attributes()[0] & kDebug) != 0)
            return refused("Failed to get collateral: Debug mode is enabled");
        if ((report.td_attributes()[3] & kSeptVeDisable) == 0)
            return refused("Failed to get collateral: SEPT_VE_DISABLE is not enabled");
        const kms::Sha384 replayed =
            kms::replay_runtime_events(evidence.runtime_events, kms::ReplayUntil::end);
        if (!std::ranges::equal(report.rtmr(3), replayed))
            return refused("RTMR3 mismatch, quoted: " + runtime::to_hex(report.rtmr(3)) +
                           ", replayed: " + runtime::to_hex(replayed));
        if (!std::ranges::equal(report.report_data(), evidence.report_data))
            return refused("tdx report_data mismatch");
        const auto device = runtime::from_hex("af61fcd5a8e0fc46ec8407719bbfde26");
        return kms::VerifiedMachine{*device, tcb_status, advisory_ids};
    }
};

class AcceptingImageCheck final : public kms::ImageCheck {
  public:
    runtime::Task<kms::Result<void>> check(kms::SharedAttestation, std::string,
                                           runtime::Deadline) override {
        co_return kms::Result<void>();
    }
};

}  // namespace test_support
