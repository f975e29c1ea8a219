#include "kms/program/part_options.hpp"

namespace kms {

runtime::HttpBounds http_bounds(const BoundsConfig& bounds) {
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

ServiceOptions service_options(const KmsConfig& config) {
    ServiceOptions options;
    options.ident = config.ident;
    options.app_version = "v" KMS_LAUNCHER_VERSION " (unknown)";
    options.body_limits = config.body_limits;
    options.keep_alive = config.keep_alive;
    options.metrics_enabled = config.metrics_enabled;
    options.quotes_enabled = config.onboard.quote_enabled;
    options.dev_mode = config.auth_api == AuthApiType::dev;
    options.nobody_asked = config.auth_api == AuthApiType::none;
    options.open_to_all = options.nobody_asked && config.none_allow_all;
    options.verifications = config.bounds.verifications;
    return options;
}

WebhookOptions webhook_options(const KmsConfig& config) {
    WebhookOptions options;
    options.url = config.webhook_url;
    options.info_limit = config.bounds.webhook_info;
    options.decision_limit = config.bounds.webhook_decision;
    options.connect_limit = config.bounds.webhook_connect;
    options.decisions_in_flight = config.bounds.webhook_decisions;
    return options;
}

FactsBounds facts_bounds(const BoundsConfig& bounds) {
    FactsBounds facts;
    facts.fresh = bounds.facts_fresh;
    facts.settled = bounds.facts_settled;
    facts.wait = bounds.facts_wait;
    return facts;
}

GuestAgentOptions guest_agent_options(const KmsConfig& config, std::string address) {
    GuestAgentOptions options;
    options.address = std::move(address);
    options.limit = config.bounds.guest_agent;
    options.in_flight = config.bounds.guest_agent_calls;
    return options;
}

OnboardingOptions onboarding_options(const KmsConfig& config) {
    OnboardingOptions options;
    options.quotes_enabled = config.onboard.quote_enabled;
    options.verify_source = config.onboard.verify_source;
    options.site_name = config.site_name;
    options.source_connect_limit = config.bounds.source_connect;
    options.source_limit = config.bounds.source;
    options.verification_limit = config.bounds.verification;
    return options;
}

OnboardServiceOptions onboard_service_options(const KmsConfig& config) {
    OnboardServiceOptions options;
    options.ident = config.ident;
    options.keep_alive = config.keep_alive;
    return options;
}

RefreshOptions refresh_options(const KmsConfig& config) {
    RefreshOptions options;
    options.configured_domain = config.onboard.auto_bootstrap_domain;
    options.attempt_limit = config.bounds.guest_agent;
    options.retry = config.bounds.guest_agent_retry;
    return options;
}

AuthorityKind authority_kind(const KmsConfig& config) {
    switch (config.auth_api) {
        case AuthApiType::webhook:
            return AuthorityKind::webhook;
        case AuthApiType::dev:
            return AuthorityKind::everybody;
        case AuthApiType::none:
            break;
    }
    return config.none_allow_all ? AuthorityKind::none_allowing : AuthorityKind::none_refusing;
}

MetaConstants meta_constants(const KmsConfig& config, const keys::KeySet& keys) {
    MetaConstants constants;
    constants.ca_certificate = keys.certificates.root_ca;
    constants.k256_public_key = runtime::as_text(keys.root.k256_public_key());
    if (config.auth_api == AuthApiType::dev)
        constants.dev_gateway_app_id = config.dev_gateway_app_id;
    return constants;
}

}  // namespace kms
