#include "launcher/supervise/diagnosis.hpp"

#include "launcher/plan/url_parts.hpp"

#include <algorithm>
#include <array>

namespace launcher {
namespace {

using Sentence = std::optional<std::string>;

struct Target {
    std::string scheme, host;
    std::uint16_t port = 0;
    std::string path;
};

Target target_of(const ProbePlan& probe) {
    if (const auto parts = split_url(probe.url))
        return {parts->scheme, parts->host, parts->port, parts->path};
    return {"", probe.host, probe.port, ""};
}

std::string at(std::string_view host, std::uint16_t port) {
    const bool ipv6 = host.find(':') != std::string_view::npos;
    return (ipv6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + std::to_string(port);
}

std::string span_text(std::chrono::microseconds span) {
    if (span < std::chrono::milliseconds(10))
        return std::to_string(span.count() / 1000) + "." + std::to_string(span.count() / 100 % 10) +
               " ms";
    if (span < std::chrono::seconds(1)) return std::to_string(span.count() / 1000) + " ms";
    return std::to_string(span.count() / 1'000'000) + "." +
           std::to_string(span.count() / 100'000 % 10) + " s";
}

std::string who(const DiagnosisFacts& facts) {
    return facts.pid == 0 ? facts.service
                          : "pid " + std::to_string(facts.pid) + " (" + facts.service + ")";
}

bool last_is(const DiagnosisFacts& facts, ProbeOutcome outcome) {
    return facts.last && facts.last->outcome == outcome;
}

const Listener* own_listener(const DiagnosisFacts& facts, std::uint16_t port) {
    for (const auto& listener : facts.listeners)
        if (listener.owner == facts.service && listener.port == port) return &listener;
    return nullptr;
}

bool accepts_from(const std::string& address, const std::string& host) {
    if (address == "0.0.0.0" || address == "::" || address == host) return true;
    return host == "localhost" && is_loopback(address);
}

std::string upstream_of(const DiagnosisFacts& facts) {
    if (!facts.dependencies.empty()) return facts.dependencies.front();
    return facts.service == "auth-eth" ? "its Ethereum RPC" : "what it waits for upstream";
}

Sentence no_process(const DiagnosisFacts& facts) {
    if (facts.pid != 0) return std::nullopt;
    return "there is no process of " + facts.service;
}

Sentence stopped(const DiagnosisFacts& facts) {
    const auto count = [&](char state) {
        const auto found = facts.thread_states.find(state);
        return found == facts.thread_states.end() ? std::uint64_t{0} : found->second;
    };
    if (count('T') + count('t') == 0) return std::nullopt;
    return who(facts) +
           " is stopped by a signal or traced by another process: continue it with SIGCONT, or see "
           "who stopped it";
}

Sentence wrong_port(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::tcp_refused)) return std::nullopt;
    const auto target = target_of(facts.probe);
    for (const auto& listener : facts.listeners) {
        if (listener.owner != facts.service || listener.port == target.port) continue;
        return "nothing listens on " + at(target.host, target.port) + ", but pid " +
               std::to_string(listener.pid) + " (" + facts.service + ") listens on " +
               at(listener.address, listener.port) + ": set PORT=" + std::to_string(target.port) +
               " for the service, or correct the probe's port";
    }
    return std::nullopt;
}

Sentence wrong_address(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::tcp_refused)) return std::nullopt;
    const auto target = target_of(facts.probe);
    const auto* listener = own_listener(facts, target.port);
    if (listener == nullptr || accepts_from(listener->address, target.host)) return std::nullopt;
    return who(facts) + " listens on " + at(listener->address, listener->port) +
           " only, and is probed on " + at(target.host, target.port) +
           ": make both addresses agree";
}

Sentence foreign_port(const DiagnosisFacts& facts) {
    const auto target = target_of(facts.probe);
    if (target.port == 0 || own_listener(facts, target.port) != nullptr) return std::nullopt;
    for (const auto& listener : facts.listeners) {
        if (listener.port != target.port || !accepts_from(listener.address, target.host)) continue;
        const auto owner =
            listener.pid == 0 ? std::string("another process")
                              : "pid " + std::to_string(listener.pid) + " (" + listener.owner + ")";
        return "port " + std::to_string(target.port) + " is held by " + owner + ", not by " +
               facts.service + ": end that process, or give the service another port";
    }
    return std::nullopt;
}

Sentence not_listening(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::tcp_refused)) return std::nullopt;
    const auto target = target_of(facts.probe);
    return "nothing listens on " + at(target.host, target.port) + ", and " + who(facts) +
           " listens on no port: it has not come up, its last lines should say why";
}

Sentence upstream_hangs(const DiagnosisFacts& facts) {
    if (!facts.last || !is_timeout(facts.last->outcome) || !facts.shallow ||
        is_timeout(facts.shallow->outcome) || facts.shallow->status == 0)
        return std::nullopt;
    const auto target = target_of(facts.probe);
    return facts.service + " answers " + std::to_string(facts.shallow->status) + " in " +
           span_text(facts.shallow->total) + ", but " + facts.probe.method + " " + target.path +
           " timed out after " + span_text(facts.last->total) + ": " + upstream_of(facts) +
           " does not answer";
}

