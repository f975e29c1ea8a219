#include "launcher/plan/plan_fields.hpp"

#include "launcher/plan/signals.hpp"

#include <algorithm>

namespace launcher {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t kMiB = 1024 * 1024;
constexpr int kPriorityMax = 19;

void describe_timeouts(PlanFields& fields, StageLimits& limits) {
    if (!fields.enter("timeouts", true)) return;
    fields.duration("resolve", limits.resolve);
    fields.duration("connect", limits.connect);
    fields.duration("tls", limits.tls);
    fields.duration("request", limits.request);
    fields.duration("headers", limits.headers);
    fields.duration("body", limits.body);
    fields.duration("total", limits.total);
    fields.leave();
}

void describe_statuses(PlanFields& fields, ProbePlan& probe) {
    std::vector<std::int64_t> statuses(probe.expect_status.begin(), probe.expect_status.end());
    fields.visit_integers("expect_status", statuses, 100, 599);
    probe.expect_status.clear();
    for (const auto status : statuses) probe.expect_status.push_back(static_cast<unsigned>(status));
}

void describe_probe(PlanFields& fields, ProbePlan& probe) {
    fields.word("kind", probe_kind_words(), probe.kind);
    fields.text("url", probe.url);
    fields.text("host", probe.host);
    int port = probe.port;
    fields.integer("port", port, 1, 65535);
    probe.port = static_cast<std::uint16_t>(port);
    fields.text("path", probe.path);
    fields.text("method", probe.method);
    if (probe.method != "GET" && probe.method != "HEAD")
        fields.problem("method", "a probe cannot use method '" + probe.method + "'", "GET or HEAD");
    fields.visit_text_map("headers", probe.headers);
    describe_statuses(fields, probe);
    fields.visit_text("expect_body", probe.expect_body);
    fields.visit_text("expect_contains", probe.expect_contains);
    fields.visit_text_map("expect_json", probe.expect_json);
    const std::vector<std::string> verify_words = {"none", "ca-file", "pin-sha256"};
    auto verify = static_cast<std::size_t>(
        std::find(verify_words.begin(), verify_words.end(), probe.verify) - verify_words.begin());
    fields.word("verify", verify_words, verify);
    probe.verify = verify_words[verify];
    fields.text("ca_file", probe.ca_file);
    fields.text("pin_sha256", probe.pin_sha256);
    fields.text("sni", probe.sni);
    fields.text("alpn", probe.alpn);
    std::size_t min_tls = probe.min_tls == "1.3" ? 1 : 0;
    fields.word("min_tls", {"1.2", "1.3"}, min_tls);
    probe.min_tls = min_tls == 1 ? "1.3" : "1.2";
    fields.text("client_cert_file", probe.client_cert_file);
    fields.text("client_key_file", probe.client_key_file);
    fields.visit_texts("ready_phases", probe.ready_phases);
    fields.text("stream", probe.stream);
    if (!probe.stream.empty() && probe.stream != "stdout" && probe.stream != "stderr")
        fields.problem("stream", "unknown stream '" + probe.stream + "'", "stdout or stderr");
    fields.text("target", probe.target);
    fields.text("pattern", probe.pattern);
    fields.boolean("pattern_is_regex", probe.pattern_is_regex);
    fields.visit_texts("command", probe.command);
    fields.size("max_body", probe.max_body, 1, kMiB);
    describe_timeouts(fields, probe.timeouts);
    fields.duration("interval", probe.interval, 100ms);
    fields.duration("deadline", probe.deadline, 0ms);
    fields.integer("failure_threshold", probe.failure_threshold, 1, 1000);
    fields.integer("success_threshold", probe.success_threshold, 1, 1000);
    const auto count = fields.items("probes", probe.probes.size());
    probe.probes.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        fields.enter_item("probes", i);
        probe.probes[i].role = probe.role;
        describe_probe(fields, probe.probes[i]);
        fields.leave();
    }
}

void describe_role(PlanFields& fields, std::string_view key, ProbeRole role,
                   std::optional<ProbePlan>& probe) {
    if (!fields.enter(key, probe.has_value())) return;
    if (!probe) {
        probe.emplace();
        probe->role = role;
        // Leaving `frozen` takes two good answers; every other change takes one.
        if (role == ProbeRole::liveness) probe->success_threshold = 2;
    }
    describe_probe(fields, *probe);
    fields.leave();
}

void describe_service_log(PlanFields& fields, ServicePlan::Log& log) {
    if (!fields.enter("log", true)) return;
    fields.word("format", log_format_words(), log.format);
    fields.boolean("multiline", log.multiline);
    fields.boolean("fields", log.fields);
    fields.boolean("keep_original", log.keep_original);
    fields.boolean("merge_streams", log.merge_streams);
    std::size_t capture = log.pty ? 1 : 0;
    fields.word("capture", {"pipes", "pty"}, capture);
    log.pty = capture == 1;
    std::size_t noise = log.probe_noise_keep ? 1 : 0;
    fields.word("probe_noise", {"suppress", "keep"}, noise);
    log.probe_noise_keep = noise == 1;
    fields.size("max_line", log.max_line, 256, kMiB);
    fields.leave();
}

