#include "launcher/plan/plan_checks.hpp"

#include "launcher/plan/plan_fields.hpp"
#include "launcher/plan/start_order.hpp"
#include "launcher/plan/url_parts.hpp"

#include <algorithm>
#include <cctype>
#include <csignal>
#include <map>
#include <set>

namespace launcher {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMaxQueues =
    12 * 1024 * 1024;  ///< of all sinks: what fits into the launcher's 24 MiB

std::string seconds(milliseconds span) {
    if (span.count() % 1000 == 0) return std::to_string(span.count() / 1000) + "s";
    return std::to_string(span.count()) + "ms";
}

bool is_one_of(ProbeKind kind, std::initializer_list<ProbeKind> kinds) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

/// One probe and the place where it stands.
struct ProbeAt {
    const ProbePlan& probe;
    std::string path;
};

void check_timeouts(const ProbeAt& at, const PlanTables& tables) {
    const auto& limits = at.probe.timeouts;
    const auto longest = std::max(
        {limits.resolve, limits.connect, limits.tls, limits.request, limits.headers, limits.body});
    if (longest > limits.total)
        tables.problem(at.path + ".timeouts", "total",
                       "the probe's total of " + seconds(limits.total) +
                           " is shorter than one of its stages (" + seconds(longest) + ")",
                       "raise total or lower the stage");
    if (at.probe.role != ProbeRole::startup && limits.total > 10 * at.probe.interval)
        tables.warning(at.path, "interval",
                       "a probe may take " + seconds(limits.total) + " and is repeated every " +
                           seconds(at.probe.interval),
                       "a probe never overlaps itself; lower timeouts.total");
}

void check_tls(const ProbeAt& at, const PlanTables& tables) {
    const auto& probe = at.probe;
    if (probe.verify == "ca-file" && probe.ca_file.empty())
        tables.problem(at.path, "verify", "verify = \"ca-file\" needs ca_file",
                       "ca_file = \"/path/to/ca.pem\"");
    if (probe.client_cert_file.empty() != probe.client_key_file.empty())
        tables.problem(at.path,
                       probe.client_key_file.empty() ? "client_cert_file" : "client_key_file",
                       "a client certificate and its key belong together",
                       "set both client_cert_file and client_key_file, or none");
    if (probe.verify != "pin-sha256") return;
    const bool hex = probe.pin_sha256.size() == 64 &&
                     std::all_of(probe.pin_sha256.begin(), probe.pin_sha256.end(), [](char c) {
                         return std::isxdigit(static_cast<unsigned char>(c)) != 0;
                     });
    if (!hex)
        tables.problem(at.path, "pin_sha256",
                       "a pin is the SHA-256 of the certificate as 64 hexadecimal digits");
}

void check_http(const ProbeAt& at, const PlanTables& tables) {
    const auto& probe = at.probe;
    const auto parts = split_url(probe.url);
    if (!parts) {
        tables.problem(at.path, "url",
                       probe.url.empty() ? "a probe of this kind needs a url"
                                         : "'" + probe.url + "' is no http URL",
                       "url = \"http://127.0.0.1:9200/health\"");
        return;
    }
    if (probe.kind == ProbeKind::http && parts->scheme != "http")
        tables.problem(at.path, "url", "kind \"http\" needs an http:// URL", "or kind = \"https\"");
    if (probe.kind == ProbeKind::https && parts->scheme != "https")
        tables.problem(at.path, "url", "kind \"https\" needs an https:// URL",
                       "or kind = \"http\"");
    if (probe.kind == ProbeKind::http_auto && probe.ready_phases.empty())
        tables.problem(at.path, "ready_phases", "no phase counts as ready",
                       "ready_phases = [\"serving\"]");
    for (const auto& [pointer, value] : probe.expect_json)
        if (!pointer.empty() && !pointer.starts_with('/'))
            tables.problem(at.path + ".expect_json", pointer,
                           "'" + pointer + "' is no JSON pointer",
                           "it starts with a slash: \"/status\"");
}

void check_probe(const ProbeAt& at, const PlanTables& tables);

void check_kind(const ProbeAt& at, const PlanTables& tables) {
    const auto& probe = at.probe;
    switch (probe.kind) {
        case ProbeKind::tcp:
        case ProbeKind::tls:
            if (probe.host.empty())
                tables.problem(at.path, "host", "a probe of this kind needs a host",
                               "host = \"127.0.0.1\"");
            if (probe.port == 0)
                tables.problem(at.path, "port", "a probe of this kind needs a port", "port = 9100");
            break;
        case ProbeKind::http:
        case ProbeKind::https:
        case ProbeKind::http_auto:
            check_http(at, tables);
            break;
        case ProbeKind::unix_socket:
            if (!probe.path.starts_with('/'))
                tables.problem(at.path, "path",
                               "a probe of this kind needs the absolute path of a socket");
            break;
        case ProbeKind::notify:
            break;
        case ProbeKind::log_line:
            if (probe.pattern.empty())
                tables.problem(at.path, "pattern", "a probe of this kind needs a pattern");
            break;
        case ProbeKind::exec:
            if (probe.command.empty())
                tables.problem(at.path, "command", "a probe of this kind needs a command",
                               "command = [\"/bin/check\"]");
            break;
        case ProbeKind::all:
        case ProbeKind::any:
            if (probe.probes.empty())
                tables.problem(at.path, "probes", "a combination of probes needs at least one",
                               "[[" + at.path + ".probes]]");
            for (std::size_t i = 0; i < probe.probes.size(); ++i)
                check_probe({probe.probes[i], at.path + ".probes[" + std::to_string(i) + "]"},
                            tables);
            break;
    }
}

void check_probe(const ProbeAt& at, const PlanTables& tables) {
    check_kind(at, tables);
    check_timeouts(at, tables);
    check_tls(at, tables);
    // Keys that this kind of probe never reads are mistakes of the person, not of the program.
    const bool http = is_one_of(at.probe.kind, {ProbeKind::http, ProbeKind::https,
                                                ProbeKind::http_auto, ProbeKind::unix_socket});
    if (!http && tables.has(at.path, "expect_status"))
        tables.problem(at.path, "expect_status", "only http probes have a status",
                       "remove it, or kind = \"http\"");
    if (at.probe.role != ProbeRole::startup && tables.has(at.path, "deadline"))
        tables.problem(at.path, "deadline", "only the startup probe has a deadline",
                       "[service.NAME.probe.startup] deadline = \"30s\"");
    if (at.probe.role == ProbeRole::startup && at.probe.deadline == 0ms)
        tables.warning(at.path, "deadline",
                       "the startup probe has no deadline: a service that never comes up is waited "
                       "for without end",
                       "deadline = \"30s\"");
}

std::vector<ProbeAt> probes_of(const ServicePlan& service) {
    std::vector<ProbeAt> probes;
    const auto path = "service." + service.name + ".probe.";
    if (service.startup) probes.push_back({*service.startup, path + "startup"});
    if (service.liveness) probes.push_back({*service.liveness, path + "liveness"});
    if (service.readiness) probes.push_back({*service.readiness, path + "readiness"});
    return probes;
}

void check_dependencies(const Plan& plan, const ServicePlan& service, const PlanTables& tables) {
    std::vector<std::string> names;
    for (const auto& other : plan.services)
        if (other.name != service.name) names.push_back(other.name);
    for (const auto& [name, state] : service.depends_on) {
        if (name == service.name) continue;  // a cycle of one, reported as such
        if (std::find(names.begin(), names.end(), name) != names.end()) continue;
        const auto nearest = runtime::nearest_word(name, names);
        tables.problem(
            "service." + service.name + ".depends_on", name,
            "service '" + service.name + "' depends on '" + name + "', which is not configured",
            nearest ? "did you mean '" + *nearest + "'?" : "");
    }
}

void check_environment(const ServicePlan& service, const PlanTables& tables) {
    const auto path = "service." + service.name;
    std::set<std::string> secret;
    for (const auto& [name, source] : service.secret_env) secret.insert(name);
    for (const auto& [name, value] : service.env) {
        if (name.empty() || name.find('=') != std::string::npos)
            tables.problem(path + ".env", name, "'" + name + "' cannot be the name of a variable");
        if (secret.contains(name))
            tables.problem(path + ".env", name,
                           "variable '" + name + "' is set in env and in secret_env");
        else if (is_secret_name(name))
            tables.problem(path + ".env", name,
                           "the value of '" + name +
                               "' looks like a secret and would be readable in the configuration",
                           "secret_env = { " + name + " = { credential = \"name\" } }");
    }
    for (const auto& name : service.env_pass)
        if (name.find('=') != std::string::npos)
            tables.problem(
                path, "env_pass",
                "env_pass lists names, not values: '" + name.substr(0, name.find('=')) + "=…'",
                "env = { NAME = \"value\" }");
}

void check_service(const Plan& plan, const ServicePlan& service, const PlanTables& tables) {
    const auto path = "service." + service.name;
    const bool name_ok = !service.name.empty() && service.name != "launcher" &&
                         std::all_of(service.name.begin(), service.name.end(), [](char c) {
                             return std::islower(static_cast<unsigned char>(c)) != 0 ||
                                    std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '-' ||
                                    c == '_';
                         });
    if (!name_ok)
        tables.problem("service", service.name,
                       "'" + service.name + "' cannot be the name of a service",
                       "lower-case letters, digits, '-' and '_'; not 'launcher'");
    const bool no_command =
        service.command.empty() ? !tables.has(path, "command") : service.command.front().empty();
    if (no_command)
        tables.problem(path, "command", "service '" + service.name + "' has no command",
                       "command = [\"/usr/local/bin/program\", \"--option\"]");
    if (service.command.size() == 1 && service.command.front().find(' ') != std::string::npos)
        tables.warning(path, "command", "the command is one word with blanks in it",
                       "one list element for each word: there is no shell");
    if (!service.cwd.empty() && !service.cwd.starts_with('/'))
        tables.problem(path, "cwd", "cwd must be an absolute path");
    if (service.stop_signal == SIGKILL || service.stop_signal == SIGSTOP)
        tables.problem(path, "stop_signal", "a service cannot clean up after this signal",
                       "SIGTERM");
    if (service.stop_timeout > plan.stop_total)
        tables.problem(path, "stop_timeout",
                       "stop_timeout " + seconds(service.stop_timeout) +
                           " is longer than launcher.stop_total " + seconds(plan.stop_total),
                       "everything has to end within stop_total");
    check_dependencies(plan, service, tables);
    check_environment(service, tables);
    for (const auto& at : probes_of(service)) check_probe(at, tables);
}

/// Services without a stop_timeout share what the others leave of stop_total, up to the default
/// each.
void share_stop_total(Plan& plan, const PlanTables& tables) {
    if (plan.stop_parallel) return;
    auto left = plan.stop_total;
    std::vector<ServicePlan*> open;
    for (auto& service : plan.services) {
        if (tables.has("service." + service.name, "stop_timeout"))
            left -= service.stop_timeout;
        else
            open.push_back(&service);
    }
    if (open.empty()) return;
    const auto share = std::max<milliseconds>(left / static_cast<int>(open.size()), 500ms);
    for (auto* service : open) service->stop_timeout = std::min(service->stop_timeout, share);
}

void check_stop_sum(const Plan& plan, const PlanTables& tables) {
    if (plan.stop_parallel) return;
    milliseconds sum{0};
    for (const auto& service : plan.services) sum += service.stop_timeout;
    if (sum > plan.stop_total && !plan.services.empty())
        tables.problem("launcher", "stop_total",
                       "the services' stop_timeout add up to " + seconds(sum) +
                           ", more than stop_total " + seconds(plan.stop_total) +
                           ": the last one may get less time than it is promised",
                       "raise stop_total, lower a stop_timeout, or stop_order = \"parallel\"");
}

void check_log(const LogPlan& log, const PlanTables& tables) {
    const auto filter = [&](const std::string& path, const std::string& text) {
        std::vector<runtime::LogFilterProblem> problems;
        (void)runtime::LogFilter::parse(text, log.syntax, problems);
        for (const auto& problem : problems)
            tables.problem_inside(path, "filter", problem.column, problem.text, problem.hint);
    };
    if (tables.has("log", "filter")) filter("log", log.filter);
    std::size_t queues = 0;
    std::set<std::string> files;
    for (std::size_t i = 0; i < log.sinks.size(); ++i) {
        const auto& sink = log.sinks[i];
        const auto path = "log.sink[" + std::to_string(i) + "]";
        queues += sink.queue;
        if (sink.filter) filter(path, *sink.filter);
        if (sink.kind != SinkKind::file) continue;
        if (!sink.path.starts_with('/'))
            tables.problem(path, "path", "a sink of kind \"file\" needs an absolute path",
                           "path = \"/var/log/kms/launcher.log\"");
        else if (!files.insert(sink.path).second)
            tables.problem(path, "path", "two sinks write to '" + sink.path + "'");
    }
    if (log.sinks.empty())
        tables.problem("log", "sink", "no sink: every log line would be lost",
                       "[[log.sink]] kind = \"stdout\"");
    if (queues > kMaxQueues)
        tables.problem(
            "log", "sink", "the sinks' queues add up to " + std::to_string(queues / 1024) + " KiB",
            "together at most 12MiB, so that the launcher stays within its memory bound");
}

void check_health(const Plan& plan, const PlanTables& tables) {
    std::set<std::string> seen;
    for (const auto& address : plan.health.listen) {
        const auto parts = split_address(address, true);
        if (!parts) {
            tables.problem("health", "listen", "'" + address + "' is no address to listen on",
                           "\"127.0.0.1:9180\" or \"[::1]:9180\"");
            continue;
        }
        if (parts->port != 0 && !seen.insert(address).second)
            tables.problem("health", "listen", "'" + address + "' is listed twice");
        if (!is_loopback(parts->host) && !plan.health.allow_remote)
            tables.problem("health", "listen",
                           "'" + address + "' can be reached from other machines",
                           "allow_remote = true, if that is wanted");
    }
    if (plan.health.listen.empty() && plan.health.unix_path.empty())
        tables.problem("health", "listen", "the health endpoint listens nowhere",
                       "listen = [\"127.0.0.1:9180\"]");
    if (!plan.health.unix_path.empty() && !plan.health.unix_path.starts_with('/'))
        tables.problem("health", "unix", "unix must be an absolute path");
}

std::uint16_t port_of(const ProbePlan& probe) {
    if (probe.port != 0) return probe.port;
    const auto parts = split_url(probe.url);
    return parts ? parts->port : std::uint16_t{0};
}

/// Two services that are probed on one port, or a service probed on the launcher's own.
void check_ports(const Plan& plan, const PlanTables& tables) {
    std::map<std::uint16_t, std::string> owners;
    for (const auto& address : plan.health.listen)
        if (const auto parts = split_address(address, true); parts && parts->port != 0)
            owners.emplace(parts->port, "the health endpoint");
    for (const auto& service : plan.services) {
        std::set<std::uint16_t> own;
        for (const auto& at : probes_of(service)) {
            const auto port = port_of(at.probe);
            if (port == 0 || !own.insert(port).second) continue;
            const auto [found, is_new] = owners.emplace(port, "service '" + service.name + "'");
            if (!is_new)
                tables.problem(at.path, at.probe.port != 0 ? "port" : "url",
                               "port " + std::to_string(port) + " is also that of " + found->second,
                               "each service has its own port");
        }
    }
}

}  // namespace