Sentence upstream_fails(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::http_status) || !facts.shallow || !facts.shallow->ok())
        return std::nullopt;
    const auto target = target_of(facts.probe);
    return facts.service + " works, but answers " + facts.probe.method + " " + target.path +
           " with status " + std::to_string(facts.last->status) + ": " + upstream_of(facts) +
           " fails, or is not configured";
}

Sentence plain_on_tls_port(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::tls_closed) && !last_is(facts, ProbeOutcome::tls_error))
        return std::nullopt;
    const auto target = target_of(facts.probe);
    return at(target.host, target.port) + " is open, but the TLS handshake failed (" +
           facts.last->detail +
           "): if the service speaks plain HTTP there, use http:// or kind = \"http-auto\"";
}

Sentence tls_on_plain_port(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::http_closed) && !last_is(facts, ProbeOutcome::http_malformed))
        return std::nullopt;
    const auto target = target_of(facts.probe);
    return at(target.host, target.port) + " is open, but gives no HTTP answer (" +
           facts.last->detail +
           "): if the service speaks TLS there, use https:// or kind = \"http-auto\"";
}

Sentence stuck_after_handshake(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::http_headers_timeout) &&
        !last_is(facts, ProbeOutcome::http_body_timeout) &&
        !last_is(facts, ProbeOutcome::send_timeout))
        return std::nullopt;
    return who(facts) + " accepts connections but did not answer within " +
           span_text(facts.last->total) +
           ": its workers are stuck; a waiting upstream, a lock or its own log pipe are the usual "
           "causes";
}

Sentence stuck_in_handshake(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::tls_timeout)) return std::nullopt;
    return who(facts) +
           " accepts connections but does not even complete a TLS handshake: all its workers are "
           "blocked, or it "
           "cannot accept because its descriptors are used up";
}

Sentence accept_queue_full(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::tcp_timeout)) return std::nullopt;
    const auto target = target_of(facts.probe);
    return "connections to " + at(target.host, target.port) +
           " are not answered: the accept queue is full because the service has been stuck for "
           "long, or a packet filter "
           "drops them";
}

Sentence bad_status(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::http_status)) return std::nullopt;
    const auto target = target_of(facts.probe);
    std::string expected;
    for (const auto status : facts.probe.expect_status)
        expected += (expected.empty() ? "" : ", ") + std::to_string(status);
    if (expected.empty()) expected = "200 to 399";
    return facts.service + " answers " + facts.probe.method + " " + target.path + " with status " +
           std::to_string(facts.last->status) + ", expected was " + expected +
           ": correct the probe or the service";
}

Sentence bad_body(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::http_body_mismatch)) return std::nullopt;
    return facts.service + " answers, but not what the probe expects (" + facts.last->detail +
           "): is it the right program on this port?";
}

Sentence unknown_name(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::dns_error)) return std::nullopt;
    return "the name '" + target_of(facts.probe).host + "' cannot be resolved (" +
           facts.last->detail + "): use a numeric address";
}

Sentence own_fault(const DiagnosisFacts& facts) {
    if (!last_is(facts, ProbeOutcome::probe_error) && !last_is(facts, ProbeOutcome::probe_late))
        return std::nullopt;
    return "the launcher could not probe " + facts.service + " (" + facts.last->detail +
           "): the machine, not the service, is short of something";
}

struct Rule {
    std::string_view name;
    Sentence (*apply)(const DiagnosisFacts&);
};
// First match wins: what is seen in the process and its sockets says more than what the probe saw
// from outside.
constexpr std::array kRules = {
    Rule{"no-process", no_process},
    Rule{"stopped", stopped},
    Rule{"wrong-address", wrong_address},
    Rule{"foreign-port", foreign_port},
    Rule{"wrong-port", wrong_port},
    Rule{"not-listening", not_listening},
    Rule{"upstream-hangs", upstream_hangs},
    Rule{"upstream-fails", upstream_fails},
    Rule{"plain-on-tls-port", plain_on_tls_port},
    Rule{"tls-on-plain-port", tls_on_plain_port},
    Rule{"stuck-after-handshake", stuck_after_handshake},
    Rule{"stuck-in-handshake", stuck_in_handshake},
    Rule{"accept-queue-full", accept_queue_full},
    Rule{"bad-status", bad_status},
    Rule{"bad-body", bad_body},
    Rule{"unknown-name", unknown_name},
    Rule{"own-fault", own_fault},
};

}  // namespace

Diagnosis diagnose(const DiagnosisFacts& facts) {
    for (const auto& rule : kRules)
        if (auto sentence = rule.apply(facts)) return {rule.name, std::move(*sentence)};
    if (facts.last && facts.last->ok())
        return {
            "answers",
            facts.service +
                " answers its probe, but not often enough in a row or not in a phase that counts"};
    return {"unknown", who(facts) + " has not answered its probe yet: its last lines may say why"};
}

}  // namespace launcher
