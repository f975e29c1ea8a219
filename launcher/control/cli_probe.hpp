/// `kms-launcher probe URL`: one layered probe, shown stage by stage. Source: spec "launcher"
/// section 2.4, 8.4.
#pragma once

#include "launcher/control/cli_io.hpp"
#include "launcher/plan/probe_result.hpp"

#include <span>
#include <string>
#include <string_view>

namespace launcher {

/// probe URL [--timeout 8s] [--expect-status N[,N]] [--expect-body TEXT] [--insecure | --ca-file
/// FILE] [--json]; URL is http://, https://, http-auto://, tcp://, tls:// or unix:/path. Exit
/// status: 0 ok, 1 any other outcome, 64 bad arguments.
int run_probe_command(std::span<const std::string_view> args, const CliIo& io);

/// Pure: the table for people and the line for machines.
std::string probe_text(const std::string& url, const ProbeResult& result);
std::string probe_json(const std::string& url, const ProbeResult& result);

}  // namespace launcher
