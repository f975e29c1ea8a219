#include "kms/authorize/key_authority.hpp"

#include <utility>

namespace kms {

using runtime::Deadline;
using runtime::Task;

KeyAuthority::KeyAuthority(AuthorityKind kind, WebhookClient* webhook, std::string gateway_app_id)
    : kind_(kind), webhook_(webhook), gateway_app_id_(std::move(gateway_app_id)) {}

Task<Result<BootDecision>> KeyAuthority::decide(BootKind boot, BootInfo info, Deadline deadline) {
    switch (kind_) {
        case AuthorityKind::webhook:
            break;
        case AuthorityKind::everybody:
        case AuthorityKind::none_allowing:
            co_return BootDecision{true, gateway_app_id_, {}};
        case AuthorityKind::none_refusing:
            co_return Error{ErrorCode::unauthenticated,
                            "no authorisation service is asked (core.auth_api.type = \"none\"), so "
                            "no key is released"};
    }
    if (webhook_ == nullptr)
        co_return Error{ErrorCode::internal, "there is no client for the authorisation service"};
    co_return co_await webhook_->decide(boot, std::move(info), deadline);
}

BootInfo boot_info(const Attestation& evidence, const AppInfo& app,
                   const VerifiedMachine& machine) {
    const auto bytes = [](const crypto::Hash& hash) { return Bytes(hash.begin(), hash.end()); };
    BootInfo info;
    info.attestation_mode = attestation_mode(evidence.platform);
    info.mr_aggregated = bytes(app.mr_aggregated);
    info.os_image_hash = app.os_image_hash;
    info.mr_system = bytes(app.mr_system);
    info.app_id = app.app_id;
    info.compose_hash = app.compose_hash;
    info.instance_id = app.instance_id;
    info.device_id = bytes(app.device_id);
    info.key_provider_info = app.key_provider_info;
    info.tcb_status = machine.tcb_status;
    info.advisory_ids = machine.advisory_ids;
    return info;
}

Task<Result<AllowedBoot>> authorize(KeyAuthority& authority, AttestedCaller caller,
                                    BootQuestion question, Deadline deadline) {
    CO_TRY(AppInfo app, decode_app_info(*caller.evidence, question.at, caller.machine.device,
                                        question.vm_config));
    auto decision = co_await authority.decide(
        question.boot, boot_info(*caller.evidence, app, caller.machine), deadline);
    if (!decision) co_return std::move(decision.error());
    if (!decision->allowed)
        co_return Error{ErrorCode::unauthenticated, "Boot denied: " + decision->reason};
    co_return AllowedBoot{std::move(app), std::move(decision->gateway_app_id)};
}

}  // namespace kms
