/// `kms-launcher status`: what a running launcher knows, as a table. Source: spec "launcher"
/// section 8.4.
#pragma once

#include "launcher/control/cli_health.hpp"
#include "launcher/control/cli_io.hpp"

#include <span>
#include <string>
#include <string_view>

namespace launcher {

/// status [--json] [--socket PATH | --url URL] [--config FILE] [--timeout 3s]; the address as for
/// `health`. Exit status: 0 answered, 1 no answer, 64 bad arguments.
int run_status(std::span<const std::string_view> args, const HealthPlanLoader& load,
               std::string_view environment, const CliIo& io);

/// Pure: the document of /status as tables. Errors (invalid_argument): not such a document.
runtime::Result<std::string> status_text(std::string_view document);

}  // namespace launcher
