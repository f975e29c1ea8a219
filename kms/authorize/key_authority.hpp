/// KeyAuthority: may this machine have keys? Asks the authorisation service, or answers as
/// core.auth_api.type says when there is none. Decisions are never kept. Source: spec
/// "kms-protocol" sections 10.1 and 10.3.
#pragma once

#include "kms/authorize/quote_verifier.hpp"
#include "kms/authorize/webhook_client.hpp"
#include "kms/evidence/app_info.hpp"

#include <memory>
#include <string>

namespace kms {

enum class AuthorityKind {
    webhook,        ///< every decision is asked of the authorisation service
    everybody,      ///< development: allowed, with a configured gateway
    none_refusing,  ///< nobody is asked, so nobody is allowed
    none_allowing,  ///< nobody is asked, and everybody is allowed: written out by the operator
};

class KeyAuthority {
  public:
    /// `webhook` is needed for AuthorityKind::webhook only, and must outlive it.
    KeyAuthority(AuthorityKind kind, WebhookClient* webhook, std::string gateway_app_id);

    AuthorityKind kind() const { return kind_; }
    /// Errors as WebhookClient::decide(): whoever gets one denies.
    runtime::Task<Result<BootDecision>> decide(BootKind boot, BootInfo info,
                                               runtime::Deadline deadline);

  private:
    AuthorityKind kind_;
    WebhookClient* webhook_;
    std::string gateway_app_id_;
};

/// The question about a machine, from its verified evidence. Pure.
BootInfo boot_info(const Attestation& evidence, const AppInfo& app, const VerifiedMachine& machine);

/// A machine whose evidence was verified and is bound to the key that it shows.
struct AttestedCaller {
    SharedAttestation evidence;
    VerifiedMachine machine;
};

struct BootQuestion {
    BootKind boot = BootKind::app;
    AppInfoAt at = AppInfoAt::run_time;
    std::string vm_config;  ///< of the request; may be empty
};
struct AllowedBoot {
    AppInfo app;
    std::string gateway_app_id;
};
/// May this machine have keys: evidence → boot info → decision. Errors: invalid_argument (its
/// configuration cannot be read), unauthenticated (denied: "Boot denied: <reason>"), and those of
/// decide().
runtime::Task<Result<AllowedBoot>> authorize(KeyAuthority& authority, AttestedCaller caller,
                                             BootQuestion question, runtime::Deadline deadline);

}  // namespace kms
