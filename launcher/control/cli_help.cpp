#include "launcher/control/cli_help.hpp"

#include "launcher/runtime/config.hpp"

#include <algorithm>
#include <utility>

namespace launcher {
namespace {

constexpr std::string_view kHelp =
    R"(usage: kms-launcher [COMMAND] [OPTION...]
  run           start the services, stay to their end, restart none (default)
  check         report every mistake of the configuration [--offline] [--json]
  print-config  every key with its value and where that comes from [--json]
  status        what a running launcher knows [--json]
  health        is all well? exit status 0 or 1 [--ready]
  evidence      what was recorded about freezes [--last] [SERVICE]
  log-level     change the log filter of a service: log-level SERVICE FILTER
  probe URL     ask a service once, layer by layer [--json]
  poll URL      ask again and again, count the answers [--for 10m] [--every 5s]
  version       print the version [--json]
options
  -c, --config FILE  default /etc/kms/launcher.toml if there is one, or built in
  --log FILTER       what is logged, such as info,kms=debug
  --allow-watchdog   run although systemd expects a watchdog to be fed
  --pdeathsig        run: end with the process that started the launcher
  --help             after a command: all of its options
signals: TERM, INT stop in order, twice: kill; HUP reopens log files, reloads
  the filter; USR1 takes evidence; USR2 logs the status; QUIT: evidence, stop
status: 0 stopped as asked; n or 128+signal of the first service to end unasked
  (80 if it ended with 0); 126, 127 a program cannot run; 75 not started in
  time; 64, 78 mistakes; 70 internal error. Manual: kms-launcher(1)
)";

struct Usage {
    std::string name;
    std::string_view text;
};

const std::vector<Usage>& usages() {
    static const std::vector<Usage> all = {
        {"run",
         "usage: kms-launcher [run] [--config FILE] [--log FILTER] [--allow-watchdog]\n"
         "                    [--pdeathsig]\n"},
        {"check",
         "usage: kms-launcher check [--config FILE] [--log FILTER] [--offline] [--json]\n"},
        {"print-config",
         "usage: kms-launcher print-config [--config FILE] [--log FILTER] [--offline]\n"
         "                    [--json]\n"},
        {"status",
         "usage: kms-launcher status [--json] [--socket PATH | --url URL] [--config FILE]\n"
         "                    [--timeout 3s]\n"},
        {"health",
         "usage: kms-launcher health [--ready] [--socket PATH | --url URL]\n"
         "                    [--config FILE] [--timeout 3s]\n"},
        {"evidence",
         "usage: kms-launcher evidence [--last | --list] [--json] [--socket PATH]\n"
         "                    [--config FILE] [--timeout 10s] [SERVICE]\n"},
        {"log-level",
         "usage: kms-launcher log-level [--reset] [--socket PATH] [--config FILE]\n"
         "                    [--timeout 3s] [SERVICE [FILTER]]\n"},
        {"probe",
         "usage: kms-launcher probe URL [--timeout 8s] [--expect-status N[,N]]\n"
         "                    [--expect-body TEXT] [--insecure | --ca-file FILE] [--json]\n"
         "URL: http:// https:// http-auto:// tcp://HOST:PORT tls://HOST:PORT unix:/PATH\n"},
        {"poll",
         "usage: kms-launcher poll URL [--for 10m] [--every 5s] [--timeout 5s] [--count N]\n"
         "                    [--concurrency N] [--insecure | --ca-file FILE] [--json]\n"
         "                    [--quiet]\n"},
        {"version", "usage: kms-launcher version [--json]\n"},
    };
    return all;
}

}  // namespace

std::string_view help_text() {
    return kHelp;
}

const std::vector<std::string>& cli_commands() {
    static const std::vector<std::string> names = [] {
        std::vector<std::string> list;
        for (const auto& usage : usages()) list.push_back(usage.name);
        return list;
    }();
    return names;
}

std::string_view usage_of(std::string_view command) {
    const auto found = std::find_if(usages().begin(), usages().end(),
                                    [&](const Usage& usage) { return usage.name == command; });
    return found == usages().end() ? std::string_view{} : found->text;
}

std::string unknown_command(std::string_view word) {
    const auto hint = runtime::did_you_mean(word, cli_commands());
    return "unknown command '" + std::string(word) + "'; " +
           (hint.empty() ? "see kms-launcher --help" : hint);
}

}  // namespace launcher
