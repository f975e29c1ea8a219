#include "launcher/control/cli_status.hpp"

#include "launcher/control/cli_help.hpp"
#include "launcher/probe/probe.hpp"

#include <algorithm>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>

namespace launcher {
namespace {

namespace json = boost::json;
using Rows = std::vector<std::vector<std::string>>;

constexpr std::size_t kMaxDocument = 4 * 1024 * 1024;

/// Reads members of a document that another version may have written: what is missing is shown as
/// "-".
const json::value* member(const json::value& object, std::string_view path) {
    boost::system::error_code error;
    return object.find_pointer({path.data(), path.size()}, error);
}

/// What services say about themselves must not move the cursor of a terminal.
std::string printable(std::string text) {
    std::replace_if(
        text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
    return text;
}

std::string word(const json::value& object, std::string_view path) {
    const json::value* value = member(object, path);
    if (value == nullptr || value->is_null()) return "-";
    if (value->is_string())
        return value->get_string().empty() ? "-" : printable(std::string(value->get_string()));
    if (value->is_bool()) return value->get_bool() ? "yes" : "no";
    if (value->is_int64()) return std::to_string(value->get_int64());
    if (value->is_uint64()) return std::to_string(value->get_uint64());
    return "-";
}

std::optional<double> number(const json::value& object, std::string_view path) {
    const json::value* value = member(object, path);
    if (value == nullptr || !value->is_number()) return std::nullopt;
    return value->to_number<double>();
}

std::string span_of(const json::value& object, std::string_view path, double nanoseconds_per_unit) {
    const auto value = number(object, path);
    if (!value) return "-";
    return short_span(
        std::chrono::nanoseconds(static_cast<std::int64_t>(*value * nanoseconds_per_unit)));
}
constexpr double kSecond = 1e9;
constexpr double kMillisecond = 1e6;

const json::array& list(const json::value& object, std::string_view path) {
    static const json::array empty;
    const json::value* value = member(object, path);
    return value != nullptr && value->is_array() ? value->get_array() : empty;
}

std::string size_of(const json::value& object, std::string_view path) {
    const auto value = number(object, path);
    return value ? size_text(static_cast<std::uint64_t>(*value)) : "-";
}

std::string freeze_word(const json::value& service) {
    std::string text = word(service, "/freeze/state");
    if (text != "none" && word(service, "/freeze/class") != "-")
        text += " (" + word(service, "/freeze/class") + ")";
    return text;
}

std::string exit_word(const json::value& service) {
    if (word(service, "/exit/code") != "-") return "exit " + word(service, "/exit/code");
    if (word(service, "/exit/signal_name") != "-") return word(service, "/exit/signal_name");
    return word(service, "/exit/signal");
}

std::uint64_t lines_of(const json::value& service, std::string_view level) {
    std::uint64_t sum = 0;
    for (const char* stream : {"stdout", "stderr"})
        sum += static_cast<std::uint64_t>(
            number(service, "/log/" + std::string(stream) + "/lines/" + std::string(level))
                .value_or(0));
    return sum;
}

std::string services_table(const json::value& document) {
    Rows rows{
        {"SERVICE", "STATE", "PHASE", "PID", "UP", "MEMORY", "THREADS", "FDS", "FREEZE", "ENDED"}};
    for (const auto& service : list(document, "/services"))
        rows.push_back({word(service, "/name"), word(service, "/state"), word(service, "/phase"),
                        word(service, "/pid"), span_of(service, "/uptime_seconds", kSecond),
                        size_of(service, "/process/rss_bytes"), word(service, "/process/threads"),
                        word(service, "/process/open_fds"), freeze_word(service),
                        exit_word(service)});
    return cli_table(rows);
}

std::string probes_table(const json::value& document) {
    Rows rows{{"PROBE", "KIND", "RESULT", "TIME", "ROW", "LAST OK", "DETAIL"}};
    for (const auto& service : list(document, "/services"))
        for (const auto& probe : list(service, "/probes"))
            rows.push_back({word(service, "/name") + " " + word(probe, "/name"),
                            word(probe, "/kind"), word(probe, "/last/result"),
                            span_of(probe, "/last/total_ms", kMillisecond),
                            word(probe, "/consecutive"), word(probe, "/last_ok"),
                            word(probe, "/last/detail")});
    return rows.size() == 1 ? "" : "\n" + cli_table(rows);
}

std::string logs_table(const json::value& document) {
    Rows rows{{"LOG", "DEBUG", "INFO", "WARN", "ERROR", "LOST"}};
    for (const auto& service : list(document, "/services"))
        rows.push_back({word(service, "/name"), std::to_string(lines_of(service, "debug")),
                        std::to_string(lines_of(service, "info")),
                        std::to_string(lines_of(service, "warn")),
                        std::to_string(lines_of(service, "error")), word(service, "/log/dropped")});
    Rows sinks{{"OUTPUT", "STATE", "WAITING", "WRITTEN", "LOST"}};
    for (const auto& sink : list(document, "/launcher/log/sinks"))
        sinks.push_back({word(sink, "/name"), word(sink, "/state"), size_of(sink, "/queue_bytes"),
                         word(sink, "/written"), word(sink, "/dropped")});
    return "\n" + cli_table(rows) + (sinks.size() == 1 ? "" : "\n" + cli_table(sinks));
}

std::string freezes_text(const json::value& document) {
    std::string text;
    for (const auto& service : list(document, "/services"))
        if (word(service, "/freeze/last_sentence") != "-")
            text += "last freeze of " + word(service, "/name") + ": " +
                    word(service, "/freeze/last_sentence") + "\n";
    return text.empty() ? text : "\n" + text;
}

}  // namespace

runtime::Result<std::string> status_text(std::string_view text) {
    boost::system::error_code error;
    const json::value document = json::parse({text.data(), text.size()}, error);
    if (error || member(document, "/launcher/state") == nullptr)
        return runtime::Error{runtime::ErrorCode::invalid_argument,
                              "the answer is not the status of a launcher"};
    std::string out = "launcher " + word(document, "/launcher/version") + ", " +
                      word(document, "/launcher/state") + ", pid " +
                      word(document, "/launcher/pid") + ", up " +
                      span_of(document, "/launcher/uptime_seconds", kSecond) + ", config " +
                      word(document, "/launcher/config/source") + ", log filter " +
                      word(document, "/launcher/log/filter") + "\n\n";
    return out + services_table(document) + probes_table(document) + logs_table(document) +
           freezes_text(document);
}

int run_status(std::span<const std::string_view> args, const HealthPlanLoader& load,
               std::string_view environment, const CliIo& io) {
    const auto options = CliOptions::parse(
        args, {.flags = {"--json"}, .valued = {"--socket", "--url", "--config", "--timeout"}});
    const auto misused = [&](const std::string& text) {
        io.err << "kms-launcher status: " << text << "\n" << usage_of("status");
        return kCliUsage;
    };
    if (!options) return misused(options.error().context);
    if (!options->positional().empty())
        return misused("unexpected '" + options->positional().front() + "'");
    const HealthAddress address{options->value("--socket").value_or(""),
                                options->value("--url").value_or(""),
                                options->value("--config").value_or("")};
    if (!address.socket.empty() && !address.url.empty())
        return misused("--socket and --url exclude each other");
    const auto timeout = options->duration("--timeout", milliseconds(3000));
    if (!timeout) return misused(timeout.error().context);

    const auto failed = [&](const std::string& text) {
        io.err << "kms-launcher status: " << text << "\n";
        return kCliFailed;
    };
    auto question = health_question(address, load, environment, "/status");
    if (!question) return failed(question.error().context);
    question->expect_status = {200};
    question->max_body = kMaxDocument;
    boost::asio::io_context context{1};
    runtime::SystemClock clock;
    ProbeExchange exchange;
    boost::asio::co_spawn(
        context, run_exchange(clock, *question, runtime::Deadline::after(clock.now(), *timeout)),
        [&](std::exception_ptr, ProbeExchange ended) { exchange = std::move(ended); });
    context.run();
    if (!exchange.result.ok())
        return failed("no answer from a launcher: " + exchange.result.detail);
    if (options->has("--json")) {
        io.out << exchange.body << std::endl;
        return kCliOk;
    }
    const auto text = status_text(exchange.body);
    if (!text) return failed(text.error().context);
    io.out << *text << std::flush;
    return kCliOk;
}

}  // namespace launcher
