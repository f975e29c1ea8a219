#include "kms/authorize/self_authorization.hpp"

#include <algorithm>

namespace kms {

using runtime::Deadline;
using runtime::Task;

Task<Result<AttestedCaller>> OwnEvidence::get(Deadline deadline) {
    if (kept_) co_return *kept_;
    constexpr std::array<std::uint8_t, 64> kNothing{};
    CO_TRY(const Bytes bytes, co_await agent_.attest(kNothing, deadline));
    CO_TRY(Attestation decoded, decode_attestation(bytes).within("Invalid attestation"));
    if (!std::ranges::equal(decoded.report_data, kNothing))
        co_return Error{ErrorCode::invalid_argument,
                        "the guest agent's attestation answers another question: its report data "
                        "is not the one that was asked for"};
    AttestedCaller own{std::make_shared<const Attestation>(std::move(decoded)), {}};
    CO_TRY(own.machine, co_await verifier_.verify(own.evidence, {}, deadline));
    kept_ = own;
    co_return own;
}

Task<Result<void>> SelfAuthorization::check(Deadline deadline) {
    CO_TRY(const AttestedCaller own, co_await evidence_.get(deadline));
    CO_TRY(const AppInfo app,
           decode_app_info(*own.evidence, AppInfoAt::run_time, own.machine.device, {}));
    CO_TRY(const BootDecision decision,
           co_await authority_.decide(BootKind::kms, boot_info(*own.evidence, app, own.machine),
                                      deadline));
    if (!decision.allowed)
        co_return Error{ErrorCode::unauthenticated, "KMS is not allowed: " + decision.reason};
    co_return Result<void>();
}

}  // namespace kms
