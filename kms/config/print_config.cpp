#include "kms/config/kms_config.hpp"

namespace kms {
namespace {

constexpr std::string_view kRedacted = "<redacted>";

std::string quoted(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte == 0x7F) {
            out.append("\\u00").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 0xF]);
        } else {
            out += c;
        }
    }
    return out + "\"";
}

/// The largest unit that says it exactly.
std::string span_text(std::chrono::milliseconds span) {
    const auto count = span.count();
    if (count == 0 || count % 1000 != 0) return std::to_string(count) + "ms";
    if (count % 3'600'000 == 0) return std::to_string(count / 3'600'000) + "h";
    if (count % 60'000 == 0) return std::to_string(count / 60'000) + "m";
    return std::to_string(count / 1000) + "s";
}

std::string size_text(std::uint64_t size) {
    if (size != 0 && size % (1024 * 1024) == 0) return std::to_string(size / (1024 * 1024)) + "MiB";
    if (size != 0 && size % 1024 == 0) return std::to_string(size / 1024) + "KiB";
    return std::to_string(size) + "B";
}

/// A URL whose user info, which may be a password, is not shown.
std::string without_user(const std::string& url) {
    const auto scheme = url.find("://");
    if (scheme == std::string::npos) return url;
    const auto authority_end = url.find_first_of("/?#", scheme + 3);
    const auto at = url.rfind('@', authority_end);
    if (at == std::string::npos || at < scheme) return url;
    return url.substr(0, scheme + 3).append(kRedacted).append(url.substr(at));
}

class TomlText {
  public:
    void table(std::string_view name) {
        out_.append(out_.empty() ? "[" : "\n[").append(name).append("]\n");
    }
    void text(std::string_view key, std::string_view value) { line(key, quoted(value)); }
    void flag(std::string_view key, bool value) { line(key, value ? "true" : "false"); }
    void number(std::string_view key, std::uint64_t value) { line(key, std::to_string(value)); }
    void span(std::string_view key, std::chrono::milliseconds value) {
        text(key, span_text(value));
    }
    void size(std::string_view key, std::uint64_t value) { text(key, size_text(value)); }
    std::string finish() && { return std::move(out_); }

  private:
    void line(std::string_view key, std::string_view value) {
        out_.append(key).append(" = ").append(value).append("\n");
    }
    std::string out_;
};

void print_rpc(TomlText& out, const KmsConfig& config) {
    out.table("rpc");
    out.text("address", config.rpc.address);
    out.number("port", config.rpc.port);
    out.text("ident", config.ident);
    out.number("keep_alive", config.keep_alive ? 5U : 0U);
    out.table("rpc.tls");
    out.text("key", config.tls.key);
    out.text("certs", config.tls.certs);
    out.table("rpc.tls.mutual");
    out.text("ca_certs", config.tls.mutual_ca_certs);
    out.flag("mandatory", config.tls.mutual_mandatory);
    out.table("rpc.limits");
    for (const auto& [method, size] : config.body_limits) out.size(quoted(method), size);
}

void print_core(TomlText& out, const KmsConfig& config) {
    out.table("core");
    out.text("cert_dir", config.cert_dir);
    out.text("admin_token_hash", config.admin_token_hash.empty() ? "" : kRedacted);
    out.text("pccs_url", without_user(config.pccs_url.value_or("")));
    out.text("site_name", config.site_name);
    out.flag("enforce_self_authorization", config.enforce_self_authorization);
    out.flag("sev_snp_key_release", config.sev_snp_key_release);
    out.flag("aws_nitro_tpm_key_release", config.aws_nitro_tpm_key_release);
    out.table("core.image");
    out.flag("verify", config.image.verify);
    out.text("cache_dir", config.image.cache_dir);
    out.text("download_url", without_user(config.image.download_url));
    if (config.image.download_timeout)
        out.span("download_timeout", *config.image.download_timeout);
    else
        out.text("download_timeout", "never");
    out.table("core.auth_api");
    constexpr std::string_view kTypes[] = {"webhook", "dev", "none"};
    out.text("type", kTypes[static_cast<std::size_t>(config.auth_api)]);
    out.table("core.auth_api.webhook");
    out.text("url", without_user(config.webhook_url));
    out.table("core.auth_api.dev");
    out.text("gateway_app_id", config.dev_gateway_app_id);
    out.table("core.auth_api.none");
    out.text("allow", config.none_allow_all ? "all" : "nobody");
    out.table("core.onboard");
    out.flag("enabled", config.onboard.enabled);
    out.text("auto_bootstrap_domain", config.onboard.auto_bootstrap_domain);
    out.flag("quote_enabled", config.onboard.quote_enabled);
    out.flag("verify_source", config.onboard.verify_source);
    out.text("address", config.onboard.listen.address);
    out.number("port", config.onboard.listen.port);
    out.table("core.attestation");
    out.flag("insecure_allow_external_trust_anchors", config.attestation.external_anchors);
    out.text("pccs_ca_file", config.attestation.pccs_ca_file);
    out.text("collateral_dir",
             config.attestation.collateral_dir.value_or(config.cert_dir + "/collateral"));
    out.table("core.attestation.urls");
    out.text("pccs", without_user(config.attestation.pccs_url.value_or("")));
    out.table("core.attestation.root_ca");
    out.text("tdx", config.attestation.tdx_root);
    out.table("core.metrics");
    out.flag("enabled", config.metrics_enabled);
}

void print_bounds(TomlText& out, const BoundsConfig& bounds) {
    out.table("core.bounds");
    out.span("handshake", bounds.handshake);
    out.span("first_byte", bounds.first_byte);
    out.span("head", bounds.head);
    out.span("body", bounds.body);
    out.size("body_rate", bounds.body_rate);
    out.size("bodies_size", bounds.bodies_size);
    out.span("handler", bounds.handler);
    out.span("write", bounds.write);
    out.span("idle", bounds.idle);
    out.size("head_size", bounds.head_size);
    out.number("connections", bounds.connections);
    out.number("connections_per_address", bounds.connections_per_address);
    out.span("give_way", bounds.give_way);
    out.number("requests", bounds.requests);
    out.number("streams", bounds.streams);
    out.number("stream_resets", bounds.stream_resets);
    out.number("control_frames", bounds.control_frames);
    out.span("tls_session", bounds.tls_session);
    out.number("tls_sessions", bounds.tls_sessions);
    out.span("webhook_connect", bounds.webhook_connect);
    out.span("webhook_info", bounds.webhook_info);
    out.span("webhook_decision", bounds.webhook_decision);
    out.number("webhook_decisions", bounds.webhook_decisions);
    out.span("verification", bounds.verification);
    out.number("verifications", bounds.verifications);
    out.span("image_check", bounds.image_check);
    out.span("guest_agent", bounds.guest_agent);
    out.number("guest_agent_calls", bounds.guest_agent_calls);
    out.span("guest_agent_retry", bounds.guest_agent_retry);
    out.span("source_connect", bounds.source_connect);
    out.span("source", bounds.source);
    out.span("onboarding", bounds.onboarding);
    out.span("facts_fresh", bounds.facts_fresh);
    out.span("facts_settled", bounds.facts_settled);
    out.span("facts_wait", bounds.facts_wait);
    out.span("stop", bounds.stop);
}

}  // namespace

std::string to_toml(const KmsConfig& config) {
    TomlText out;
    print_rpc(out, config);
    print_core(out, config);
    print_bounds(out, config.bounds);
    return std::move(out).finish();
}

}  // namespace kms
