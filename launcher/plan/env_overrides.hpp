/// LAUNCHER_ variables: LAUNCHER_SERVICE__KMS__STOP_TIMEOUT=8s is service.kms.stop_timeout.
/// Source: spec "launcher" section 8.2.
#pragma once

#include "launcher/runtime/config.hpp"

#include <map>
#include <string>

namespace launcher {

using Environment = std::map<std::string, std::string>;  ///< name → value

/// Sets every LAUNCHER_ variable of `environment` in `document`, whose services are known by then.
/// A variable that belongs to no key is a problem with the nearest known name. LAUNCHER_LOG is
/// log.filter; LAUNCHER_HEALTH is for the client commands and left alone.
void apply_environment(const Environment& environment, runtime::ConfigDocument& document,
                       runtime::ConfigProblems& problems);

}  // namespace launcher
