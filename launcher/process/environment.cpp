#include "launcher/process/environment.hpp"

#include "launcher/plan/plan_checks.hpp"
#include "launcher/plan/rust_log.hpp"
#include "launcher/runtime/config.hpp"

#include <algorithm>
#include <array>

#include <sys/stat.h>

namespace launcher {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;
using runtime::SecretBytes;

constexpr std::size_t kMaxSecret = 64 * 1024;
constexpr std::array kAlwaysPassed = {
    "HOME", "LANG", "TZ", "TERM", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"};

bool belongs_to_the_launcher(std::string_view name) {
    constexpr std::array<std::string_view, 4> kNames = {"NOTIFY_SOCKET", "JOURNAL_STREAM",
                                                        "CREDENTIALS_DIRECTORY", "INVOCATION_ID"};
    return std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
           name.starts_with("LISTEN_") || name.starts_with("WATCHDOG_");
}

Result<SecretBytes> read_secret_file(const std::string& path, std::vector<std::string>& warnings) {
    struct stat status{};
    if (::stat(path.c_str(), &status) == 0) {
        if ((status.st_mode & S_IWOTH) != 0)
            return Error{ErrorCode::invalid_argument,
                         "secret file '" + path + "' may be written by everybody: chmod o-w it"};
        if ((status.st_mode & S_IROTH) != 0)
            warnings.push_back("secret file '" + path +
                               "' may be read by everybody: chmod 0400 it");
    }
    auto text = runtime::read_file(path, kMaxSecret);
    if (!text) return std::move(text.error());
    std::string_view value = *text;
    if (value.ends_with('\n')) value.remove_suffix(1);
    if (value.ends_with('\r')) value.remove_suffix(1);
    auto secret = SecretBytes::copy_of(runtime::as_bytes(value));
    runtime::wipe(*text);
    return secret;
}

}  // namespace

Result<ServiceSecrets> read_secrets(const ServicePlan& service,
                                    const std::map<std::string, std::string>& own_environment,
                                    std::vector<std::string>& warnings) {
    ServiceSecrets secrets;
    for (const auto& [name, source] : service.secret_env) {
        const auto what = "service '" + service.name + "', secret " + name;
        if (source.from == SecretSource::From::environment) {
            const auto found = own_environment.find(source.name);
            if (found == own_environment.end()) {
                warnings.push_back(what + ": variable " + source.name + " is not set");
                continue;
            }
            secrets.emplace_back(name, SecretBytes::copy_of(runtime::as_bytes(found->second)));
            continue;
        }
        auto path = source.name;
        if (source.from == SecretSource::From::credential) {
            const auto directory = own_environment.find("CREDENTIALS_DIRECTORY");
            if (directory == own_environment.end())
                return Error{ErrorCode::invalid_argument,
                             what + ": CREDENTIALS_DIRECTORY is not set"};
            path = directory->second + "/" + source.name;
        }
        TRY(auto value, read_secret_file(path, warnings).within(what));
        secrets.emplace_back(name, std::move(value));
    }
    return secrets;
}

std::vector<std::string> service_environment(
    const ServicePlan& service, const std::map<std::string, std::string>& own_environment,
    const ServiceSecrets& secrets, std::vector<std::string>& warnings) {
    std::map<std::string, std::string> result;
    const auto pass = [&](const std::string& name) {
        const auto found = own_environment.find(name);
        if (found != own_environment.end() && !belongs_to_the_launcher(name))
            result[name] = found->second;
    };
    result["PATH"] = service_path(service, own_environment);
    for (const char* name : kAlwaysPassed) pass(name);
    for (const auto& name : service.env_pass) pass(name);
    for (const auto& [name, value] : service.env) result[name] = value;
    if (const auto found = result.find("RUST_LOG"); found != result.end()) {
        auto normalised = normalise_rust_log(found->second);
        if (!normalised.warning.empty())
            warnings.push_back("service '" + service.name + "': " + normalised.warning);
        found->second = std::move(normalised.text);
    }
    std::vector<std::string> environment;
    for (const auto& [name, value] : result) {
        const bool secret = std::any_of(secrets.begin(), secrets.end(),
                                        [&](const auto& entry) { return entry.first == name; });
        if (!secret) environment.push_back(name + "=" + value);
    }
    for (const auto& [name, value] : secrets)
        environment.push_back(name + "=" + std::string(value.text()));
    return environment;
}

}  // namespace launcher
