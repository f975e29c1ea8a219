/// `kms-launcher evidence` and `kms-launcher log-level`: commands to a running launcher, over its
/// unix socket. Source: spec "launcher" sections 6.4 and 8.4.
#pragma once

#include "launcher/control/cli_health.hpp"
#include "launcher/control/cli_io.hpp"
#include "launcher/runtime/deadline.hpp"

#include <span>
#include <string>
#include <string_view>

namespace launcher {

/// evidence [--last | --list] [--json] [--socket PATH] [--config FILE] [--timeout 10s] [SERVICE].
/// Takes evidence of the service (of every one when none is named) and shows it; --last shows the
/// newest that is kept instead, --list which are kept. Exit status: 0 shown, 1 refused or no
/// answer, 64 bad arguments.
int run_evidence(std::span<const std::string_view> args, const HealthPlanLoader& load,
                 std::string_view environment, const CliIo& io);

/// log-level [--socket PATH] [--config FILE] [--timeout 3s] [SERVICE [FILTER]]. Sets the filter of
/// one service's records ("launcher": the launcher's own) until the next reload; --reset gives it
/// the common one again; without arguments the filter in force is shown. Exit status as above.
int run_log_level(std::span<const std::string_view> args, const HealthPlanLoader& load,
                  std::string_view environment, const CliIo& io);

struct ControlAnswer {
    int status = 0;
    std::string body;
};
/// One request over a unix socket; at most 4 MiB of answer. Errors (unavailable,
/// deadline_exceeded): a sentence that names the socket.
runtime::Result<ControlAnswer> ask_launcher(const std::string& socket, std::string_view method,
                                            std::string_view path, std::string_view body,
                                            runtime::Deadline deadline);

/// Pure: a document of evidence for people, one line per fact. Errors (invalid_argument): not such
/// a document.
runtime::Result<std::string> evidence_text(std::string_view document);

}  // namespace launcher
