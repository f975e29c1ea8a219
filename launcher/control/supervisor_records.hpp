/// The launcher's own lifecycle records. Pure: values in, a record out. Source: spec "launcher"
/// sections 1.5, 2.6, 3.7.
#pragma once

#include "launcher/control/service_unit.hpp"
#include "launcher/logs/record.hpp"
#include "launcher/supervise/diagnosis.hpp"
#include "launcher/supervise/exit_status.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace launcher {

/// A record of the launcher; times are set by whoever emits it.
logs::Record launcher_record(runtime::LogLevel level, std::string_view action, std::string message,
                             logs::Fields fields = {}, std::string_view logger = "launcher");

/// "1.5s", "250ms".
std::string span_text(runtime::Duration span);
/// Ready JSON: an object and an array of texts, and an array of probe results with their stage
/// times.
logs::JsonText json_object(const std::map<std::string, std::string>& values);
logs::JsonText json_texts(const std::vector<std::string>& texts);
logs::JsonText json_results(const std::vector<ProbeResult>& results);

logs::Record exit_record(const ServiceUnit& unit, const ChildEnd& end, bool expected,
                         runtime::Duration uptime, const std::vector<std::string>& last_lines);
logs::Record probe_change_record(const ServiceUnit& unit, const ProbeTrack& track,
                                 const ProbeResult& result, std::optional<ProbeOutcome> before);
logs::Record freeze_record(const ServiceUnit& unit, const FreezeChange& change,
                           const std::string& sentence);
/// Everything about a start that took too long.
logs::Record missed_deadline_record(const ServiceUnit& unit, const Diagnosis& diagnosis,
                                    const std::vector<Listener>& listeners,
                                    const std::vector<std::string>& last_lines);
logs::Record launcher_exit_record(const Ending& ending, const std::vector<ServiceEnd>& ends,
                                  int status, const logs::PipelineCounters& counters,
                                  std::uint64_t orphans_reaped);
/// "kms onboarding; auth-eth ready", for systemd's status line.
std::string status_line(const std::vector<std::unique_ptr<ServiceUnit>>& units);
/// The document of the `exit_record` file.
std::string exit_document(const Ending& ending, const std::vector<ServiceEnd>& ends, int status);

}  // namespace launcher
