// dstack-kms: configuration → keys → certificates → TLS listener → serve until a signal.
#include "kms/authorize/facts_source.hpp"
#include "kms/authorize/webhook_client.hpp"
#include "kms/config/kms_config.hpp"
#include "kms/keys/bootstrap.hpp"
#include "kms/keys/refresh.hpp"
#include "kms/rpc/service.hpp"
#include "launcher/runtime/http_client.hpp"
#include "launcher/runtime/http_server.hpp"
#include "launcher/runtime/lifecycle.hpp"
#include "launcher/runtime/log.hpp"
#include "launcher/runtime/secret.hpp"
#include "launcher/runtime/tls.hpp"
#include "launcher/runtime/workers.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <boost/asio/io_context.hpp>

namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::kv;
using runtime::Result;

constexpr std::string_view kLogTarget = "kms";
constexpr std::size_t kLargestPemFile = 1024 * 1024;
constexpr std::size_t kQueuedWork = 64;
constexpr std::size_t kOtherDescriptors = 256;  ///< beside those of client connections

constexpr std::string_view kHelp =
    R"(dstack-kms: the key management service

Usage: dstack-kms [-c FILE] [--check | --print-config]

  -c, --config FILE   read FILE over the configuration in /etc/kms and the working directory
      --check         report every mistake in the configuration and exit
      --print-config  print the configuration in effect, secrets hidden, and exit
  -h, --help          print this text
  -V, --version       print the version

Environment: RUST_LOG (what is logged, default info), ROCKET_WORKERS (threads for computing, default 2).
)";

enum class Action { serve, check, print_config, help, version };

struct Arguments {
    Action action = Action::serve;
    std::optional<std::string> config_file;
};

Result<Arguments> parse_arguments(std::span<char*> words) {
    Arguments arguments;
    for (std::size_t i = 1; i < words.size(); ++i) {
        const std::string_view word = words[i];
        if (word == "-h" || word == "--help") {
            arguments.action = Action::help;
        } else if (word == "-V" || word == "--version") {
            arguments.action = Action::version;
        } else if (word == "--check") {
            arguments.action = Action::check;
        } else if (word == "--print-config") {
            arguments.action = Action::print_config;
        } else if (word.starts_with("--config=")) {
            arguments.config_file = word.substr(9);
        } else if (word == "-c" || word == "--config") {
            if (++i == words.size())
                return Error{ErrorCode::invalid_argument,
                             std::string(word) + " needs the name of a file"};
            arguments.config_file = words[i];
        } else if (word.starts_with("-c") && word.size() > 2) {
            arguments.config_file = word.substr(2);
        } else {
            return Error{ErrorCode::invalid_argument,
                         "unknown argument '" + std::string(word) + "'; --help lists them"};
        }
    }
    return arguments;
}

void print(std::FILE* to, std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), to);
}

/// The number of threads for computing, from the variable that sets upstream's.
std::size_t worker_count() {
    const char* text = std::getenv("ROCKET_WORKERS");
    if (text == nullptr || *text == '\0') return 2;
    char* end = nullptr;
    const unsigned long count = std::strtoul(text, &end, 10);
    if (*end == '\0' && count >= 1 && count <= 64) return count;
    runtime::log_warn(kLogTarget, "ROCKET_WORKERS is not a number from 1 to 64; using 2",
                      {kv("value", text)});
    return 2;
}

void log_filter_problems(const std::vector<runtime::LogFilterProblem>& problems) {
    for (const auto& problem : problems)
        runtime::log_warn(kLogTarget, "RUST_LOG: a directive is ignored",
                          {kv("problem", problem.text), kv("column", problem.column + 1),
                           kv("hint", problem.hint)});
}

void warn_of_config(const kms::LoadedConfig& loaded) {
    for (const auto& problem : loaded.problems.list())
        if (problem.warning)
            runtime::log_warn(
                kLogTarget, "configuration: " + problem.text,
                {kv("file", problem.file), kv("line", problem.line), kv("hint", problem.hint)});
    const kms::KmsConfig& config = loaded.config;
    if (!config.onboard.quote_enabled)
        runtime::log_warn(kLogTarget,
                          "quotes are switched off (core.onboard.quote_enabled = false): no "
                          "certificate of this KMS proves where its key lives");
    if (config.auth_api == kms::AuthApiType::dev)
        runtime::log_warn(
            kLogTarget,
            "development mode (core.auth_api.type = \"dev\"): no authorisation service is asked");
}