void describe_limits(PlanFields& fields, ServiceLimits& limits) {
    if (!fields.enter("limits", true)) return;
    constexpr auto kMax = std::uint64_t{1} << 62;
    fields.visit_size("nofile", limits.nofile, 16, kMax);
    fields.visit_size("nproc", limits.nproc, 1, kMax);
    fields.visit_size("address_space", limits.address_space, kMiB, kMax);
    std::optional<std::uint64_t> core = limits.core;
    fields.visit_size("core", core, 0, kMax);
    limits.core = core.value_or(0);
    fields.visit_size("memory_high", limits.memory_high, kMiB, kMax);
    fields.visit_size("memory_max", limits.memory_max, kMiB, kMax);
    fields.visit_size("pids_max", limits.pids_max, 1, kMax);
    fields.maybe_integer("cpu_weight", limits.cpu_weight, 1, 10000);
    fields.leave();
}

void describe_signal(PlanFields& fields, std::string_view key, int& signal) {
    auto name = signal_name(signal);
    fields.text(key, name);
    if (const auto number = signal_number(name))
        signal = *number;
    else
        fields.problem(key, "unknown signal '" + name + "'", "a name such as SIGTERM, or a number");
}

void describe_forwarded(PlanFields& fields, std::vector<int>& signals) {
    std::vector<std::string> names;
    for (const auto signal : signals) names.push_back(signal_name(signal));
    fields.visit_texts("forward_signals", names);
    signals.clear();
    for (const auto& name : names) {
        if (const auto number = signal_number(name))
            signals.push_back(*number);
        else
            fields.problem("forward_signals", "unknown signal '" + name + "'",
                           "a name such as SIGUSR2, or a number");
    }
}

void describe_dependencies(PlanFields& fields, ServicePlan& service) {
    TextPairs pairs;
    for (const auto& [name, state] : service.depends_on)
        pairs.emplace_back(name, state == Dependency::ready ? "ready" : "started");
    fields.visit_text_map("depends_on", pairs);
    service.depends_on.clear();
    for (const auto& [name, state] : pairs) {
        if (state != "started" && state != "ready")
            fields.problem(
                "depends_on",
                "a service can be waited for as 'started' or 'ready', not '" + state + "'",
                "depends_on = { " + name + " = \"started\" }");
        service.depends_on.emplace_back(name,
                                        state == "ready" ? Dependency::ready : Dependency::started);
    }
}

void describe_success_codes(PlanFields& fields, std::vector<int>& codes) {
    std::vector<std::int64_t> wide(codes.begin(), codes.end());
    fields.visit_integers("success_exit_status", wide, 0, 255);
    codes.clear();
    for (const auto code : wide) codes.push_back(static_cast<int>(code));
}

void describe_umask(PlanFields& fields, ServicePlan& service) {
    std::optional<std::string> text;
    if (service.umask) {
        text = "0";
        for (int shift = 6; shift >= 0; shift -= 3)
            text->push_back(static_cast<char>('0' + ((*service.umask >> shift) & 7)));
    }
    fields.visit_text("umask", text);
    if (!text) return;
    const bool octal =
        !text->empty() && text->size() <= 4 &&
        std::all_of(text->begin(), text->end(), [](char c) { return c >= '0' && c <= '7'; });
    if (octal && std::stoi(*text, nullptr, 8) <= 0777)
        service.umask = std::stoi(*text, nullptr, 8);
    else
        fields.problem("umask", "'" + *text + "' is no umask",
                       "an octal number as text, such as \"0077\"");
}

void describe_service(PlanFields& fields, ServicePlan& service) {
    fields.visit_texts("command", service.command);
    fields.text("cwd", service.cwd);
    fields.visit_text_map("env", service.env);
    fields.visit_texts("env_pass", service.env_pass);
    fields.visit_secrets("secret_env", service.secret_env);
    describe_dependencies(fields, service);
    fields.text("user", service.user);
    std::size_t input = service.stdin_inherit ? 1 : 0;
    fields.word("stdin", {"null", "inherit"}, input);
    service.stdin_inherit = input == 1;
    fields.boolean("no_new_privs", service.no_new_privs);
    describe_umask(fields, service);
    fields.maybe_integer("nice", service.nice, -20, kPriorityMax);
    fields.maybe_integer("oom_score_adj", service.oom_score_adj, -1000, 1000);
    describe_limits(fields, service.limits);
    describe_signal(fields, "stop_signal", service.stop_signal);
    fields.duration("stop_timeout", service.stop_timeout);
    fields.word("stop_mode", {"leader", "group"}, service.stop_mode);
    describe_success_codes(fields, service.success_exit_status);
    describe_forwarded(fields, service.forward_signals);
    fields.visit_duration("onboarding_deadline", service.onboarding_deadline, 1ms);
    describe_service_log(fields, service.log);
    const bool any_probe = service.startup || service.liveness || service.readiness;
    if (!fields.enter("probe", any_probe)) return;
    describe_role(fields, "startup", ProbeRole::startup, service.startup);
    describe_role(fields, "liveness", ProbeRole::liveness, service.liveness);
    describe_role(fields, "readiness", ProbeRole::readiness, service.readiness);
    fields.leave();
}

