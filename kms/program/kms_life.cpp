#include "kms/program/kms_life.hpp"

#include "kms/keys/bootstrap.hpp"
#include "kms/keys/refresh.hpp"
#include "kms/program/part_options.hpp"
#include "launcher/runtime/lifecycle.hpp"
#include "launcher/runtime/log.hpp"
#include "launcher/runtime/plain_http_client.hpp"
#include "launcher/runtime/secret.hpp"

#include <memory>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kms {
namespace {

namespace asio = boost::asio;
using keys::DirectoryState;
using runtime::Deadline;
using runtime::kv;
using runtime::Task;

constexpr std::string_view kLogTarget = "kms";
constexpr std::size_t kLargestPemFile = 1024 * 1024;
constexpr std::size_t kQueuedWork = 64;
constexpr std::size_t kOutwardExchanges = 32;
constexpr std::size_t kOtherDescriptors = 256;  ///< beside those of client connections

/// Something that happens once, and that one coroutine waits for.
class Event {
  public:
    explicit Event(asio::io_context& io) : timer_(io, asio::steady_timer::time_point::max()) {}
    void happen() {
        happened_ = true;
        timer_.cancel();
    }
    Task<void> wait() {
        while (!happened_) co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    }

  private:
    asio::steady_timer timer_;
    bool happened_ = false;
};

/// The authorisation service's client and what was last heard from it; only made when there is
/// somebody to ask.
struct Authorisation {
    Authorisation(asio::io_context& io, runtime::Clock& clock, const KmsConfig& config)
        : http(io.get_executor(), clock,
               {.max_in_flight = config.bounds.webhook_decisions + 1,
                .kept_connections = 1,
                .user_agent = {}}),
          webhook(http, clock, webhook_options(config)),
          facts(io.get_executor(), clock, facts_bounds(config.bounds), webhook.origin(),
                [this, &clock, limit = config.bounds.webhook_info] {
                    return webhook.info(Deadline::after(clock.now(), limit));
                }) {}

    runtime::PlainHttpClient http;
    WebhookClient webhook;
    FactsSource facts;
};

Result<std::shared_ptr<const runtime::TlsServerContext>> load_tls(const TlsConfig& config,
                                                                  const BoundsConfig& bounds) {
    runtime::TlsServerOptions options;
    TRY(options.certificate_pem, runtime::read_file(config.certs, kLargestPemFile));
    TRY(options.client_ca_pem, runtime::read_file(config.mutual_ca_certs, kLargestPemFile));
    TRY(std::string key, runtime::read_file(config.key, kLargestPemFile));
    options.key_pem = key;
    options.client_certificate_required = config.mutual_mandatory;
    options.http2 = true;
    options.session_lifetime = std::chrono::duration_cast<std::chrono::seconds>(bounds.tls_session);
    options.sessions = static_cast<long>(bounds.tls_sessions);
    auto context = runtime::TlsServerContext::create(options);
    runtime::wipe(key);
    if (!context)
        return std::move(context.error())
            .within("rpc.tls: cannot serve with '" + config.certs + "' and '" + config.key + "'");
    return std::make_shared<const runtime::TlsServerContext>(std::move(*context));
}

class KmsLife {
  public:
    KmsLife(asio::io_context& io, runtime::Clock& clock, const KmsConfig& config,
            const LifeOptions& options, const Verifiers& verifiers)
        : io_(io),
          clock_(clock),
          config_(config),
          directory_(files_, config.cert_dir),
          workers_(options.workers, kQueuedWork + config.bounds.verifications),
          outward_(io.get_executor(), clock,
                   {.max_in_flight = kOutwardExchanges, .kept_connections = 0, .user_agent = {}}),
          agent_(outward_, clock, guest_agent_options(config, options.agent_address)),
          finish_(io) {
        const VerifierContext context{io.get_executor(), clock, workers_, config};
        quotes_ = verifiers.quotes(context);
        if (config.image.verify) images_ = verifiers.images(context);
        if (config.auth_api == AuthApiType::webhook) authorisation_.emplace(io, clock, config);
        authority_.emplace(authority_kind(config), webhook(), config.dev_gateway_app_id);
        own_.emplace(agent_, *quotes_);
        self_.emplace(*own_, *authority_);
    }

    /// Ends once the main listener serves, or with an error.
    Task<Result<void>> begin();
    Task<void> drain(Deadline deadline);

  private:
    WebhookClient* webhook() { return authorisation_ ? &authorisation_->webhook : nullptr; }
    SelfAuthorization* self() {
        return config_.enforce_self_authorization && config_.onboard.quote_enabled ? &*self_
                                                                                   : nullptr;
    }
    OnboardingParts onboarding_parts();

    Task<Result<keys::OpenedKeys>> open();
    Task<Result<void>> make_keys();
    Task<Result<void>> serve_onboarding();
    Task<Result<void>> refresh(keys::KeyOrigin origin);
    Result<void> refresh_unattested();
    Result<void> serve_main();
    void take_new_certificate();

