/// What the values of a configuration mean beside each other. Source: spec "launcher" section 8.3.
#pragma once

#include "launcher/plan/env_overrides.hpp"
#include "launcher/plan/plan.hpp"
#include "launcher/plan/plan_reader.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace launcher {

/// Pure: adds a problem for every mistake, through `tables`. Puts plan.services into start order.
void check_plan(Plan& plan, const PlanTables& tables);

/// Looks at this machine: directories, credentials, the KMS's own configuration file, systemd's
/// variables.
void check_host(const Plan& plan, const Environment& environment, const PlanTables& tables,
                runtime::ConfigProblems& problems);

/// A program that cannot be started: 127 when there is none, 126 when it is not executable.
struct CommandFault {
    std::string service;
    std::string path;
    int error = 0;  ///< errno
    int exit_code = 0;
    std::string to_string() const;
};
/// Where `name` is, searched in `path` (a PATH) when it has no slash, relative to `cwd`. Errors are
/// faults without a service.
struct FoundCommand {
    std::string path;
    int error = 0;  ///< errno; 0 when the file may be executed
};
FoundCommand find_command(std::string_view name, std::string_view path, std::string_view cwd);
/// The PATH of a service: its own, else the launcher's, else the usual directories.
std::string service_path(const ServicePlan& service, const Environment& environment);
std::vector<CommandFault> find_command_faults(const Plan& plan, const Environment& environment);

/// Whether a variable's name looks as if its value were a secret (section 3.9).
bool is_secret_name(std::string_view name);

}  // namespace launcher
