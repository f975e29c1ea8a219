#include "launcher/control/cli_control.hpp"

#include "launcher/control/cli_help.hpp"
#include "launcher/process/descriptor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include <boost/json/parse.hpp>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace launcher {
namespace {

namespace json = boost::json;
using runtime::Deadline;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;
using std::chrono::steady_clock;

constexpr std::size_t kMaxAnswer = 4 * 1024 * 1024;

/// Waits for the socket; false at the deadline.
bool wait_for(int socket, short what, Deadline deadline) {
    pollfd waiting{socket, what, 0};
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline.remaining(steady_clock::now()));
    return ::poll(&waiting, 1, static_cast<int>(left.count())) > 0;
}

Error failure(const std::string& socket, std::string_view what) {
    return {ErrorCode::unavailable, "socket '" + socket + "': " + std::string(what)};
}

std::string connect_hint(int error) {
    std::string text = std::strerror(error);
    if (error == ENOENT || error == ECONNREFUSED)
        text += "; no launcher runs with this socket ([health] unix of its configuration)";
    if (error == EACCES) text += "; only root and the launcher's own user may use it";
    return text;
}

Result<ControlAnswer> parse_answer(const std::string& socket, const std::string& raw) {
    const auto end = raw.find("\r\n\r\n");
    int status = 0;
    if (end == std::string::npos || !raw.starts_with("HTTP/1.1 ") ||
        std::from_chars(raw.data() + 9, raw.data() + 12, status).ec != std::errc{})
        return failure(socket, "the answer is not that of a launcher");
    return ControlAnswer{status, raw.substr(end + 4)};
}

struct ControlClient {
    std::string socket;
    Deadline deadline{steady_clock::now()};

    /// The body of a good answer; the launcher's own sentence otherwise.
    Result<std::string> ask(std::string_view method, const std::string& path,
                            std::string_view body = "") const {
        TRY(auto answer, ask_launcher(socket, method, path, body, deadline));
        if (answer.status == 200) return std::move(answer.body);
        boost::system::error_code bad;
        const auto value = json::parse(answer.body, bad);
        const auto* object = bad ? nullptr : value.if_object();
        const auto* sentence = object != nullptr ? object->if_contains("error") : nullptr;
        if (sentence != nullptr && sentence->is_string())
            return Error{ErrorCode::unavailable, std::string(sentence->get_string())};
        return Error{ErrorCode::unavailable, "status " + std::to_string(answer.status)};
    }
};

/// The socket of the options, of LAUNCHER_HEALTH when that is a path, or of the configuration.
Result<std::string> find_socket(const CliOptions& options, const HealthPlanLoader& load,
                                std::string_view environment) {
    if (const auto given = options.value("--socket")) return *given;
    const auto config = options.value("--config").value_or("");
    if (config.empty() && environment.starts_with("unix:"))
        return std::string(environment.substr(5));
    if (config.empty() && environment.starts_with('/')) return std::string(environment);
    TRY(const HealthPlan plan, load(config));
    if (!plan.unix_path.empty()) return plan.unix_path;
    return Error{ErrorCode::not_found,
                 "the configuration names no unix socket: set unix = "
                 "\"/run/kms-launcher/health.sock\" in [health], or give --socket"};
}

const json::value* member(const json::value& value, std::string_view path) {
    boost::system::error_code error;
    return value.find_pointer({path.data(), path.size()}, error);
}

/// A value as one word or text; control characters must not move the cursor of a terminal.
std::string word(const json::value& value, std::string_view path) {
    const auto* found = member(value, path);
    if (found == nullptr || found->is_null()) return "-";
    std::string text;
    if (found->is_string())
        text = std::string(found->get_string());
    else if (found->is_bool())
        text = found->get_bool() ? "yes" : "no";
    else if (found->is_int64())
        text = std::to_string(found->get_int64());
    else if (found->is_uint64())
        text = std::to_string(found->get_uint64());
    else if (found->is_double())
        text = std::to_string(found->get_double());
    else
        return "-";
    std::replace_if(
        text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; }, '?');
    return text.empty() ? "-" : text;
}

const json::array& list(const json::value& value, std::string_view path) {
    static const json::array empty;
    const auto* found = member(value, path);
    return found != nullptr && found->is_array() ? found->get_array() : empty;
}

std::string percent(const json::value& value, std::string_view path) {
    const auto* found = member(value, path);
    if (found == nullptr || !found->is_number()) return "-";
    return std::to_string(static_cast<int>(found->to_number<double>() * 100 + 0.5)) + "%";
}

std::string threads_table(const json::value& document) {
    std::vector<std::vector<std::string>> rows{
        {"THREADS", "NAME", "STATES", "CALL", "WAITS ON", "IN", "CPU", "WAITED"}};
    for (const auto& thread : list(document, "/threads"))
        rows.push_back({word(thread, "/count"), word(thread, "/name"), word(thread, "/states"),
                        word(thread, "/call"), word(thread, "/waits_on"), word(thread, "/wchan"),
                        percent(thread, "/cpu"), percent(thread, "/waited_for_cpu")});
    return cli_table(rows);
}

