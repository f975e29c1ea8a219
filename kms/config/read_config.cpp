// From a merged document to the struct: names, types and ranges of all keys.
#include "kms/config/kms_config.hpp"
#include "launcher/runtime/bytes.hpp"

#include <algorithm>
#include <array>
#include <cctype>

namespace kms {
namespace {

using runtime::ConfigDocument;
using runtime::ConfigProblems;
using runtime::ConfigTable;
using std::chrono::milliseconds;

constexpr bool kUnknownIsWarning = true;

/// Keys of the web framework that older files carry: allowed where upstream reads them, without
/// effect here.
constexpr std::array<std::string_view, 9> kFrameworkKeys = {
    "workers",  "max_blocking", "temp_dir",   "limits",    "log_level",
    "shutdown", "ip_header",    "cli_colors", "secret_key"};

template <class T, class Value>
void take(T& into, Value&& value) {
    if (value) into = *std::forward<Value>(value);
}

void take_count(ConfigTable& table, std::string_view key, std::uint64_t& into, std::int64_t min) {
    if (const auto value = table.integer(key, min, 1'000'000))
        into = static_cast<std::uint64_t>(*value);
}

/// A span that bounds a wait, so it cannot be nothing.
void take_span(ConfigTable& table, std::string_view key, milliseconds& into) {
    const auto value = table.duration(key);
    if (!value) return;
    if (value->count() == 0)
        table.problem(key, "'" + std::string(key) + "' must be longer than 0");
    else
        into = *value;
}

void read_framework_keys(ConfigTable& table, KmsConfig& config) {
    for (const auto key : kFrameworkKeys)
        if (key != "limits" || table.path() != "rpc") table.accept(key);
    take(config.ident, table.text("ident"));
    if (const auto seconds = table.integer("keep_alive", 0, 86'400))
        config.keep_alive = *seconds != 0;
}

void read_listen(ConfigTable& table, ListenConfig& listen) {
    take(listen.address, table.text("address"));
    if (const auto port = table.integer("port", 0, 65'535))
        listen.port = static_cast<std::uint16_t>(*port);
    if (listen.address.empty())
        table.problem("address", "'address' is empty",
                      "0.0.0.0 means all addresses of this machine");
}

void read_limits(ConfigTable& rpc, KmsConfig& config) {
    auto limits = rpc.table("limits");
    if (!limits) return;
    for (const std::string& method : limits->keys()) {
        std::string name = method;
        std::transform(name.begin(), name.end(), name.begin(),
                       [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        if (const auto size = limits->size(method)) config.body_limits[name] = *size;
    }
}

void read_rpc(ConfigTable& root, KmsConfig& config) {
    auto rpc = root.table("rpc");
    if (!rpc) return;
    read_framework_keys(*rpc, config);
    read_listen(*rpc, config.rpc);
    read_limits(*rpc, config);
    if (auto tls = rpc->table("tls")) {
        take(config.tls.key, tls->text("key"));
        take(config.tls.certs, tls->text("certs"));
        if (auto mutual = tls->table("mutual")) {
            take(config.tls.mutual_ca_certs, mutual->text("ca_certs"));
            take(config.tls.mutual_mandatory, mutual->boolean("mandatory"));
            mutual->finish(kUnknownIsWarning);
        }
        tls->finish(kUnknownIsWarning);
    }
    rpc->finish(kUnknownIsWarning);
}

void read_admin_token_hash(ConfigTable& core, KmsConfig& config) {
    const auto text = core.text("admin_token_hash");
    if (!text) return;
    const auto bytes = runtime::from_hex(*text);
    if (!bytes)
        core.problem("admin_token_hash", "'admin_token_hash' is not hexadecimal",
                     "write the SHA-256 of the token without 0x");
    else if (!bytes->empty() && bytes->size() != 32)
        core.problem("admin_token_hash",
                     "'admin_token_hash' must have 64 hexadecimal digits, or none");
    else
        config.admin_token_hash = runtime::as_text(*bytes);
}

void read_image(ConfigTable& core, ImageConfig& image) {
    auto table = core.table("image");
    if (!table) return;
    take(image.verify, table->boolean("verify"));
    take(image.cache_dir, table->text("cache_dir"));
    take(image.download_url, table->text("download_url"));
    if (const auto timeout = table->text("download_timeout")) {
        if (*timeout == "never") {
            image.download_timeout.reset();
        } else if (const auto span = runtime::parse_duration(*timeout)) {
            image.download_timeout = *span;
        } else {
            table->problem("download_timeout", "'download_timeout': " + span.error().context,
                           "a number with s, m, h or d, or never");
        }
    }
    table->finish(kUnknownIsWarning);
}

void read_auth_api(ConfigTable& core, KmsConfig& config) {
    auto table = core.table("auth_api");
    if (!table) return;
    if (const auto type = table->word("type", {"webhook", "dev", "none"})) {
        if (*type == "dev") config.auth_api = AuthApiType::dev;
        if (*type == "none") config.auth_api = AuthApiType::none;
    }
    if (auto none = table->table("none")) {
        if (none->word("allow", {"all", "nobody"}) == "all") config.none_allow_all = true;
        none->finish(kUnknownIsWarning);
    }
    if (auto webhook = table->table("webhook")) {
        take(config.webhook_url, webhook->text("url"));
        webhook->finish(kUnknownIsWarning);
        if (!config.webhook_url.starts_with("http://") &&
            !config.webhook_url.starts_with("https://"))
            webhook->problem("url", "'url' must begin with http:// or https://");
    }
    if (auto dev = table->table("dev")) {
        take(config.dev_gateway_app_id, dev->text("gateway_app_id"));
        dev->finish(kUnknownIsWarning);
    }
    table->finish(kUnknownIsWarning);
}

void read_onboard(ConfigTable& core, KmsConfig& config) {
    auto table = core.table("onboard");
    if (!table) return;
    KmsConfig
        framework;  // what the framework's keys say here concerns the onboarding listener only
    read_framework_keys(*table, framework);
    take(config.onboard.enabled, table->boolean("enabled"));
    take(config.onboard.auto_bootstrap_domain, table->text("auto_bootstrap_domain"));
    take(config.onboard.quote_enabled, table->boolean("quote_enabled"));
    take(config.onboard.verify_source, table->boolean("verify_source"));
    read_listen(*table, config.onboard.listen);
    table->finish(kUnknownIsWarning);
}

void read_bounds(ConfigTable& core, BoundsConfig& bounds) {
    auto table = core.table("bounds");
    if (!table) return;
    const std::pair<std::string_view, milliseconds*> spans[] = {
        {"handshake", &bounds.handshake},
        {"first_byte", &bounds.first_byte},
        {"head", &bounds.head},
        {"body", &bounds.body},
        {"handler", &bounds.handler},
        {"write", &bounds.write},
        {"idle", &bounds.idle},
        {"webhook_connect", &bounds.webhook_connect},
        {"webhook_info", &bounds.webhook_info},
        {"webhook_decision", &bounds.webhook_decision},
        {"facts_wait", &bounds.facts_wait},
        {"verification", &bounds.verification},
        {"image_check", &bounds.image_check},
        {"guest_agent", &bounds.guest_agent},
        {"guest_agent_retry", &bounds.guest_agent_retry},
        {"source_connect", &bounds.source_connect},
        {"source", &bounds.source},
        {"onboarding", &bounds.onboarding},
        {"tls_session", &bounds.tls_session},
        {"stop", &bounds.stop},
    };
    for (const auto& [key, into] : spans) take_span(*table, key, *into);
    take(bounds.facts_fresh, table->duration("facts_fresh"));
    take(bounds.facts_settled, table->duration("facts_settled"));
    take(bounds.give_way, table->duration("give_way"));
    take(bounds.body_rate, table->size("body_rate"));
    take(bounds.bodies_size, table->size("bodies_size"));
    if (const auto size = table->size("head_size")) {
        if (*size < 1024 || *size > 16 * 1024 * 1024)
            table->problem("head_size", "'head_size' must be between 1KiB and 16MiB");
        else
            bounds.head_size = *size;
    }
    take_count(*table, "connections", bounds.connections, 1);
    take_count(*table, "connections_per_address", bounds.connections_per_address, 0);
    take_count(*table, "requests", bounds.requests, 1);
    take_count(*table, "streams", bounds.streams, 1);
    take_count(*table, "stream_resets", bounds.stream_resets, 1);
    take_count(*table, "control_frames", bounds.control_frames, 1);
    take_count(*table, "tls_sessions", bounds.tls_sessions, 1);
    take_count(*table, "webhook_decisions", bounds.webhook_decisions, 1);
    take_count(*table, "verifications", bounds.verifications, 1);
    take_count(*table, "guest_agent_calls", bounds.guest_agent_calls, 1);
    table->finish(kUnknownIsWarning);
}

/// Trust hangs on these, so a key that nobody knows is an error.
void read_attestation(ConfigTable& core, AttestationConfig& config) {
    auto table = core.table("attestation");
    if (!table) return;
    take(config.external_anchors, table->boolean("insecure_allow_external_trust_anchors"));
    take(config.pccs_ca_file, table->text("pccs_ca_file"));
    if (auto directory = table->text("collateral_dir"))
        config.collateral_dir = std::move(*directory);
    if (auto urls = table->table("urls")) {
        if (auto url = urls->text("pccs"); url && !url->empty()) config.pccs_url = std::move(*url);
        urls->accept("amd_kds");
        urls->finish();
    }
    if (auto roots = table->table("root_ca")) {
        take(config.tdx_root, roots->text("tdx"));
        for (const std::string_view other : {"gcp_tpm", "aws_nitro_enclave", "aws_nitro_tpm",
                                             "sev_snp_milan", "sev_snp_genoa", "sev_snp_turin"})
            if (const auto path = roots->text(other); path && !path->empty())
                roots->problem(other,
                               "evidence of this platform is not verified, so it has no root",
                               "remove the key");
        roots->finish();
    }
    table->finish();
}

void read_core(ConfigTable& root, KmsConfig& config) {
    auto core = root.table("core");
    if (!core) return;
    take(config.cert_dir, core->text("cert_dir"));
    if (config.cert_dir.empty()) core->problem("cert_dir", "'cert_dir' is empty");
    core->accept("subject_postfix");
    read_admin_token_hash(*core, config);
    if (auto url = core->text("pccs_url"); url && !url->empty()) config.pccs_url = std::move(*url);
    take(config.site_name, core->text("site_name"));
    take(config.enforce_self_authorization, core->boolean("enforce_self_authorization"));
    take(config.sev_snp_key_release, core->boolean("sev_snp_key_release"));
    take(config.aws_nitro_tpm_key_release, core->boolean("aws_nitro_tpm_key_release"));
    read_image(*core, config.image);
    read_auth_api(*core, config);
    read_onboard(*core, config);
    if (auto metrics = core->table("metrics")) {
        take(config.metrics_enabled, metrics->boolean("enabled"));
        metrics->finish(kUnknownIsWarning);
    }
    read_attestation(*core, config.attestation);
    read_bounds(*core, config.bounds);
    core->finish(kUnknownIsWarning);
}

}  // namespace

std::string ListenConfig::to_string() const {
    if (address.starts_with("unix:")) return address;
    const auto colon = address.find(':');
    const bool with_port = address.starts_with('[')
                               ? address.find("]:") != std::string::npos
                               : colon != std::string::npos && colon == address.rfind(':');
    if (with_port) return address;
    const bool bare_v6 = colon != std::string::npos && !address.starts_with('[');
    return (bare_v6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

KmsConfig read_config(ConfigDocument& document, ConfigProblems& problems) {
    KmsConfig config;
    ConfigTable root = document.root(problems);
    root.accept("default");  // upstream's files have this table and upstream ignores it
    read_framework_keys(root, config);
    read_rpc(root, config);
    read_core(root, config);
    root.finish(kUnknownIsWarning);
    return config;
}

}  // namespace kms
