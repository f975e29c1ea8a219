// What /metrics shows: first the two counters of the protocol, in exactly its form, then ours.
#include "kms/rpc/service.hpp"
#include "launcher/runtime/log.hpp"

namespace kms {
namespace {

using runtime::MetricKind;
using runtime::MetricsText;

constexpr std::string_view kRequestsName = "dstack_kms_attestation_requests_total";
constexpr std::string_view kRequestsHelp = "Total number of KMS attestation requests.";
constexpr std::string_view kFailuresName = "dstack_kms_attestation_failures_total";
constexpr std::string_view kFailuresHelp = "Total number of failed KMS attestation requests.";

/// HELP before TYPE, as the protocol has it.
void append_protocol_counter(std::string& text, std::string_view name, std::string_view help,
                             std::uint64_t value) {
    text.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ").append(name);
    text.append(" counter\n").append(name).append(" ").append(std::to_string(value)).append("\n");
}

void counter(MetricsText& text, std::string_view name, std::string_view help,
             const runtime::Counter& value) {
    text.family(name, MetricKind::counter, help);
    text.sample(value.value());
}

}  // namespace

std::string KmsService::metrics(MetricsText::Format format) const {
    std::string out;
    MetricsText text(format);
    if (format == MetricsText::Format::prometheus) {
        append_protocol_counter(out, kRequestsName, kRequestsHelp, attestation_requests_.value());
        append_protocol_counter(out, kFailuresName, kFailuresHelp, attestation_failures_.value());
    } else {
        counter(text, kRequestsName, kRequestsHelp, attestation_requests_);
        counter(text, kFailuresName, kFailuresHelp, attestation_failures_);
    }
    append_rpc_metrics(text);
    append_facts_metrics(text);
    append_http_metrics(text);
    text.family("dstack_kms_weakened_mode", MetricKind::gauge,
                "1 while a protection is switched off by configuration.");
    text.sample(!options_.quotes_enabled, {{"mode", "quotes_off"}});
    text.sample(options_.dev_mode, {{"mode", "dev"}});
    text.sample(options_.nobody_asked, {{"mode", "nobody_asked"}});
    text.sample(options_.open_to_all, {{"mode", "open_to_all"}});
    text.family("dstack_kms_awaiting", MetricKind::gauge,
                "1 while the program serves but still waits for something; /readyz names it.");
    text.sample(awaits_ && !awaits_().empty());
    text.family("dstack_kms_verifications_at_work", MetricKind::gauge, "Quotes being verified.");
    text.sample(verifications_at_work_);
    parts_.release.verifier.append_metrics(text);
    text.family("dstack_kms_log_lines_dropped_total", MetricKind::counter,
                "Log lines lost because their reader was too slow or gone.");
    text.sample(runtime::Logging::lines_dropped());
    return out + std::move(text).finish();
}

void KmsService::append_rpc_metrics(MetricsText& text) const {
    const auto names = kms_methods();
    const auto name = [&](std::size_t place) {
        return place < names.size() ? names[place].name : "unknown";
    };
    text.family("dstack_kms_rpc_requests_total", MetricKind::counter, "RPC calls, by method.");
    for (std::size_t i = 0; i <= names.size(); ++i)
        text.sample(methods_[i].requests.value(), {{"method", name(i)}});
    text.family("dstack_kms_rpc_failures_total", MetricKind::counter,
                "RPC calls answered with an error, by method.");
    for (std::size_t i = 0; i <= names.size(); ++i)
        text.sample(methods_[i].failures.value(), {{"method", name(i)}});
    text.family("dstack_kms_rpc_duration_seconds", MetricKind::histogram,
                "From the complete request to its answer.", "seconds");
    for (std::size_t i = 0; i <= names.size(); ++i)
        text.sample(methods_[i].duration.snapshot(), {{"method", name(i)}});
}

void KmsService::append_facts_metrics(MetricsText& text) const {
    if (parts_.facts == nullptr) return;
    const auto age = parts_.facts->age();
    text.family(
        "dstack_kms_chain_facts_known", MetricKind::gauge,
        "1 once the authorisation service has given chain facts, which GetMeta then passes on.");
    text.sample(age.has_value());
    text.family("dstack_kms_chain_facts_age_seconds", MetricKind::gauge,
                "Time since the chain facts that GetMeta passes on were asked for; absent while "
                "none are known.",
                "seconds");
    if (age) text.sample(std::chrono::duration<double>(*age).count());
    const FactsCounters& facts = parts_.facts->counters();
    counter(text, "dstack_kms_chain_facts_exchanges_total",
            "Times that chain facts were asked for.", facts.exchanges);
    counter(text, "dstack_kms_chain_facts_failures_total",
            "Times that asking for chain facts failed.", facts.failures);
    counter(text, "dstack_kms_chain_facts_from_memory_total",
            "GetMeta calls answered from what was last known, because the authorisation service "
            "gave nothing newer.",
            facts.answered_from_memory);
}

void KmsService::append_http_metrics(MetricsText& text) const {
    if (http_ == nullptr) return;
    text.family("dstack_kms_connections_open", MetricKind::gauge, "Open client connections.");
    text.sample(http_->connections_open.load());
    text.family("dstack_kms_requests_in_flight", MetricKind::gauge, "Requests being handled.");
    text.sample(http_->requests_in_flight.load());
    counter(text, "dstack_kms_connections_accepted_total", "Accepted client connections.",
            http_->connections_accepted);
    counter(text, "dstack_kms_connections_refused_total",
            "Connections turned away because a bound was reached.", http_->connections_refused);
    counter(text, "dstack_kms_handshakes_failed_total", "TLS handshakes that failed.",
            http_->handshakes_failed);
    counter(text, "dstack_kms_connections_given_way_total",
            "Connections closed while waiting for a request, to let another in.",
            http_->connections_given_way);
    counter(text, "dstack_kms_tls_resumed_total", "TLS handshakes that resumed a session.",
            http_->tls_resumed);
    text.family("dstack_kms_tls_sessions_expired_total", MetricKind::counter,
                "TLS sessions that a client wanted to resume too late.");
    text.sample(http_->tls_sessions_expired.load());
    text.family("dstack_kms_tls_sessions_evicted_total", MetricKind::counter,
                "TLS sessions forgotten because too many were kept.");
    text.sample(http_->tls_sessions_evicted.load());
    counter(text, "dstack_kms_http2_connections_total", "Connections that spoke HTTP/2.",
            http_->http2_connections);
    counter(text, "dstack_kms_http2_floods_total",
            "HTTP/2 connections ended because of resets or frames without a request.",
            http_->http2_floods);
    text.family("dstack_kms_request_bodies_bytes", MetricKind::gauge,
                "Bytes of request bodies that are held.", "bytes");
    text.sample(http_->body_bytes.load());
    counter(text, "dstack_kms_bodies_refused_total",
            "Requests answered 503 because all bodies together were too large.",
            http_->bodies_refused);
    counter(text, "dstack_kms_heads_refused_total",
            "Request heads that were malformed or too large.", http_->heads_refused);
    counter(text, "dstack_kms_requests_refused_total",
            "Requests answered 503 because too many were at work.", http_->requests_refused);
    text.family("dstack_kms_timeouts_total", MetricKind::counter,
                "Connections ended because a phase took too long.");
    text.sample(http_->timeouts_handshake.value(), {{"phase", "handshake"}});
    text.sample(http_->timeouts_first_byte.value(), {{"phase", "first_byte"}});
    text.sample(http_->timeouts_head.value(), {{"phase", "head"}});
    text.sample(http_->timeouts_body.value(), {{"phase", "body"}});
    text.sample(http_->timeouts_write.value(), {{"phase", "write"}});
    text.sample(http_->timeouts_idle.value(), {{"phase", "idle"}});
}

}  // namespace kms
