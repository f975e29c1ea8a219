/// The environment of a service: an allow list, its own values, its secrets. Source: spec
/// "launcher" sections 1.2, 8.1.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/runtime/result.hpp"
#include "launcher/runtime/secret.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace launcher {

/// The values of one service's secret variables.
using ServiceSecrets = std::vector<std::pair<std::string, runtime::SecretBytes>>;

/// Reads them from where the plan says; a variable that is not set is left out. Errors: a
/// credential or file that cannot be read, or that everybody may write; the text names it, never
/// its content.
runtime::Result<ServiceSecrets> read_secrets(
    const ServicePlan& service, const std::map<std::string, std::string>& own_environment,
    std::vector<std::string>& warnings);

/// Every "NAME=value" that the service gets. What speaks to systemd in the launcher's name is never
/// passed on, even when env_pass lists it.
std::vector<std::string> service_environment(
    const ServicePlan& service, const std::map<std::string, std::string>& own_environment,
    const ServiceSecrets& secrets, std::vector<std::string>& warnings);

}  // namespace launcher