    asio::io_context& io_;
    runtime::Clock& clock_;
    const KmsConfig& config_;
    keys::PosixFileSystem files_;
    keys::KeyDirectory directory_;
    runtime::Workers workers_;
    runtime::PlainHttpClient outward_;
    GuestAgent agent_;
    std::unique_ptr<QuoteVerifier> quotes_;
    std::unique_ptr<ImageCheck> images_;
    std::optional<Authorisation> authorisation_;
    std::optional<KeyAuthority> authority_;
    std::optional<OwnEvidence> own_;
    std::optional<SelfAuthorization> self_;

    std::optional<Onboarding> onboarding_;
    std::optional<OnboardService> onboard_service_;
    Event finish_;

    std::optional<keys::KeySet> keys_;
    std::optional<CertificateRefresh> refresh_;
    std::optional<MetaAnswer> meta_;
    std::optional<KmsService> service_;
    std::optional<runtime::HttpServer> server_;  ///< of whichever mode is at work
};

OnboardingParts KmsLife::onboarding_parts() {
    return {.directory = directory_,
            .clock = clock_,
            .workers = workers_,
            .http = outward_,
            .agent = agent_,
            .verifier = *quotes_,
            .authority = *authority_,
            .own = *own_,
            .self = self(),
            .webhook = webhook()};
}

/// An empty directory: keys are made at once, or an operator is waited for.
Task<Result<void>> KmsLife::make_keys() {
    const OnboardConfig& onboard = config_.onboard;
    if (!onboard.enabled)
        co_return Error{ErrorCode::not_found,
                        "there are no keys in '" + directory_.path() +
                            "': put the key files of an existing KMS there, or set "
                            "core.onboard.enabled = true"};
    onboarding_.emplace(onboarding_parts(), onboarding_options(config_));
    if (onboard.auto_bootstrap_domain.empty()) co_return co_await serve_onboarding();
    auto made = co_await onboarding_->bootstrap_unattended(
        onboard.auto_bootstrap_domain, Deadline::after(clock_.now(), config_.bounds.onboarding));
    if (!made) co_return Error{ErrorCode::unavailable, made.error().text()};
    co_return Result<void>();
}

Task<Result<void>> KmsLife::serve_onboarding() {
    onboard_service_.emplace(*onboarding_, onboard_service_options(config_),
                             [this] { finish_.happen(); });
    runtime::HttpServerOptions options;
    options.bounds = http_bounds(config_.bounds);
    options.bounds.handler = config_.bounds.onboarding;
    options.handler = [this](const runtime::HttpServerRequest& request, Deadline deadline) {
        return onboard_service_->handle(request, deadline);
    };
    options.log_target = "kms::http";
    options.http2 = true;
    server_.emplace(io_.get_executor(), clock_, std::move(options));
    const std::string address = config_.onboard.listen.to_string();
    if (auto listening = server_->listen(address); !listening) {
        server_.reset();
        co_return std::move(listening.error());
    }
    server_->start();
    runtime::log_info(
        kLogTarget, "there are no keys yet; waiting for an operator",
        {kv("address", address), kv("port", server_->port()), kv("directory", directory_.path())});
    co_await finish_.wait();
    co_await server_->stop(Deadline::after(clock_.now(), config_.bounds.stop));
    server_.reset();
    if (!onboarding_->has_keys())
        co_return Error{ErrorCode::not_found,
                        "Failed to onboard: onboarding was finished before there were keys in '" +
                            directory_.path() + "'"};
    co_return Result<void>();
}

Task<Result<keys::OpenedKeys>> KmsLife::open() {
    CO_TRY(const auto report, directory_.inspect());
    const bool empty = report.state == DirectoryState::empty;
    if (empty) {
        auto made = co_await make_keys();
        if (!made) co_return std::move(made.error());
    }
    CO_TRY(auto opened, keys::open_keys(directory_, "", clock_.wall_now()));
    if (empty) opened.origin = keys::KeyOrigin::created;
    constexpr std::string_view kOrigins[] = {
        "keys loaded", "an interrupted bootstrap was completed", "new keys made"};
    runtime::log_info(kLogTarget, kOrigins[static_cast<std::size_t>(opened.origin)],
                      {kv("directory", directory_.path())});
    co_return opened;
}

/// Without quotes all certificates are made anew at once.
Result<void> KmsLife::refresh_unattested() {
    const auto changed = keys::refresh_certificates(
        directory_, *keys_, config_.onboard.auto_bootstrap_domain, {}, clock_.wall_now());
    if (changed) {
        for (const auto& file : *changed)
            runtime::log_info(kLogTarget, "certificate refreshed", {kv("file", file)});
        return {};
    }
    if (keys_->rpc_certificate_problem)
        return Error(changed.error())
            .within("the stored rpc.crt cannot be served (" + *keys_->rpc_certificate_problem +
                    ")");
    runtime::log_warn(kLogTarget, "certificates could not be refreshed; the stored ones serve",
                      {kv("error", changed.error().context)});
    return {};
}

/// The certificates of a start. What needs the guest agent is waited for only when nothing can be
/// served without it.
Task<Result<void>> KmsLife::refresh(keys::KeyOrigin origin) {
    if (origin == keys::KeyOrigin::created) co_return Result<void>();
    if (!config_.onboard.quote_enabled) co_return refresh_unattested();
    const auto changed = keys::refresh_ca_certificates(directory_, *keys_, clock_.wall_now());
    if (!changed)
        runtime::log_warn(kLogTarget,
                          "CA certificates could not be refreshed; the stored ones serve",
                          {kv("error", changed.error().context)});
    const RefreshParts parts{directory_, *keys_, agent_, clock_, workers_};
    refresh_.emplace(parts, refresh_options(config_));
    if (!keys_->rpc_certificate_problem) {
        asio::co_spawn(io_, refresh_->run([this] { take_new_certificate(); }), asio::detached);
        co_return Result<void>();
    }
    auto made =
        co_await refresh_->attempt(Deadline::after(clock_.now(), config_.bounds.guest_agent));
    if (made) co_return Result<void>();
    co_return std::move(made.error())
        .within("the stored rpc.crt cannot be served (" + *keys_->rpc_certificate_problem +
                "), and a new one cannot be made");
}

void KmsLife::take_new_certificate() {
    if (!server_) return;
    auto tls = load_tls(config_.tls, config_.bounds);
    if (tls)
        server_->use_tls(std::move(*tls));
    else
        runtime::log_warn(kLogTarget, "the new certificate is not served; the old one goes on",
                          {kv("error", tls.error().context)});
}

Result<void> KmsLife::serve_main() {
    TRY(auto tls, load_tls(config_.tls, config_.bounds));
    meta_.emplace(meta_constants(config_, *keys_), BootstrapInfoFile(directory_));
    const KeyRelease release{.verifier = *quotes_,
                             .images = images_.get(),
                             .authority = *authority_,
                             .self = self(),
                             .sev_snp = config_.sev_snp_key_release,
                             .aws_nitro_tpm = config_.aws_nitro_tpm_key_release,
                             .verification_limit = config_.bounds.verification,
                             .image_limit = config_.bounds.image_check};
    service_.emplace(KmsParts{.keys = *keys_,
                              .admin_token_hash = config_.admin_token_hash,
                              .quotes_enabled = config_.onboard.quote_enabled,
                              .meta = *meta_,
                              .facts = authorisation_ ? &authorisation_->facts : nullptr,
                              .release = release,
                              .image_cache_dir = config_.image.cache_dir},
                     clock_, workers_, service_options(config_));
    service_->tell_awaited([this] { return refresh_ ? refresh_->awaited() : std::string(); });

    runtime::HttpServerOptions options;
    options.bounds = http_bounds(config_.bounds);
    options.handler = [this](const runtime::HttpServerRequest& request, Deadline deadline) {
        return service_->handle(request, deadline);
    };
    options.body_limit = [this](const runtime::HttpServerRequest& head) {
        return service_->body_limit(head);
    };
    options.tls = std::move(tls);
    options.log_target = "kms::http";
    options.http2 = true;
    server_.emplace(io_.get_executor(), clock_, std::move(options));
    service_->watch(server_->counters());
    const std::string address = config_.rpc.to_string();
    if (auto listening = server_->listen(address); !listening) {
        server_.reset();
        return listening;
    }
    server_->start();
    runtime::log_info(
        kLogTarget, "serving",
        {kv("address", address), kv("port", server_->port()), kv("version", KMS_LAUNCHER_VERSION)});
    return {};
}

Task<Result<void>> KmsLife::begin() {
    auto opened = co_await open();
    if (!opened) co_return std::move(opened.error());
    keys_.emplace(std::move(opened->keys));
    auto refreshed = co_await refresh(opened->origin);
    if (!refreshed) co_return refreshed;
    co_return serve_main();
}

Task<void> KmsLife::drain(Deadline deadline) {
    if (server_) co_await server_->stop(deadline);
}

}  // namespace

Result<void> serve_until_signal(const KmsConfig& config, const LifeOptions& options,
                                const Verifiers& verifiers) {
    runtime::allow_descriptors(config.bounds.connections + kOtherDescriptors);
    asio::io_context io(1);
    runtime::SystemClock clock;
    KmsLife life(io, clock, config, options, verifiers);
    Result<void> outcome;
    asio::co_spawn(io, life.begin(),
                   [&io, &outcome](const std::exception_ptr& failure, Result<void> begun) {
                       if (failure) std::rethrow_exception(failure);
                       outcome = std::move(begun);
                       if (!outcome) io.stop();
                   });
    const int signal = runtime::run_until_signal(
        io, clock, config.bounds.stop, [&life](Deadline deadline) { return life.drain(deadline); });
    if (outcome) runtime::log_info(kLogTarget, "stopped", {kv("signal", signal)});
    return outcome;
}

}  // namespace kms
