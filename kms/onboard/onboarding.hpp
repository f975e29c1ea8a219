/// Onboarding: how a KMS without keys gets them. Either it makes new ones (bootstrap), or it
/// fetches those of another KMS that proves itself (onboard). Whatever fails, no key is ever
/// replaced. Source: spec "kms-protocol" sections 6.10, 7.3 and 7.4.
#pragma once

#include "kms/authorize/self_authorization.hpp"
#include "kms/client/kms_client.hpp"
#include "kms/keys/bootstrap.hpp"
#include "kms/rpc/bootstrap_info.hpp"
#include "launcher/runtime/workers.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace kms {

/// What onboarding works with. All parts outlive it.
struct OnboardingParts {
    keys::KeyDirectory& directory;
    runtime::Clock& clock;
    runtime::Workers& workers;  ///< for the disk
    runtime::HttpClient& http;
    GuestAgent& agent;
    QuoteVerifier& verifier;
    KeyAuthority& authority;
    OwnEvidence& own;
    SelfAuthorization* self = nullptr;  ///< null = nobody is asked whether this KMS may bootstrap
    WebhookClient* webhook = nullptr;   ///< for GetAttestationInfo; null = nobody to ask
};

struct OnboardingOptions {
    bool quotes_enabled = true;
    bool verify_source = true;  ///< together with quotes_enabled
    std::string site_name;
    std::chrono::milliseconds source_connect_limit{5'000};
    std::chrono::milliseconds source_limit{60'000};
    std::chrono::milliseconds verification_limit{30'000};
};

/// What an operator registers before a machine may join; raw bytes.
struct MachineInfo {
    Bytes device_id, mr_aggregated, os_image_hash, ppid;
    std::string attestation_mode, site_name, eth_rpc_url, kms_contract_address;
};

/// To be used from one thread. One bootstrap or onboarding at a time; a second one is refused.
class Onboarding {
  public:
    Onboarding(OnboardingParts parts, OnboardingOptions options);

    /// Makes and stores new keys. Errors: "Failed to generate keys", "Failed to store keys", "KMS
    /// has already been bootstrapped", each with its causes.
    runtime::Task<tl::expected<BootstrapInfo, RpcError>> bootstrap(std::string domain,
                                                                   runtime::Deadline deadline);
    /// Fetches and stores the keys of another KMS; the answer is its secp256k1 public key. Errors:
    /// "Failed to onboard", "Failed to store keys", "KMS has already been onboarded".
    runtime::Task<tl::expected<crypto::K256PublicKey, RpcError>> onboard(
        std::string source_url, std::string domain, runtime::Deadline deadline);
    /// As bootstrap(), for a start without an operator: no bootstrap-info.json is written.
    runtime::Task<tl::expected<void, RpcError>> bootstrap_unattended(std::string domain,
                                                                     runtime::Deadline deadline);
    runtime::Task<tl::expected<MachineInfo, RpcError>> machine_info(runtime::Deadline deadline);
    /// Whether a complete key set is stored.
    bool has_keys() const;

  private:
    enum class InfoFile { written, omitted };
    class Turn;
    struct SourceJudge;

    tl::expected<void, RpcError> refuse_unless_empty(const char* already) const;
    runtime::Task<tl::expected<BootstrapInfo, RpcError>> bootstrap_alone(
        std::string domain, InfoFile info_file, runtime::Deadline deadline);
    runtime::Task<tl::expected<crypto::K256PublicKey, RpcError>> onboard_alone(
        std::string source_url, std::string domain, runtime::Deadline deadline);
    runtime::Task<tl::expected<KmsClientOptions, RpcError>> attested_options(
        std::string base_url, KmsClient::Validator validator,
        std::shared_ptr<std::optional<crypto::P256Point>> root_key, runtime::Deadline deadline);
    runtime::Task<tl::expected<void, RpcError>> store(std::shared_ptr<const keys::KeySet> set,
                                                      std::optional<std::string> bootstrap_info,
                                                      runtime::Deadline deadline);
    KmsClientOptions client_options(std::string base_url) const;
    static runtime::Task<tl::expected<void, RpcError>> judge_source(
        std::shared_ptr<SourceJudge> judge, std::optional<crypto::LeafCertificate> certificate,
        runtime::Deadline deadline);

    OnboardingParts parts_;
    OnboardingOptions options_;
    /// Shared with the coroutine at work, which may outlive this.
    std::shared_ptr<bool> at_work_ = std::make_shared<bool>(false);
};

}  // namespace kms