void describe_launcher(PlanFields& fields, Plan& plan) {
    if (!fields.enter("launcher", true)) return;
    fields.duration("stop_total", plan.stop_total);
    std::size_t parallel = plan.stop_parallel ? 1 : 0;
    fields.word("stop_order", {"reverse", "parallel"}, parallel);
    plan.stop_parallel = parallel == 1;
    fields.word("notify_ready", {"started", "ready"}, plan.notify_ready);
    fields.text("evidence_dir", plan.evidence_dir);
    fields.text("exit_record", plan.exit_record);
    fields.leave();
}

void describe_sink(PlanFields& fields, SinkPlan& sink) {
    fields.word("kind", {"stdout", "stderr", "journald", "file"}, sink.kind);
    fields.word("format", {"auto", "json", "text"}, sink.format);
    fields.size("queue", sink.queue, 16 * 1024, 64 * kMiB);
    fields.visit_text("filter", sink.filter);
    fields.text("path", sink.path);
    std::optional<std::uint64_t> max_size = sink.max_size;
    fields.visit_size("max_size", max_size, 4096, std::uint64_t{1} << 40);
    sink.max_size = *max_size;
    int max_files = static_cast<int>(sink.max_files);
    fields.integer("max_files", max_files, 1, 1000);
    sink.max_files = static_cast<unsigned>(max_files);
    fields.duration("max_age", sink.max_age, 0ms);
}

void describe_log(PlanFields& fields, LogPlan& log) {
    if (!fields.enter("log", true)) return;
    fields.text("filter", log.filter);
    fields.word("syntax", {"tracing", "env_logger"}, log.syntax);
    const auto count = fields.items("sink", log.sinks.size());
    log.sinks.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
        fields.enter_item("sink", i);
        describe_sink(fields, log.sinks[i]);
        fields.leave();
    }
    fields.leave();
}

void describe_health(PlanFields& fields, HealthPlan& health) {
    if (!fields.enter("health", true)) return;
    fields.visit_texts("listen", health.listen);
    fields.text("unix", health.unix_path);
    fields.boolean("allow_remote", health.allow_remote);
    fields.text("token_file", health.token_file);
    fields.leave();
}

}  // namespace

const std::vector<std::string>& probe_kind_words() {
    static const std::vector<std::string> words = {"tcp",       "tls",  "http",   "https",
                                                   "http-auto", "unix", "notify", "log-line",
                                                   "exec",      "all",  "any"};
    return words;
}
const std::vector<std::string>& probe_role_words() {
    static const std::vector<std::string> words = {"startup", "liveness", "readiness"};
    return words;
}
const std::vector<std::string>& log_format_words() {
    static const std::vector<std::string> words = {"auto", "tracing", "json", "pino", "plain"};
    return words;
}

void PlanFields::duration(std::string_view key, milliseconds& value, milliseconds min) {
    std::optional<milliseconds> found = value;
    visit_duration(key, found, min);
    value = found.value_or(value);
}
void PlanFields::size(std::string_view key, std::size_t& value, std::uint64_t min,
                      std::uint64_t max) {
    std::optional<std::uint64_t> found = value;
    visit_size(key, found, min, max);
    value = static_cast<std::size_t>(found.value_or(value));
}
void PlanFields::text(std::string_view key, std::string& value) {
    std::optional<std::string> found = value;
    visit_text(key, found);
    if (found) value = *found;
}
void PlanFields::boolean(std::string_view key, bool& value) {
    std::optional<bool> found = value;
    visit_boolean(key, found);
    value = found.value_or(value);
}
void PlanFields::integer(std::string_view key, int& value, int min, int max) {
    std::optional<std::int64_t> found = value;
    visit_integer(key, found, min, max);
    value = static_cast<int>(found.value_or(value));
}
void PlanFields::maybe_integer(std::string_view key, std::optional<int>& value, int min, int max) {
    std::optional<std::int64_t> found;
    if (value) found = *value;
    visit_integer(key, found, min, max);
    if (found) value = static_cast<int>(*found);
}

void describe_plan(PlanFields& fields, Plan& plan) {
    int version = 1;
    fields.integer("version", version, 1, 1);
    describe_launcher(fields, plan);
    describe_log(fields, plan.log);
    describe_health(fields, plan.health);
    if (!fields.enter("service", !plan.services.empty())) return;
    std::vector<std::string> present;
    for (const auto& service : plan.services) present.push_back(service.name);
    const auto names = fields.names(present);
    for (const auto& name : names) {
        auto found = std::find_if(plan.services.begin(), plan.services.end(),
                                  [&](const ServicePlan& service) { return service.name == name; });
        if (found == plan.services.end()) {
            plan.services.emplace_back().name = name;
            found = plan.services.end() - 1;
        }
        if (!fields.enter(name, true)) continue;
        describe_service(fields, *found);
        fields.leave();
    }
    fields.leave();
}

}  // namespace launcher