std::string sockets_table(const json::value& document) {
    std::vector<std::vector<std::string>> rows{{"LISTENS ON", "WAITING", "LIMIT"}};
    for (const auto& listener : list(document, "/sockets/listeners"))
        rows.push_back(
            {word(listener, "/address"), word(listener, "/waiting"), word(listener, "/limit")});
    std::string text = rows.size() == 1 ? "" : "\n" + cli_table(rows);
    std::vector<std::vector<std::string>> counts{{"CONNECTIONS", "COUNT"}};
    const auto* by_state = member(document, "/sockets/by_state_and_port");
    if (by_state != nullptr && by_state->is_object())
        for (const auto& each : by_state->get_object())
            counts.push_back({std::string(each.key()), word(each.value(), "")});
    return counts.size() == 1 ? text : text + "\n" + cli_table(counts);
}

std::string unreadable(const json::value& document) {
    std::string text;
    for (const auto& step : list(document, "/steps"))
        if (const auto fault = word(step, "/unreadable"); fault != "-")
            text += "not read: " + word(step, "/step") + " (" + fault + ")\n";
    return text.empty() ? text : "\n" + text;
}

}  // namespace

Result<ControlAnswer> ask_launcher(const std::string& path_of_socket, std::string_view method,
                                   std::string_view path, std::string_view body,
                                   Deadline deadline) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_of_socket.empty() || path_of_socket.size() >= sizeof address.sun_path)
        return failure(path_of_socket, "the path is empty or too long for a socket");
    path_of_socket.copy(address.sun_path, path_of_socket.size());
    const Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket.is_open()) return failure(path_of_socket, std::strerror(errno));
    // A unix socket connects at once or says EAGAIN: its queue is full.
    while (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
           0) {
        if (errno != EAGAIN) return failure(path_of_socket, connect_hint(errno));
        if (deadline.expired(steady_clock::now()))
            return failure(path_of_socket, "the launcher takes no connection");
        ::poll(nullptr, 0, 10);
    }
    std::string request = std::string(method) + " " + std::string(path) +
                          " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    if (method != "GET") request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    request += "\r\n" + std::string(body);
    const auto too_late = [&] {
        return Error{ErrorCode::deadline_exceeded,
                     "socket '" + path_of_socket + "': the launcher did not answer in time"};
    };
    for (std::string_view left = request; !left.empty();) {
        if (!wait_for(socket.get(), POLLOUT, deadline)) return too_late();
        const auto size = ::send(socket.get(), left.data(), left.size(), MSG_NOSIGNAL);
        if (size < 0 && errno == EAGAIN) continue;
        if (size < 0) return failure(path_of_socket, std::strerror(errno));
        left.remove_prefix(static_cast<std::size_t>(size));
    }
    std::string answer;
    std::array<char, 16 * 1024> buffer{};
    while (answer.size() < kMaxAnswer) {
        if (!wait_for(socket.get(), POLLIN, deadline)) return too_late();
        const auto size = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EAGAIN) continue;
        if (size < 0 && errno != ECONNRESET) return failure(path_of_socket, std::strerror(errno));
        if (size <= 0) break;
        answer.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return parse_answer(path_of_socket, answer);
}

Result<std::string> evidence_text(std::string_view text) {
    boost::system::error_code error;
    const json::value document = json::parse({text.data(), text.size()}, error);
    if (error || member(document, "/rule") == nullptr || member(document, "/threads") == nullptr)
        return Error{ErrorCode::invalid_argument, "the answer is no evidence of a launcher"};
    const auto at = [&](std::string_view path) { return word(document, path); };
    std::string out = at("/service") + " (pid " + at("/pid") + "): " + at("/rule") + ": " +
                      at("/sentence") + "\n";
    std::vector<std::vector<std::string>> rows = {{"evidence", at("/id")},
                                                  {"taken", at("/taken") + ", " + at("/reason")}};
    if (at("/class") != "-") rows.push_back({"class", at("/class")});
    if (const auto* facts = member(document, "/facts"); facts != nullptr && facts->is_object())
        for (const auto& fact : facts->get_object())
            rows.push_back({std::string(fact.key()), word(fact.value(), "")});
    rows.push_back({"process", "state " + at("/process/state") + ", " + at("/process/threads") +
                                   " threads, " + at("/process/open_fds") + " of " +
                                   at("/process/fd_limit") + " descriptors"});
    for (const auto& pipe : list(document, "/log/pipes"))
        if (word(pipe, "/service") == at("/service"))
            rows.push_back({word(pipe, "/stream"),
                            word(pipe, "/bytes") + " of " + word(pipe, "/size") +
                                " bytes in its pipe, last read " + word(pipe, "/last_read")});
    return out + cli_table(rows, 2) + "\n" + threads_table(document) + sockets_table(document) +
           unreadable(document);
}

