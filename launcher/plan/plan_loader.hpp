/// From files, variables and options to a validated Plan: every mistake at once. Source: spec
/// "launcher" section 8.
#pragma once

#include "launcher/plan/env_overrides.hpp"
#include "launcher/plan/plan.hpp"
#include "launcher/plan/plan_checks.hpp"
#include "launcher/runtime/config.hpp"

#include <optional>
#include <string>
#include <vector>

namespace launcher {

inline constexpr const char* kDefaultConfigPath = "/etc/kms/launcher.toml";

struct PlanSources {
    std::optional<std::string>
        config_path;  ///< --config; else the default path if it exists, else the built-in text
    std::string default_path = kDefaultConfigPath;
    std::optional<std::string> log_filter;  ///< --log
    Environment environment;                ///< the launcher's own, whole
    bool offline = false;                   ///< look at nothing but the configuration itself
    bool commands_too =
        false;  ///< a program that cannot be started is a problem (run has 126 and 127)
};

/// One key with its effective value, for print-config.
struct EffectiveValue {
    std::string path;
    std::string value;   ///< as TOML; [set] or [unset] for secrets
    std::string origin;  ///< "launcher.toml:12", "LAUNCHER_LOG", "built-in", "default"
};

struct LoadedPlan {
    Plan plan;
    runtime::ConfigProblems problems;
    runtime::LogFilter
        filter;  ///< the launcher's own, from the first source that is set (section 4.3)
    std::vector<EffectiveValue> effective;

    bool ok() const { return !problems.has_errors(); }
};

/// Reads, merges, validates. Never throws; a file that cannot be read is a problem.
LoadedPlan load_plan(const PlanSources& sources);
/// Pure: the same for a text; `file` names it in messages.
LoadedPlan load_plan_text(const std::string& text, const std::string& file,
                          const PlanSources& sources);

}  // namespace launcher
