#include "launcher/probe/probe.hpp"

#include "launcher/probe/connection.hpp"
#include "launcher/probe/http_response.hpp"
#include "launcher/probe/probe_url.hpp"
#include "launcher/probe/resolver.hpp"
#include "launcher/runtime/with_deadline.hpp"

#include <algorithm>
#include <array>
#include <exception>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>

namespace launcher {
namespace {

namespace asio = boost::asio;
using runtime::Clock;
using runtime::Deadline;
using runtime::ErrorCode;
using runtime::Result;
using runtime::Task;
using runtime::TimePoint;
using std::chrono::microseconds;

constexpr std::array<std::uint16_t, 2> kDefaultPort = {80, 443};  // http, https

/// One run: what was asked, and what is known so far.
struct Run {
    Clock& clock;
    const ProbePlan& plan;
    TimePoint begin;
    Deadline deadline;  ///< of all stages together
    ProbeExchange& exchange;
    std::function<void(std::uint16_t)> connected{};

    ProbeResult& result() { return exchange.result; }
    bool fail(ProbeOutcome outcome, std::string detail) {
        result().outcome = outcome;
        result().detail = std::move(detail);
        return false;
    }
};

std::string shown(runtime::Duration span) {
    const auto whole = std::chrono::round<std::chrono::milliseconds>(span).count();
    return whole % 1000 == 0 ? std::to_string(whole / 1000) + " s" : std::to_string(whole) + " ms";
}

milliseconds limit_of(const StageLimits& limits, ProbeStage stage) {
    switch (stage) {
        case ProbeStage::resolve:
            return limits.resolve;
        case ProbeStage::connect:
            return limits.connect;
        case ProbeStage::tls:
            return limits.tls;
        case ProbeStage::request:
            return limits.request;
        case ProbeStage::headers:
            return limits.headers;
        case ProbeStage::body:
            return limits.body;
    }
    return limits.total;
}

/// The deadline that fired names the result.
StageEnd expired(ProbeStage stage, bool over_tls, const std::string& span) {
    switch (stage) {
        case ProbeStage::resolve:
            return {ProbeOutcome::dns_error, "the name was not resolved within " + span};
        case ProbeStage::connect:
            return {ProbeOutcome::tcp_timeout,
                    "no TCP connection within " + span + ": filtered, or the accept queue is full"};
        case ProbeStage::tls:
            return {ProbeOutcome::tls_timeout,
                    "TCP is open, but the TLS handshake was not completed within " + span};
        case ProbeStage::request:
            return {ProbeOutcome::send_timeout, "the request could not be sent within " + span};
        case ProbeStage::headers:
            return {ProbeOutcome::http_headers_timeout,
                    std::string(over_tls ? "TCP is open and TLS is established" : "TCP is open") +
                        ", but no HTTP answer came within " + span};
        case ProbeStage::body:
            return {ProbeOutcome::http_body_timeout,
                    "the head of the answer came, but its body did not end within " + span};
    }
    return {};
}

/// Runs one stage under its own limit and the total; measures it whether or not it succeeds.
Task<bool> run_stage(Run& run, ProbeStage stage, bool over_tls, Task<Result<StageEnd>> work) {
    const TimePoint begin = run.clock.now();
    const Deadline deadline = run.deadline.narrowed(begin, limit_of(run.plan.timeouts, stage));
    auto end = co_await runtime::with_deadline<StageEnd>(run.clock, deadline, to_string(stage),
                                                         std::move(work));
    const auto spent = std::chrono::duration_cast<microseconds>(run.clock.now() - begin);
    // Zero would say that the stage was not reached.
    run.result().stage_times[static_cast<std::size_t>(stage)] += std::max(spent, microseconds{1});
    if (end && end->outcome == ProbeOutcome::ok) co_return true;
    if (end) co_return run.fail(end->outcome, std::move(end->detail));
    if (end.error().code != ErrorCode::deadline_exceeded)
        co_return run.fail(ProbeOutcome::probe_error, std::move(end.error().context));
    const bool by_total = deadline == run.deadline;
    const std::string span =
        by_total ? shown(run.deadline.at() - run.begin) + " in all" : shown(deadline.at() - begin);
    StageEnd late = expired(stage, over_tls, span);
    co_return run.fail(late.outcome, std::move(late.detail));
}

Task<Result<StageEnd>> resolve_into(std::string host, std::vector<asio::ip::address>& addresses) {
    auto found = co_await resolve_host(std::move(host));
    StageEnd end;
    if (found) {
        addresses = std::move(*found);
    } else {
        end.outcome = found.error().code == ErrorCode::resource_exhausted
                          ? ProbeOutcome::probe_error
                          : ProbeOutcome::dns_error;
        end.detail = std::move(found.error().context);
    }
    co_return end;
}

Task<bool> open_tcp(Run& run, Connection& connection, std::string host, std::uint16_t port) {
    std::vector<asio::ip::address> addresses;
    auto resolve = resolve_into(std::move(host), addresses);
    const bool resolved = co_await run_stage(run, ProbeStage::resolve, false, std::move(resolve));
    if (!resolved) co_return false;
    const Deadline deadline = run.deadline.narrowed(run.clock.now(), run.plan.timeouts.connect);
    auto connect = connection.connect_tcp(run.clock, std::move(addresses), port, deadline);
    const bool connected = co_await run_stage(run, ProbeStage::connect, false, std::move(connect));
    run.result().local_port = connection.local_port();
    if (connected && run.connected) run.connected(connection.local_port());
    co_return connected;
}

Task<bool> open_unix(Run& run, Connection& connection) {
    const Deadline deadline = run.deadline.narrowed(run.clock.now(), run.plan.timeouts.connect);
    auto connect = connection.connect_unix(run.clock, run.plan.path, deadline);
    co_return co_await run_stage(run, ProbeStage::connect, false, std::move(connect));
}

Task<bool> open_tls(Run& run, Connection& connection, std::string host) {
    auto client = TlsClient::create(run.plan, host);
    if (!client) co_return run.fail(ProbeOutcome::probe_error, std::move(client.error().context));
    auto handshake = connection.start_tls(std::move(*client));
    const bool established = co_await run_stage(run, ProbeStage::tls, false, std::move(handshake));
    if (connection.tls()) run.result().certificate_sha256 = connection.tls()->certificate_sha256();
    co_return established;
}

/// Reads until `reader` is past its head, or (with `to_the_end`) past its body.
Task<Result<StageEnd>> read_answer(Connection& connection, ResponseReader& reader,
                                   bool to_the_end) {
    std::array<char, 8192> buffer{};
    const auto wanted = [&] {
        return reader.state() == ResponseReader::State::head ||
               (to_the_end && reader.state() == ResponseReader::State::body);
    };
    StageEnd end;
    while (wanted()) {
        CO_TRY(const Connection::Read got, co_await connection.read(buffer));
        if (got.fault.outcome != ProbeOutcome::ok) co_return got.fault;
        const bool head = reader.state() == ResponseReader::State::head;
        if (!got.end) {
            reader.feed({buffer.data(), got.count});
        } else if (got.reset || reader.finish() == ResponseReader::State::cut) {
            end.outcome = ProbeOutcome::http_closed;
            end.detail = std::string(got.reset ? "the peer reset the connection"
                                               : "the peer closed the connection") +
                         (!reader.any_bytes() ? " without an answer"
                          : head              ? " in the middle of the head of its answer"
                                              : " in the middle of the body of its answer");
            co_return end;
        }
    }
    // What is wrong with a body is told by the stage that reads it, however the peer cut its
    // packets.
    const bool stage_failed = to_the_end || reader.status() == 0;
    if (stage_failed && reader.state() == ResponseReader::State::malformed) {
        end.outcome = ProbeOutcome::http_malformed;
        end.detail = reader.detail();
    }
    co_return end;
}

Task<void> exchange_http(Run& run, Connection& connection, std::string authority,
                         std::string target) {
    const ProbePlan& plan = run.plan;
    const bool over_tls = connection.tls().has_value();
    auto request = request_text(plan, authority, target);
    if (!request) {
        run.fail(ProbeOutcome::probe_error,
                 "the method or a header of the probe is not valid in HTTP");
        co_return;
    }
    auto sending = connection.write(std::move(*request));
    const bool sent = co_await run_stage(run, ProbeStage::request, over_tls, std::move(sending));
    if (!sent) co_return;

    ResponseReader reader(plan.method == "HEAD", plan.max_body);
    auto heading = read_answer(connection, reader, false);
    const bool headed = co_await run_stage(run, ProbeStage::headers, over_tls, std::move(heading));
    run.result().status = reader.status();
    if (!headed) co_return;
    const bool expected = status_expected(plan, reader.status());

    auto reading = read_answer(connection, reader, true);
    const bool complete = co_await run_stage(run, ProbeStage::body, over_tls, std::move(reading));
    run.exchange.body = reader.body();
    if (!expected) {
        // Whatever became of its body: the status is what the service has said.
        run.fail(ProbeOutcome::http_status,
                 "status " + std::to_string(reader.status()) + " was not expected");
    } else if (complete) {
        const bool truncated = reader.state() == ResponseReader::State::truncated;
        auto mismatch = body_mismatch(plan, reader.body(), truncated);
        if (mismatch)
            run.fail(ProbeOutcome::http_body_mismatch, std::move(*mismatch));
        else
            run.result().outcome = ProbeOutcome::ok;
    }
}

/// What the plain attempt of http-auto is worth after the TLS attempt: an answer in HTTP, or a wait
/// for one, shows that the peer speaks plain HTTP; anything else leaves the TLS attempt's finding.
bool is_plain_peer(ProbeOutcome outcome) {
    return outcome != ProbeOutcome::http_closed && outcome != ProbeOutcome::http_malformed;
}

Task<void> run_http(Run& run) {
    const auto url = parse_target(run.plan.url);
    if (!url) {
        run.fail(ProbeOutcome::probe_error, url.error().context);
        co_return;
    }
    const auto executor = co_await asio::this_coro::executor;
    const ProbeKind kind = run.plan.kind;
    const bool automatic = kind == ProbeKind::http_auto;
    const bool tls = kind != ProbeKind::http;
    const std::uint16_t port = url->port != 0 ? url->port : kDefaultPort[tls ? 1 : 0];
    {
        Connection connection(executor);
        const bool open = co_await open_tcp(run, connection, url->host, port);
        if (!open) co_return;
        bool established = true;
        if (tls) established = co_await open_tls(run, connection, url->host);
        if (established) {
            if (automatic) run.result().phase = "serving";
            co_await exchange_http(run, connection, url->authority, url->target);
            co_return;
        }
        const ProbeOutcome outcome = run.result().outcome;
        const bool refused =
            outcome == ProbeOutcome::tls_closed || outcome == ProbeOutcome::tls_error;
        if (!automatic || !refused || !connection.tls() || !connection.tls()->peer_may_be_plain())
            co_return;
    }
    const ProbeResult over_tls = run.result();
    Connection connection(executor);
    const bool open = co_await open_tcp(run, connection, url->host, port);
    if (open) co_await exchange_http(run, connection, url->authority, url->target);
    if (open && is_plain_peer(run.result().outcome))
        run.result().phase = "onboarding";
    else if (open)
        run.result() = over_tls;
}

Task<void> run_tcp_or_tls(Run& run) {
    Connection connection(co_await asio::this_coro::executor);
    const bool open = co_await open_tcp(run, connection, run.plan.host, run.plan.port);
    if (!open) co_return;
    bool complete = true;
    if (run.plan.kind == ProbeKind::tls)
        complete = co_await open_tls(run, connection, run.plan.host);
    if (complete) run.result().outcome = ProbeOutcome::ok;
}

Task<void> run_unix(Run& run) {
    Connection connection(co_await asio::this_coro::executor);
    const bool open = co_await open_unix(run, connection);
    if (!open) co_return;
    if (run.plan.url.empty()) {
        run.result().outcome = ProbeOutcome::ok;
        co_return;
    }
    const auto url = parse_target(run.plan.url);
    if (url)
        co_await exchange_http(run, connection, url->authority, url->target);
    else
        run.fail(ProbeOutcome::probe_error, url.error().context);
}

Task<void> run_network(Run& run) {
    switch (run.plan.kind) {
        case ProbeKind::tcp:
        case ProbeKind::tls:
            co_await run_tcp_or_tls(run);
            break;
        case ProbeKind::http:
        case ProbeKind::https:
        case ProbeKind::http_auto:
            co_await run_http(run);
            break;
        case ProbeKind::unix_socket:
            co_await run_unix(run);
            break;
        default:
            run.fail(ProbeOutcome::probe_error, "this kind of probe needs the supervisor");
            break;
    }
}

Task<Result<StageEnd>> wait_for_exit(ProbeHooks hooks, std::vector<std::string> command,
                                     Deadline deadline) {
    auto status = co_await hooks.exec(std::move(command), deadline);
    StageEnd end;
    if (!status) co_return std::move(status.error());
    if (*status != 0) {
        end.outcome = ProbeOutcome::http_status;
        end.detail = "the command ended with status " + std::to_string(*status);
    }
    co_return end;
}

Task<void> run_exec(Run& run, ProbeHooks hooks) {
    const auto limits = run.plan.timeouts;
    const Deadline deadline = run.deadline.narrowed(run.clock.now(), limits.headers);
    auto running = wait_for_exit(std::move(hooks), run.plan.command, deadline);
    const bool ended = co_await run_stage(run, ProbeStage::headers, false, std::move(running));
    if (ended)
        run.result().outcome = ProbeOutcome::ok;
    else if (run.result().outcome == ProbeOutcome::http_headers_timeout)
        run.result().detail = "the command did not end within " + shown(limits.headers);
}

void check_hook(Run& run, bool present, bool happened, std::string_view missing) {
    if (!present)
        run.fail(ProbeOutcome::probe_error, "this kind of probe needs the supervisor");
    else if (happened)
        run.result().outcome = ProbeOutcome::ok;
    else
        run.fail(ProbeOutcome::tcp_refused, std::string(missing));
}

Task<void> run_combination(Run& run, ProbeHooks hooks) {
    const auto executor = co_await asio::this_coro::executor;
    using Started = decltype(asio::co_spawn(
        executor, run_probe(run.clock, run.plan, run.deadline, hooks), asio::deferred));
    std::vector<Started> started;
    for (const ProbePlan& part : run.plan.probes)
        started.push_back(asio::co_spawn(executor, run_probe(run.clock, part, run.deadline, hooks),
                                         asio::deferred));
    if (started.empty()) {
        run.fail(ProbeOutcome::probe_error, "a combination of no probes");
        co_return;
    }
    auto [order, failures, results] =
        co_await asio::experimental::make_parallel_group(std::move(started))
            .async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
    const bool all = run.plan.kind == ProbeKind::all;
    const auto decisive =
        std::find_if(results.begin(), results.end(),
                     [all](const ProbeResult& result) { return result.ok() != all; });
    run.result() = decisive != results.end() ? *decisive : results.back();
}

Task<void> run_any_kind(Run& run, ProbeHooks hooks) {
    switch (run.plan.kind) {
        case ProbeKind::notify:
            check_hook(run, bool(hooks.notified), hooks.notified && hooks.notified(),
                       "the service has not sent READY=1 yet");
            break;
        case ProbeKind::log_line:
            check_hook(run, bool(hooks.line_seen), hooks.line_seen && hooks.line_seen(run.plan),
                       "the expected log line has not come yet");
            break;
        case ProbeKind::exec:
            if (hooks.exec)
                co_await run_exec(run, std::move(hooks));
            else
                check_hook(run, false, false, {});
            break;
        case ProbeKind::all:
        case ProbeKind::any:
            co_await run_combination(run, std::move(hooks));
            break;
        default:
            co_await run_network(run);
            break;
    }
}

}  // namespace

Task<ProbeExchange> run_exchange(Clock& clock, ProbePlan plan, Deadline deadline) {
    ProbeExchange exchange;
    const TimePoint begin = clock.now();
    Run run{clock, plan, begin, deadline.narrowed(begin, plan.timeouts.total), exchange, {}};
    try {
        co_await run_network(run);
    } catch (const std::exception& error) {
        // Cancelled by its owner, or out of memory: nothing that the service did.
        run.fail(ProbeOutcome::probe_error, std::string("the probe was given up: ") + error.what());
    }
    exchange.result.total = std::chrono::duration_cast<microseconds>(clock.now() - begin);
    exchange.result.at = clock.wall_now();
    co_return exchange;
}

Task<ProbeResult> run_probe(Clock& clock, ProbePlan plan, Deadline deadline) {
    auto exchange = co_await run_exchange(clock, std::move(plan), deadline);
    co_return std::move(exchange.result);
}

Task<ProbeResult> run_probe(Clock& clock, ProbePlan plan, Deadline deadline, ProbeHooks hooks) {
    ProbeExchange exchange;
    const TimePoint begin = clock.now();
    Run run{clock,    plan,           begin, deadline.narrowed(begin, plan.timeouts.total),
            exchange, hooks.connected};
    try {
        co_await run_any_kind(run, std::move(hooks));
    } catch (const std::exception& error) {
        run.fail(ProbeOutcome::probe_error, std::string("the probe was given up: ") + error.what());
    }
    exchange.result.total = std::chrono::duration_cast<microseconds>(clock.now() - begin);
    exchange.result.at = clock.wall_now();
    co_return std::move(exchange.result);
}

}  // namespace launcher