int run_evidence(std::span<const std::string_view> args, const HealthPlanLoader& load,
                 std::string_view environment, const CliIo& io) {
    const auto options = CliOptions::parse(args, {.flags = {"--last", "--list", "--json"},
                                                  .valued = {"--socket", "--config", "--timeout"}});
    const auto misused = [&](const std::string& text) {
        io.err << "kms-launcher evidence: " << text << "\n" << usage_of("evidence");
        return kCliUsage;
    };
    const auto failed = [&](const std::string& text) {
        io.err << "kms-launcher evidence: " << text << std::endl;
        return kCliFailed;
    };
    if (!options) return misused(options.error().context);
    if (options->positional().size() > 1)
        return misused("unexpected '" + options->positional()[1] + "'");
    if (options->has("--last") && options->has("--list"))
        return misused("--last and --list exclude each other");
    const auto timeout = options->duration("--timeout", milliseconds(10'000));
    if (!timeout) return misused(timeout.error().context);
    const auto socket = find_socket(*options, load, environment);
    if (!socket) return failed(socket.error().context);
    const ControlClient client{*socket, Deadline::after(steady_clock::now(), *timeout)};

    std::vector<std::string> services = options->positional();
    if (options->has("--list")) {
        const auto body = client.ask("GET", "/control/evidence");
        if (!body) return failed(body.error().context);
        std::vector<std::vector<std::string>> rows{{"EVIDENCE", "BYTES", "FILE"}};
        boost::system::error_code bad;
        const auto document = json::parse(*body, bad);
        for (const auto& entry : list(document, "/evidence"))
            if (services.empty() || word(entry, "/service") == services.front())
                rows.push_back({word(entry, "/id"), word(entry, "/bytes"),
                                word(entry, "/path") == "-" ? "in memory" : word(entry, "/path")});
        io.out << (options->has("--json") ? *body + "\n" : cli_table(rows)) << std::flush;
        return kCliOk;
    }
    if (services.empty()) {
        const auto body = client.ask("GET", "/status");
        if (!body) return failed(body.error().context);
        boost::system::error_code bad;
        const auto document = json::parse(*body, bad);
        for (const auto& service : list(document, "/services"))
            if (word(service, "/pid") != "-" || options->has("--last"))
                services.push_back(word(service, "/name"));
        if (services.empty()) return failed("no service runs");
    }
    int result = kCliOk;
    for (std::size_t i = 0; i < services.size(); ++i) {
        const auto body =
            client.ask(options->has("--last") ? "GET" : "POST", "/control/evidence/" + services[i]);
        if (!body) {
            result = failed(services[i] + ": " + body.error().context);
            continue;
        }
        if (options->has("--json")) {
            io.out << *body << "\n" << std::flush;
            continue;
        }
        const auto shown = evidence_text(*body);
        if (!shown) return failed(shown.error().context);
        io.out << (i == 0 ? "" : "\n") << *shown << std::flush;
    }
    return result;
}

int run_log_level(std::span<const std::string_view> args, const HealthPlanLoader& load,
                  std::string_view environment, const CliIo& io) {
    const auto options = CliOptions::parse(
        args, {.flags = {"--reset"}, .valued = {"--socket", "--config", "--timeout"}});
    const auto misused = [&](const std::string& text) {
        io.err << "kms-launcher log-level: " << text << "\n" << usage_of("log-level");
        return kCliUsage;
    };
    const auto failed = [&](const std::string& text) {
        io.err << "kms-launcher log-level: " << text << std::endl;
        return kCliFailed;
    };
    if (!options) return misused(options.error().context);
    const auto& words = options->positional();
    const bool reset = options->has("--reset");
    if (words.size() > 2) return misused("unexpected '" + words[2] + "'");
    if (reset && words.size() != 1) return misused("--reset wants one service");
    if (!reset && words.size() == 1) return misused("what shall '" + words[0] + "' log?");
    if (words.size() == 2 && words[1].empty())
        return misused("the filter is empty; --reset goes back to the common one");
    const auto timeout = options->duration("--timeout", milliseconds(3000));
    if (!timeout) return misused(timeout.error().context);
    const auto socket = find_socket(*options, load, environment);
    if (!socket) return failed(socket.error().context);
    const ControlClient client{*socket, Deadline::after(steady_clock::now(), *timeout)};
    const auto body = words.empty() ? client.ask("GET", "/control/log-level")
                                    : client.ask("PUT", "/control/log-level/" + words[0],
                                                 words.size() == 2 ? words[1] : "");
    if (!body) return failed(body.error().context);
    boost::system::error_code bad;
    const auto document = json::parse(*body, bad);
    io.out << "log filter: " << word(document, "/filter") << std::endl;
    return kCliOk;
}

}  // namespace launcher
