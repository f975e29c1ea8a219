/// From the configuration to the options of the parts. Pure.
#pragma once

#include "kms/config/kms_config.hpp"
#include "kms/onboard/certificate_refresh.hpp"
#include "kms/onboard/onboard_service.hpp"
#include "kms/rpc/service.hpp"

namespace kms {

runtime::HttpBounds http_bounds(const BoundsConfig& bounds);
ServiceOptions service_options(const KmsConfig& config);
WebhookOptions webhook_options(const KmsConfig& config);
FactsBounds facts_bounds(const BoundsConfig& bounds);
GuestAgentOptions guest_agent_options(const KmsConfig& config, std::string address);
OnboardingOptions onboarding_options(const KmsConfig& config);
OnboardServiceOptions onboard_service_options(const KmsConfig& config);
RefreshOptions refresh_options(const KmsConfig& config);
AuthorityKind authority_kind(const KmsConfig& config);
MetaConstants meta_constants(const KmsConfig& config, const keys::KeySet& keys);

}  // namespace kms