/// Loads or makes the keys. What cannot be served with is an error with advice.
Result<kms::keys::OpenedKeys> open_keys(const kms::KmsConfig& config,
                                        kms::keys::KeyDirectory& directory, runtime::WallTime now) {
    const auto& onboard = config.onboard;
    const std::string domain = onboard.enabled ? onboard.auto_bootstrap_domain : "";
    TRY(const auto report, directory.inspect());
    if (report.state == kms::keys::DirectoryState::empty) {
        if (domain.empty())
            return Error{
                ErrorCode::not_found,
                "there are no keys in '" + directory.path() +
                    "': put the key files of an existing KMS there, or set core.onboard.enabled = "
                    "true and "
                    "core.onboard.auto_bootstrap_domain to the name of this KMS to make new ones"};
        if (onboard.quote_enabled)
            return Error{
                ErrorCode::invalid_argument,
                "no keys are made while core.onboard.quote_enabled is true, because this build "
                "cannot attest "
                "them; set core.onboard.quote_enabled = false to make keys without a quote"};
    }
    TRY(auto opened, kms::keys::open_keys(directory, domain, now));
    constexpr std::string_view kOrigins[] = {
        "keys loaded", "an interrupted bootstrap was completed", "new keys made"};
    runtime::log_info(kLogTarget, kOrigins[static_cast<std::size_t>(opened.origin)],
                      {kv("directory", directory.path())});
    return opened;
}

/// rpc.crt is made anew at each start. When that fails the stored one serves, if it can.
Result<void> refresh_certificates(const kms::KmsConfig& config, kms::keys::KeyDirectory& directory,
                                  kms::keys::KeySet& keys, runtime::WallTime now) {
    if (config.onboard.quote_enabled) {
        if (keys.rpc_certificate_problem)
            return Error{ErrorCode::invalid_argument,
                         "the stored rpc.crt cannot be served (" + *keys.rpc_certificate_problem +
                             "), and this build cannot attest a new one; set "
                             "core.onboard.quote_enabled = false to make "
                             "one without a quote"};
        runtime::log_warn(kLogTarget,
                          "certificates are not refreshed: this build cannot attest a new rpc.crt; "
                          "the stored one serves");
        return {};
    }
    auto changed = kms::keys::refresh_certificates(directory, keys,
                                                   config.onboard.auto_bootstrap_domain, {}, now);
    if (changed) {
        for (const auto& file : *changed)
            runtime::log_info(kLogTarget, "certificate refreshed", {kv("file", file)});
        return {};
    }
    if (keys.rpc_certificate_problem)
        return std::move(changed.error())
            .within("the stored rpc.crt cannot be served (" + *keys.rpc_certificate_problem + ")");
    runtime::log_warn(kLogTarget, "certificates could not be refreshed; the stored ones serve",
                      {kv("error", changed.error().context)});
    return {};
}

