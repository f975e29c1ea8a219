#include "kms/onboard/onboarding.hpp"

#include "kms/keys/profiles.hpp"
#include "kms/onboard/key_evidence.hpp"
#include "kms/onboard/source_answers.hpp"
#include "kms/rpc/attested_peer.hpp"
#include "kms/rpc/json_writer.hpp"
#include "launcher/runtime/log.hpp"
#include "launcher/runtime/secret.hpp"

#include <algorithm>

namespace kms {

using runtime::Deadline;
using runtime::kv;
using runtime::Task;
using tl::make_unexpected;

namespace {

constexpr std::string_view kLogTarget = "kms::onboard";
constexpr const char* kCannotOnboard = "Failed to onboard";
constexpr const char* kCannotGenerate = "Failed to generate keys";
constexpr const char* kCannotStore = "Failed to store keys";

std::string as_string(ByteView bytes) {
    return std::string(runtime::as_text(bytes));
}

std::string bootstrap_json(const BootstrapInfo& info) {
    std::string text;
    JsonObject(text)
        .bytes("ca_pubkey", info.ca_pubkey)
        .bytes("k256_pubkey", info.k256_pubkey)
        .bytes("attestation", info.attestation)
        .finish();
    return text;
}

/// The client certificate with which this machine asks for keys.
Result<std::string> client_certificate(const TempCa& ca, const crypto::P256Key& key,
                                       crypto::AttestationExtension evidence,
                                       runtime::WallTime now) {
    return crypto::issue_certificate(keys::ra_tls_profile(key.public_point(), std::move(evidence)),
                                     {ca.subject_name, ca.key}, now);
}

}  // namespace

/// Marks that a bootstrap or onboarding is at work, however its coroutine ends.
class Onboarding::Turn {
  public:
    explicit Turn(std::shared_ptr<bool> at_work) : at_work_(std::move(at_work)), mine_(!*at_work_) {
        *at_work_ = true;
    }
    ~Turn() {
        if (mine_) *at_work_ = false;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    bool is_mine() const { return mine_; }

  private:
    std::shared_ptr<bool> at_work_;
    bool mine_;
};

/// What is known about the KMS that keys are fetched from, over several connections.
struct Onboarding::SourceJudge {
    OnboardingParts parts;
    std::chrono::milliseconds verification_limit;
    std::optional<Bytes> accepted_key;  ///< SubjectPublicKeyInfo of a source that was found good
};

Onboarding::Onboarding(OnboardingParts parts, OnboardingOptions options)
    : parts_(parts), options_(std::move(options)) {}

tl::expected<void, RpcError> Onboarding::refuse_unless_empty(const char* already) const {
    const auto report = parts_.directory.inspect();
    if (!report) return make_unexpected(RpcError(report.error().context));
    switch (report->state) {
        case keys::DirectoryState::empty:
            return {};
        case keys::DirectoryState::partial:
            return make_unexpected(RpcError(report->problem));
        case keys::DirectoryState::complete:
        case keys::DirectoryState::interrupted:
            break;
    }
    return make_unexpected(RpcError(already));
}

Task<tl::expected<BootstrapInfo, RpcError>> Onboarding::bootstrap(std::string domain,
                                                                  Deadline deadline) {
    const Turn turn(at_work_);
    if (!turn.is_mine())
        co_return make_unexpected(RpcError("another bootstrap or onboarding is under way"));
    if (auto empty = refuse_unless_empty("KMS has already been bootstrapped"); !empty)
        co_return make_unexpected(std::move(empty.error()));
    co_return co_await bootstrap_alone(std::move(domain), InfoFile::written, deadline);
}

Task<tl::expected<void, RpcError>> Onboarding::bootstrap_unattended(std::string domain,
                                                                    Deadline deadline) {
    const Turn turn(at_work_);
    auto made = co_await bootstrap_alone(std::move(domain), InfoFile::omitted, deadline);
    if (!made) co_return make_unexpected(std::move(made.error()));
    co_return tl::expected<void, RpcError>();
}

bool Onboarding::has_keys() const {
    const auto report = parts_.directory.inspect();
    return report && report->state == keys::DirectoryState::complete;
}

Task<tl::expected<BootstrapInfo, RpcError>> Onboarding::bootstrap_alone(std::string domain,
                                                                        InfoFile info_file,
                                                                        Deadline deadline) {
    const auto failed = [](const Error& error) {
        return make_unexpected(rpc_error(error).within(kCannotGenerate));
    };
    if (auto good = keys::check_domain(domain); !good) co_return failed(good.error());
    if (parts_.self != nullptr)
        if (auto allowed = co_await parts_.self->check(deadline); !allowed)
            co_return make_unexpected(
                rpc_error(allowed.error()).within("KMS is not allowed to bootstrap"));

    auto made = keys::NewKeys::generate();
    if (!made) co_return failed(made.error());
    crypto::AttestationExtension extension;
    BootstrapInfo info;
    info.ca_pubkey = as_string(crypto::spki_der(made->root.ca_public_key()));
    info.k256_pubkey = as_string(made->root.k256_public_key());
    if (options_.quotes_enabled) {
        auto evidence =
            co_await certificate_evidence(parts_.agent, made->rpc_key.public_point(), deadline);
        if (!evidence) co_return failed(evidence.error());
        extension = std::move(*evidence);
    }
    if (options_.quotes_enabled && info_file == InfoFile::written) {
        auto statement = co_await bootstrap_evidence(parts_.agent, made->root.ca_public_key(),
                                                     made->root.k256_public_key(), deadline);
        if (!statement) co_return failed(statement.error());
        info.attestation = as_string(*statement);
    }
    auto set =
        keys::make_key_set(std::move(*made), domain, std::move(extension), parts_.clock.wall_now());
    if (!set) co_return failed(set.error());
    std::optional<std::string> file;
    if (info_file == InfoFile::written) file = bootstrap_json(info);
    auto stored = co_await store(std::make_shared<const keys::KeySet>(std::move(*set)),
                                 std::move(file), deadline);
    if (!stored) co_return make_unexpected(std::move(stored.error()));
    runtime::log_info(kLogTarget, "new keys made",
                      {kv("directory", parts_.directory.path()), kv("domain", domain),
                       kv("attested", options_.quotes_enabled)});
    co_return info;
}

/// On a worker, because it waits for the disk. A store that has begun ends even when nobody waits
/// for it any more; what it leaves behind is a whole set or none.
Task<tl::expected<void, RpcError>> Onboarding::store(std::shared_ptr<const keys::KeySet> set,
                                                     std::optional<std::string> bootstrap_info,
                                                     Deadline deadline) {
    // A named value: GCC 12 destroys a temporary closure inside of co_await twice.
    auto work = [set, info = std::move(bootstrap_info), &directory = parts_.directory] {
        return directory.store(keys::to_files(*set, info));
    };
    auto stored = co_await parts_.workers.run(parts_.clock, deadline, std::move(work));
    if (!stored) co_return make_unexpected(rpc_error(stored.error()).within(kCannotStore));
    co_return tl::expected<void, RpcError>();
}

KmsClientOptions Onboarding::client_options(std::string base_url) const {
    KmsClientOptions options;
    options.base_url = std::move(base_url);
    // A KMS is known by its evidence: its root is what is being fetched, and its name may be an
    // address that its certificate does not hold.
    options.trust.check_chain = false;
    options.trust.check_name = false;
    options.connect_limit = options_.source_connect_limit;
    options.limit = options_.source_limit;
    return options;
}

Task<tl::expected<void, RpcError>> Onboarding::judge_source(
    std::shared_ptr<SourceJudge> judge, std::optional<crypto::LeafCertificate> certificate,
    Deadline deadline) {
    if (!certificate)
        co_return make_unexpected(RpcError("Source KMS did not present a TLS certificate"));
    Bytes spki(certificate->spki().begin(), certificate->spki().end());
    if (judge->accepted_key == spki) co_return tl::expected<void, RpcError>();
    auto evidence = evidence_of(*certificate);
    if (!evidence) co_return make_unexpected(std::move(evidence.error()));
    if (*evidence == nullptr)
        co_return make_unexpected(RpcError("Source KMS certificate does not contain attestation"));
    auto source = co_await verify_evidence(
        std::move(*evidence), spki, judge->parts.verifier, {},
        deadline.narrowed(judge->parts.clock.now(), judge->verification_limit));
    if (!source) co_return make_unexpected(std::move(source.error()));

    constexpr const char* kNotAllowed = "Source KMS is not allowed for onboarding";
    auto app = decode_app_info(*source->evidence, AppInfoAt::run_time, source->machine.device, {});
    if (!app) co_return make_unexpected(rpc_error(app.error()).within(kNotAllowed));
    if (app->os_image_hash.empty()) {
        // A certificate of the older form does not say which image it was; all KMS nodes run the
        // same one.
        auto own = co_await judge->parts.own.get(deadline);
        if (!own) co_return make_unexpected(rpc_error(own.error()).within(kNotAllowed));
        auto own_app =
            decode_app_info(*own->evidence, AppInfoAt::run_time, own->machine.device, {});
        if (!own_app) co_return make_unexpected(rpc_error(own_app.error()).within(kNotAllowed));
        app->os_image_hash = std::move(own_app->os_image_hash);
    }
    auto decision = co_await judge->parts.authority.decide(
        BootKind::kms, boot_info(*source->evidence, *app, source->machine), deadline);
    if (!decision) co_return make_unexpected(rpc_error(decision.error()).within(kNotAllowed));
    if (!decision->allowed)
        co_return make_unexpected(RpcError(kNotAllowed, {"Boot denied: " + decision->reason}));
    judge->accepted_key = std::move(spki);
    co_return tl::expected<void, RpcError>();
}

/// Those of a client that presents evidence of this machine, in a certificate of the source's temp
/// CA.
Task<tl::expected<KmsClientOptions, RpcError>> Onboarding::attested_options(
    std::string base_url, KmsClient::Validator validator,
    std::shared_ptr<std::optional<crypto::P256Point>> root_key, Deadline deadline) {
    const auto failed = [](const Error& error) { return make_unexpected(rpc_error(error)); };
    KmsClient unattested(parts_.http, parts_.clock, client_options(base_url), validator);
    auto answer = co_await unattested.call("GetTempCaCert", "null", deadline);
    if (!answer) co_return make_unexpected(std::move(answer.error()));
    const auto ca = parse_temp_ca(*answer);
    runtime::wipe(*answer);
    if (!ca) co_return failed(ca.error());
    *root_key = ca->root_public_key;

    const auto key = crypto::P256Key::generate();
    if (!key) co_return failed(key.error());
    auto evidence = co_await certificate_evidence(parts_.agent, key->public_point(), deadline);
    if (!evidence) co_return failed(evidence.error());
    auto certificate = client_certificate(*ca, *key, std::move(*evidence), parts_.clock.wall_now());
    if (!certificate) co_return failed(certificate.error());
    KmsClientOptions options = client_options(std::move(base_url));
    options.client_certificate_pem = std::move(*certificate);
    options.client_key_pem = std::string(key->pkcs8_pem().text());
    co_return options;
}

Task<tl::expected<crypto::K256PublicKey, RpcError>> Onboarding::onboard(std::string source_url,
                                                                        std::string domain,
                                                                        Deadline deadline) {
    const Turn turn(at_work_);
    if (!turn.is_mine())
        co_return make_unexpected(RpcError("another bootstrap or onboarding is under way"));
    if (auto empty = refuse_unless_empty("KMS has already been onboarded"); !empty)
        co_return make_unexpected(std::move(empty.error()));
    if (auto good = keys::check_domain(domain); !good)
        co_return make_unexpected(rpc_error(good.error()).within(kCannotOnboard));
    co_return co_await onboard_alone(std::move(source_url), std::move(domain), deadline);
}

Task<tl::expected<crypto::K256PublicKey, RpcError>> Onboarding::onboard_alone(
    std::string source_url, std::string domain, Deadline deadline) {
    const auto failed = [](RpcError error) {
        return make_unexpected(std::move(error).within(kCannotOnboard));
    };
    const std::string base_url = prpc_url(source_url);
    KmsClient::Validator validator;
    if (options_.quotes_enabled && options_.verify_source) {
        auto judge = std::make_shared<SourceJudge>(
            SourceJudge{parts_, options_.verification_limit, std::nullopt});
        validator = [judge](std::optional<crypto::LeafCertificate> certificate, Deadline limit) {
            return judge_source(judge, std::move(certificate), limit);
        };
    }
    const auto root_key = std::make_shared<std::optional<crypto::P256Point>>();
    tl::expected<KmsClientOptions, RpcError> options(client_options(base_url));
    if (options_.quotes_enabled) {
        options = co_await attested_options(base_url, validator, root_key, deadline);
        if (!options) co_return failed(std::move(options.error()));
    }
    KmsClient client(parts_.http, parts_.clock, std::move(*options), validator);
    auto vm_config = co_await parts_.agent.vm_config(deadline);
    if (!vm_config) co_return failed(rpc_error(vm_config.error()).within("Failed to get info"));
    std::string arguments;
    JsonObject(arguments).text("vm_config", *vm_config).finish();
    auto answer = co_await client.call("GetKmsKey", std::move(arguments), deadline);
    if (!answer) co_return failed(std::move(answer.error()));
    auto fetched = parse_source_keys(*answer);
    runtime::wipe(*answer);
    if (!fetched) co_return failed(rpc_error(fetched.error()));
    if (root_key->has_value() && **root_key != fetched->ca_key.public_point())
        co_return failed(
            RpcError("the keys of the source do not belong to the root certificate that it shows"));

    auto rpc_key = crypto::P256Key::generate();
    if (!rpc_key) co_return failed(rpc_error(rpc_key.error()));
    crypto::AttestationExtension extension;
    if (options_.quotes_enabled) {
        auto evidence =
            co_await certificate_evidence(parts_.agent, rpc_key->public_point(), deadline);
        if (!evidence) co_return failed(rpc_error(evidence.error()));
        extension = std::move(*evidence);
    }
    keys::NewKeys new_keys{keys::RootKeys(std::move(fetched->ca_key), std::move(fetched->k256_key)),
                           std::move(fetched->temp_ca_key), std::move(*rpc_key)};
    const crypto::K256PublicKey public_key = new_keys.root.k256_public_key();
    auto set = keys::make_key_set(std::move(new_keys), domain, std::move(extension),
                                  parts_.clock.wall_now());
    if (!set) co_return failed(rpc_error(set.error()));
    auto stored = co_await store(std::make_shared<const keys::KeySet>(std::move(*set)),
                                 std::nullopt, deadline);
    if (!stored) co_return make_unexpected(std::move(stored.error()));
    runtime::log_info(
        kLogTarget, "keys fetched from another KMS",
        {kv("source", runtime::url_origin(source_url)), kv("directory", parts_.directory.path()),
         kv("domain", domain), kv("source_verified", validator != nullptr)});
    co_return public_key;
}

Task<tl::expected<MachineInfo, RpcError>> Onboarding::machine_info(Deadline deadline) {
    const auto failed = [](const Error& error) { return make_unexpected(rpc_error(error)); };
    auto own = co_await parts_.own.get(deadline);
    if (!own) co_return failed(own.error());
    auto vm_config = co_await parts_.agent.vm_config(deadline);
    if (!vm_config) co_return failed(vm_config.error());
    auto app =
        decode_app_info(*own->evidence, AppInfoAt::run_time, own->machine.device, *vm_config);
    if (!app) co_return failed(app.error());
    MachineInfo info;
    info.device_id.assign(app->device_id.begin(), app->device_id.end());
    info.mr_aggregated.assign(app->mr_aggregated.begin(), app->mr_aggregated.end());
    info.os_image_hash = std::move(app->os_image_hash);
    info.ppid = own->machine.device;
    info.attestation_mode = attestation_mode(own->evidence->platform);
    info.site_name = options_.site_name;
    if (parts_.webhook != nullptr)
        if (const auto facts = co_await parts_.webhook->info(deadline); facts) {
            info.eth_rpc_url = facts->eth_rpc_url;
            info.kms_contract_address = facts->kms_contract_address;
        }
    co_return info;
}

}  // namespace kms
