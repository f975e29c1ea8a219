#include "launcher/control/cli_probe.hpp"

#include "launcher/control/cli_help.hpp"
#include "launcher/probe/probe.hpp"
#include "launcher/probe/probe_url.hpp"

#include <algorithm>
#include <charconv>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace launcher {
namespace {

using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

Result<std::vector<unsigned>> read_codes(std::string_view text) {
    std::vector<unsigned> codes;
    while (!text.empty()) {
        unsigned code = 0;
        const auto comma = std::min(text.find(','), text.size());
        const auto [end, error] = std::from_chars(text.data(), text.data() + comma, code);
        if (error != std::errc{} || end != text.data() + comma || code < 100 || code > 599)
            return Error{ErrorCode::invalid_argument,
                         "--expect-status must be HTTP status codes such as 200,404"};
        codes.push_back(code);
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return codes;
}

struct Command {
    std::string url;
    ProbePlan plan;
    bool json = false;
};

Result<Command> read_command(std::span<const std::string_view> args) {
    TRY(const auto options, CliOptions::parse(args, {.flags = {"--json", "--insecure"},
                                                     .valued = {"--timeout", "--expect-status",
                                                                "--expect-body", "--ca-file"}}));
    if (options.positional().size() != 1)
        return Error{ErrorCode::invalid_argument, "one URL is needed"};
    Command command;
    command.url = options.positional().front();
    TRY(command.plan, probe_plan_from_url(command.url));
    TRY(command.plan.timeouts.total, options.duration("--timeout", milliseconds(8000)));
    if (const auto codes = options.value("--expect-status")) {
        TRY(command.plan.expect_status, read_codes(*codes));
    }
    command.plan.expect_body = options.value("--expect-body");
    if (const auto file = options.value("--ca-file")) {
        command.plan.verify = "ca-file";
        command.plan.ca_file = *file;
    }
    command.json = options.has("--json");
    return command;
}

}  // namespace

std::string probe_text(const std::string& url, const ProbeResult& result) {
    std::vector<std::vector<std::string>> rows;
    for (std::size_t i = 0; i < kProbeStages; ++i) {
        const auto spent = result.stage_times[i];
        rows.push_back({std::string(to_string(static_cast<ProbeStage>(i))),
                        spent.count() > 0 ? short_span(spent) : "-"});
    }
    std::string text = url + "\n" + cli_table(rows, 2);
    if (!result.certificate_sha256.empty())
        text += "certificate SHA-256: " + result.certificate_sha256 + "\n";
    if (!result.phase.empty()) text += "phase: " + result.phase + "\n";
    text += std::string(to_string(result.outcome));
    if (result.status != 0) text += ", status " + std::to_string(result.status);
    text += ", " + short_span(result.total) + " in all";
    return text + (result.detail.empty() ? "" : ": " + result.detail) + "\n";
}

std::string probe_json(const std::string& url, const ProbeResult& result) {
    namespace json = boost::json;
    const auto text = [](std::string_view value) {
        return json::string(value.data(), value.size());
    };
    json::object stages;
    for (std::size_t i = 0; i < kProbeStages; ++i)
        if (result.stage_times[i].count() > 0)
            stages[text(to_string(static_cast<ProbeStage>(i)))] =
                static_cast<double>(result.stage_times[i].count()) / 1000;
    json::object document;
    document["url"] = text(url);
    document["result"] = text(to_string(result.outcome));
    document["detail"] = text(result.detail);
    document["status"] = result.status == 0 ? json::value(nullptr) : json::value(result.status);
    document["phase"] =
        result.phase.empty() ? json::value(nullptr) : json::value(text(result.phase));
    document["certificate_sha256"] = result.certificate_sha256.empty()
                                         ? json::value(nullptr)
                                         : json::value(text(result.certificate_sha256));
    document["stages_ms"] = std::move(stages);
    document["total_ms"] = static_cast<double>(result.total.count()) / 1000;
    return json::serialize(document) + "\n";
}

int run_probe_command(std::span<const std::string_view> args, const CliIo& io) {
    auto command = read_command(args);
    if (!command) {
        io.err << "kms-launcher probe: " << command.error().context << "\n" << usage_of("probe");
        return kCliUsage;
    }
    boost::asio::io_context context{1};
    runtime::SystemClock clock;
    const auto deadline = runtime::Deadline::after(clock.now(), command->plan.timeouts.total);
    ProbeResult result;
    boost::asio::co_spawn(
        context, run_probe(clock, command->plan, deadline),
        [&](std::exception_ptr, ProbeResult ended) { result = std::move(ended); });
    context.run();
    io.out << (command->json ? probe_json(command->url, result) : probe_text(command->url, result))
           << std::flush;
    return result.ok() ? kCliOk : kCliFailed;
}

}  // namespace launcher