Result<std::shared_ptr<const runtime::TlsServerContext>> load_tls(const kms::TlsConfig& config,
                                                                  const kms::BoundsConfig& bounds) {
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

runtime::HttpBounds http_bounds(const kms::BoundsConfig& bounds) {
    runtime::HttpBounds http;
    http.handshake = bounds.handshake;
    http.first_byte = bounds.first_byte;
    http.head = bounds.head;
    http.body = bounds.body;
    http.handler = bounds.handler;
    http.write = bounds.write;
    http.idle = bounds.idle;
    http.head_bytes = bounds.head_size;
    http.connections = bounds.connections;
    http.connections_per_address = bounds.connections_per_address;
    http.requests_in_flight = bounds.requests;
    http.body_rate = bounds.body_rate;
    http.bodies_bytes = bounds.bodies_size;
    http.give_way = bounds.give_way;
    http.streams = bounds.streams;
    http.stream_resets = bounds.stream_resets;
    http.control_frames = bounds.control_frames;
    return http;
}

kms::ServiceOptions service_options(const kms::KmsConfig& config) {
    kms::ServiceOptions options;
    options.ident = config.ident;
    options.app_version = "v" KMS_LAUNCHER_VERSION " (unknown)";
    options.body_limits = config.body_limits;
    options.keep_alive = config.keep_alive;
    options.metrics_enabled = config.metrics_enabled;
    options.quotes_enabled = config.onboard.quote_enabled;
    options.dev_mode = config.auth_api == kms::AuthApiType::dev;
    return options;
}

/// The authorisation service's client and what was last heard from it; only made when there is
/// somebody to ask.
struct Authorisation {
    Authorisation(boost::asio::io_context& io, runtime::Clock& clock, const kms::KmsConfig& config)
        : http(io.get_executor(), clock,
               {.max_in_flight = config.bounds.webhook_decisions + 1,
                .kept_connections = 1,
                .user_agent = {}}),
          webhook(http, clock,
                  {.url = config.webhook_url,
                   .info_limit = config.bounds.webhook_info,
                   .decision_limit = config.bounds.webhook_decision,
                   .connect_limit = config.bounds.webhook_connect,
                   .decisions_in_flight = config.bounds.webhook_decisions}),
          facts(io.get_executor(), clock,
                {.fresh = config.bounds.facts_fresh,
                 .settled = config.bounds.facts_settled,
                 .wait = config.bounds.facts_wait},
                webhook.origin(), [this, &clock, limit = config.bounds.webhook_info] {
                    return webhook.info(runtime::Deadline::after(clock.now(), limit));
                }) {}

    runtime::CurlHttpClient http;
    kms::WebhookClient webhook;
    kms::FactsSource facts;
};

kms::MetaConstants meta_constants(const kms::KmsConfig& config, const kms::keys::KeySet& keys) {
    kms::MetaConstants constants;
    constants.ca_certificate = keys.certificates.root_ca;
    constants.k256_public_key = runtime::as_text(keys.root.k256_public_key());
    if (config.auth_api == kms::AuthApiType::dev)
        constants.dev_gateway_app_id = config.dev_gateway_app_id;
    return constants;
}

Result<void> serve(const kms::KmsConfig& config) {
    runtime::allow_descriptors(config.bounds.connections + kOtherDescriptors);
    boost::asio::io_context io(1);
    runtime::SystemClock clock;
    kms::keys::PosixFileSystem files;
    kms::keys::KeyDirectory directory(files, config.cert_dir);
    TRY(auto opened, open_keys(config, directory, clock.wall_now()));
    kms::keys::KeySet& keys = opened.keys;
    if (opened.origin != kms::keys::KeyOrigin::created)
        TRY_VOID(refresh_certificates(config, directory, keys, clock.wall_now()));
    TRY(auto tls, load_tls(config.tls, config.bounds));

    std::optional<Authorisation> authorisation;
    if (config.auth_api == kms::AuthApiType::webhook) authorisation.emplace(io, clock, config);
    runtime::Workers workers(worker_count(), kQueuedWork);
    kms::MetaAnswer meta(meta_constants(config, keys), kms::BootstrapInfoFile(directory));
    kms::KmsService service({.keys = keys,
                             .admin_token_hash = config.admin_token_hash,
                             .quotes_enabled = config.onboard.quote_enabled,
                             .meta = meta,
                             .facts = authorisation ? &authorisation->facts : nullptr},
                            clock, workers, service_options(config));

    runtime::HttpServerOptions options;
    options.bounds = http_bounds(config.bounds);
    options.handler = [&service](const runtime::HttpServerRequest& request,
                                 runtime::Deadline deadline) {
        return service.handle(request, deadline);
    };
    options.body_limit = [&service](const runtime::HttpServerRequest& head) {
        return service.body_limit(head);
    };
    options.tls = std::move(tls);
    options.log_target = "kms::http";
    options.http2 = true;
    runtime::HttpServer server(io.get_executor(), clock, std::move(options));
    service.watch(server.counters());
    const std::string address = config.rpc.to_string();
    TRY_VOID(server.listen(address));
    server.start();
    runtime::log_info(
        kLogTarget, "serving",
        {kv("address", address), kv("port", server.port()), kv("version", KMS_LAUNCHER_VERSION)});

    const int signal = runtime::run_until_signal(
        io, clock, config.bounds.stop,
        [&server](runtime::Deadline deadline) { return server.stop(deadline); });
    runtime::log_info(kLogTarget, "stopped", {kv("signal", signal)});
    return {};
}

int run(std::span<char*> words) {
    const auto arguments = parse_arguments(words);
    if (!arguments) {
        print(stderr, "dstack-kms: " + arguments.error().context + "\n");
        return 2;
    }
    if (arguments->action == Action::help || arguments->action == Action::version) {
        print(stdout,
              arguments->action == Action::help ? kHelp : "dstack-kms " KMS_LAUNCHER_VERSION "\n");
        return 0;
    }
    kms::ConfigSources sources;
    sources.file = arguments->config_file;
    const kms::LoadedConfig loaded = kms::load_config(sources);
    if (loaded.problems.has_errors() ||
        (arguments->action == Action::check && !loaded.problems.list().empty()))
        print(stderr, loaded.problems.to_string());
    if (loaded.problems.has_errors()) {
        print(stderr, "Error: the configuration is not valid\n");
        return 1;
    }
    if (arguments->action == Action::check) {
        print(stdout, "the configuration is valid\n");
        return 0;
    }
    if (arguments->action == Action::print_config) {
        for (const auto& file : loaded.files) print(stdout, "# read: " + file + "\n");
        print(stdout, kms::to_toml(loaded.config));
        return 0;
    }

    runtime::forbid_core_dumps();
    std::vector<runtime::LogFilterProblem> filter_problems;
    const auto filter =
        runtime::log_filter_from_environment(std::getenv("RUST_LOG"), filter_problems);
    const runtime::Logging logging({.filter = filter});
    log_filter_problems(filter_problems);
    warn_of_config(loaded);
    const auto served = serve(loaded.config);
    if (served) return 0;
    runtime::log_error(kLogTarget, "cannot go on", {kv("error", served.error().context)});
    print(stderr, "Error: " + served.error().context + "\n");
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        return run(std::span(argv, static_cast<std::size_t>(argc)));
    } catch (const std::exception& failure) {
        print(stderr, std::string("Error: ") + failure.what() + "\n");
        return 1;
    }
}
