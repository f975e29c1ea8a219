/// `kms-launcher health`: asks a running launcher's health endpoint; the image's HEALTHCHECK.
/// Source: spec "launcher" section 7.2.
#pragma once

#include "launcher/control/cli_io.hpp"
#include "launcher/plan/plan.hpp"
#include "launcher/runtime/result.hpp"

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace launcher {

/// Gives the health section of the configuration; an empty path means the usual place, or the
/// built-in text.
using HealthPlanLoader = std::function<runtime::Result<HealthPlan>(const std::string& config_path)>;

/// health [--ready] [--socket PATH | --url URL] [--config FILE] [--timeout 3s]: asks /healthz, or
/// /readyz. The address is that of the options, else `environment` (the value of LAUNCHER_HEALTH:
/// "host:port", a URL or a socket's path), else the configuration's first listener, else its unix
/// socket; 0.0.0.0 becomes 127.0.0.1. Prints one line. Exit status: 0 healthy, 1 not healthy or no
/// answer, 64 bad arguments (never 2, which Docker reserves).
int run_health(std::span<const std::string_view> args, const HealthPlanLoader& load,
               std::string_view environment, const CliIo& io);

/// The options that name a health endpoint, shared with `status`.
struct HealthAddress {
    std::string socket, url, config;
};
/// Pure but for reading the token's file: the probe that asks `path` there.
runtime::Result<ProbePlan> health_question(const HealthAddress& address,
                                           const HealthPlanLoader& load,
                                           std::string_view environment, std::string_view path);

}  // namespace launcher
