/// The configuration that is in force when no file is given and none exists. Source: spec
/// "launcher" section 8.1.
#pragma once

#include <string>
#include <string_view>

namespace launcher {

/// launcher.toml text. `port` is the webhook's port, from the variable PORT of the deployment;
/// empty means 9200.
std::string builtin_config(std::string_view port);

}  // namespace launcher