bool is_secret_name(std::string_view name) {
    std::string upper(name);
    std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) {
        return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    });
    constexpr std::string_view kWords[] = {"KEY",  "TOKEN",   "SECRET",     "PASSWORD", "PASSWD",
                                           "PASS", "PRIVATE", "CREDENTIAL", "MNEMONIC", "DSN"};
    return std::any_of(
               std::begin(kWords), std::end(kWords),
               [&](std::string_view word) { return upper.find(word) != std::string::npos; }) ||
           upper.ends_with("_URL");
}

void check_plan(Plan& plan, const PlanTables& tables) {
    if (plan.services.empty())
        tables.problem("", "service", "no service is configured",
                       "[service.kms] command = [\"dstack-kms\"]");
    share_stop_total(plan, tables);
    for (const auto& service : plan.services) check_service(plan, service, tables);
    const auto input =
        std::count_if(plan.services.begin(), plan.services.end(),
                      [](const ServicePlan& service) { return service.stdin_inherit; });
    if (input > 1)
        tables.problem("service." + plan.services.back().name, "stdin",
                       "only one service can inherit stdin");
    check_stop_sum(plan, tables);
    check_log(plan.log, tables);
    check_health(plan, tables);
    check_ports(plan, tables);

    const auto order = start_order(plan.services);
    if (!order.cycle.empty()) {
        std::string chain;
        for (const auto& name : order.cycle) chain += (chain.empty() ? "" : " → ") + name;
        tables.problem("service." + order.cycle.front(), "depends_on",
                       "the services wait for each other: " + chain,
                       "remove one depends_on of the circle");
        return;
    }
    std::vector<ServicePlan> sorted;
    sorted.reserve(plan.services.size());
    for (const auto index : order.order) sorted.push_back(plan.services[index]);
    plan.services = std::move(sorted);
}

}  // namespace launcher
