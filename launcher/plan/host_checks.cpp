#include "launcher/plan/plan_checks.hpp"
#include "launcher/plan/url_parts.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace launcher {
namespace {

constexpr std::size_t kMaxKmsConfig = 1024 * 1024;
constexpr const char* kUsualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string value_of(const Environment& environment, const std::string& name) {
    const auto found = environment.find(name);
    return found == environment.end() ? "" : found->second;
}

FoundCommand look_at(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return {path, errno};
    if (!S_ISREG(status.st_mode)) return {path, EACCES};
    // Root may "execute" everything by access(2), but the kernel wants at least one x bit.
    if ((status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) == 0) return {path, EACCES};
    if (::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) != 0) return {path, errno};
    return {path, 0};
}

void check_credentials(const ServicePlan& service, const Environment& environment,
                       const PlanTables& tables) {
    const auto path = "service." + service.name + ".secret_env";
    const auto directory = value_of(environment, "CREDENTIALS_DIRECTORY");
    for (const auto& [name, source] : service.secret_env) {
        switch (source.from) {
            case SecretSource::From::environment:
                if (!environment.contains(source.name))
                    tables.warning(
                        path, name,
                        "variable " + source.name + " is not set; the service starts without it",
                        "set it in the launcher's environment");
                break;
            case SecretSource::From::credential:
                if (directory.empty())
                    tables.problem(path, name,
                                   "credential '" + source.name +
                                       "' cannot be read: CREDENTIALS_DIRECTORY is not set",
                                   "LoadCredential=" + source.name + ":/path in the unit");
                else if (::access((directory + "/" + source.name).c_str(), R_OK) != 0)
                    tables.problem(
                        path, name,
                        "credential '" + source.name + "' cannot be read: " + std::strerror(errno),
                        "LoadCredential=" + source.name + ":/path in the unit");
                break;
            case SecretSource::From::file:
                if (::access(source.name.c_str(), R_OK) != 0)
                    tables.problem(path, name,
                                   "secret file '" + source.name +
                                       "' cannot be read: " + std::strerror(errno));
                break;
        }
    }
}

/// The KMS's configuration file, from its command line; empty when it names none.
std::string kms_config_path(const ServicePlan& service) {
    for (std::size_t i = 1; i < service.command.size(); ++i) {
        const auto& word = service.command[i];
        if ((word == "-c" || word == "--config") && i + 1 < service.command.size())
            return service.command[i + 1];
        if (word.starts_with("--config=")) return word.substr(9);
    }
    return "";
}

std::uint16_t probed_port(const ServicePlan& service) {
    for (const auto* probe : {&service.startup, &service.liveness, &service.readiness}) {
        if (!*probe) continue;
        if ((*probe)->port != 0) return (*probe)->port;
        if (const auto parts = split_url((*probe)->url)) return parts->port;
    }
    return 0;
}

void check_own_port(const ServicePlan& service, const PlanTables& tables) {
    const auto port = std::find_if(service.env.begin(), service.env.end(),
                                   [](const auto& entry) { return entry.first == "PORT"; });
    const auto probed = probed_port(service);
    if (port == service.env.end() || probed == 0 || port->second == std::to_string(probed)) return;
    tables.problem("service." + service.name + ".env", "PORT",
                   "service '" + service.name + "' is told to listen on port " + port->second +
                       ", but is probed on port " + std::to_string(probed),
                   "make PORT and the probe URLs agree");
}

/// Ports are not guessed: what the KMS reads and what the launcher probes must agree.
void check_kms_file(const Plan& plan, const ServicePlan& service, const PlanTables& tables) {
    const auto file = kms_config_path(service);
    if (file.empty()) return;
    const auto where = "service." + service.name;
    const auto text = runtime::read_file(file, kMaxKmsConfig);
    if (!text) {
        tables.warning(where, "command",
                       "the configuration of '" + service.name +
                           "' cannot be compared: " + text.error().context,
                       "");
        return;
    }
    runtime::ConfigProblems problems;  // the KMS reports its own mistakes when it starts
    runtime::ConfigDocument document;
    document.merge_toml(*text, file, problems);
    auto root = document.root(problems);
    const auto rpc = root.table("rpc");
    const auto configured =
        rpc ? runtime::ConfigTable(*rpc).integer("port", 1, 65535) : std::nullopt;
    const auto port = configured.value_or(0);  // 0: the file leaves it open
    const auto probed = probed_port(service);
    if (port != 0 && probed != 0 && port != probed)
        tables.problem(where + ".probe", "startup",
                       "'" + service.name + "' is probed on port " + std::to_string(probed) +
                           ", but [rpc] port in " + file + " is " + std::to_string(port),
                       "make both agree");
    auto core = root.table("core");
    auto auth = core ? core->table("auth_api") : std::nullopt;
    auto webhook = auth ? auth->table("webhook") : std::nullopt;
    const auto url = webhook ? webhook->text("url") : std::nullopt;
    const auto parts = url ? split_url(*url) : std::nullopt;
    if (!parts || !is_loopback(parts->host)) return;
    for (const auto& [name, state] : service.depends_on) {
        const auto other =
            std::find_if(plan.services.begin(), plan.services.end(),
                         [&](const ServicePlan& candidate) { return candidate.name == name; });
        if (other == plan.services.end()) continue;
        const auto theirs = probed_port(*other);
        if (theirs != 0 && theirs != parts->port)
            tables.problem("service." + name + ".probe", "startup",
                           "'" + name + "' is probed on port " + std::to_string(theirs) +
                               ", but [core.auth_api.webhook] url in " + file + " names port " +
                               std::to_string(parts->port),
                           "make both agree");
    }
}

void check_directory(const std::string& directory, const std::string& table, std::string_view key,
                     const PlanTables& tables) {
    if (directory.empty()) return;
    // The directory may still have to be made: then the nearest one above it counts.
    std::filesystem::path at(directory);
    while (!at.empty() && at != at.root_path() && ::access(at.c_str(), F_OK) != 0)
        at = at.parent_path();
    if (::access(at.c_str(), W_OK | X_OK) != 0)
        tables.warning(table, key, "'" + directory + "' is not writable: " + std::strerror(errno),
                       "what belongs there is kept in memory");
}

}  // namespace

FoundCommand find_command(std::string_view name, std::string_view path, std::string_view cwd) {
    const auto absolute = [&](std::string_view file) {
        if (file.starts_with('/') || cwd.empty()) return std::string(file);
        return std::string(cwd) + "/" + std::string(file);
    };
    if (name.find('/') != std::string_view::npos) return look_at(absolute(name));
    FoundCommand best{std::string(name), ENOENT};
    while (true) {
        const auto colon = path.find(':');
        const auto directory = path.substr(0, colon);
        const auto file = (directory.empty() ? std::string(".") : std::string(directory)) + "/" +
                          std::string(name);
        auto found = look_at(absolute(file));
        if (found.error == 0) return found;
        if (found.error == EACCES && best.error == ENOENT) best = std::move(found);
        if (colon == std::string_view::npos) return best;
        path.remove_prefix(colon + 1);
    }
}

std::string service_path(const ServicePlan& service, const Environment& environment) {
    for (const auto& [name, value] : service.env)
        if (name == "PATH") return value;
    const auto inherited = value_of(environment, "PATH");
    return inherited.empty() ? kUsualPath : inherited;
}

std::string CommandFault::to_string() const {
    return "cannot start service '" + service + "': " + path + ": " + std::strerror(error) +
           " (errno " + std::to_string(error) + ")";
}

std::vector<CommandFault> find_command_faults(const Plan& plan, const Environment& environment) {
    std::vector<CommandFault> faults;
    for (const auto& service : plan.services) {
        if (service.command.empty()) continue;
        const auto found =
            find_command(service.command.front(), service_path(service, environment), service.cwd);
        if (found.error == 0) continue;
        const bool missing = found.error == ENOENT || found.error == ENOTDIR;
        faults.push_back({service.name, found.path, found.error, missing ? 127 : 126});
    }
    return faults;
}

void check_host(const Plan& plan, const Environment& environment, const PlanTables& tables,
                runtime::ConfigProblems& problems) {
    for (const auto& service : plan.services) {
        check_credentials(service, environment, tables);
        check_own_port(service, tables);
        check_kms_file(plan, service, tables);
        if (!service.cwd.empty() && ::access(service.cwd.c_str(), X_OK) != 0)
            tables.problem("service." + service.name, "cwd",
                           "cannot enter '" + service.cwd + "': " + std::strerror(errno));
    }
    check_directory(plan.evidence_dir, "launcher", "evidence_dir", tables);
    if (!plan.exit_record.empty())
        check_directory(std::filesystem::path(plan.exit_record).parent_path(), "launcher",
                        "exit_record", tables);
    for (const auto& address : plan.health.listen) {
        const auto parts = split_address(address, true);
        if (parts && is_loopback(parts->host) && environment.contains("KUBERNETES_SERVICE_HOST"))
            tables.warning("health", "listen",
                           "'" + address +
                               "' cannot be reached by Kubernetes, whose probes come from outside "
                               "the container",
                           "listen on 0.0.0.0 with allow_remote = true, or use exec probes");
    }
    if (environment.contains("WATCHDOG_USEC")) {
        runtime::ConfigProblem problem;
        problem.file = "environment";
        problem.text =
            "WATCHDOG_USEC is set: systemd would kill the launcher, which never feeds a watchdog";
        problem.hint = "WatchdogSec=0 in the unit; or --allow-watchdog, if somebody else feeds it";
        problem.warning = true;
        problems.add(std::move(problem));
    }
}

}  // namespace launcher
