#include "launcher/control/cli_poll.hpp"

#include "launcher/control/cli_help.hpp"
#include "launcher/probe/probe.hpp"
#include "launcher/probe/probe_url.hpp"

#include <algorithm>
#include <exception>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace launcher {
namespace {

namespace asio = boost::asio;
using runtime::Clock;
using runtime::Deadline;
using runtime::Result;
using runtime::Task;
using runtime::TimePoint;

constexpr milliseconds kProgressEvery{30'000};  ///< where progress cannot rewrite its line
constexpr int kFailuresShown = 10;
constexpr std::uint64_t kMaxCount = 1'000'000'000;
constexpr std::uint64_t kMaxConcurrency = 256;

/// What the workers of one run share.
struct Shared {
    Clock& clock;
    const PollPlan& plan;
    const std::atomic<bool>& stop;
    std::function<void(const ProbeResult&, const PollTally&)> on_poll;
    TimePoint begin;
    PollTally tally;
    std::uint64_t begun = 0;

    bool may_begin(TimePoint at) const {
        return !stop && (!plan.count || begun < *plan.count) &&
               (plan.span.count() == 0 || at < begin + plan.span);
    }
};

Task<void> poll_steadily(Shared& shared, runtime::Duration offset) {
    Clock& clock = shared.clock;
    TimePoint due = shared.begin + offset;
    while (shared.may_begin(due)) {
        co_await clock.sleep_until(due);
        if (!shared.may_begin(due)) break;
        ++shared.begun;
        const Deadline deadline = Deadline::after(clock.now(), shared.plan.timeout);
        const ProbeResult result = co_await run_probe(clock, shared.plan.probe, deadline);
        if (shared.stop) break;
        const TimePoint now = clock.now();
        shared.tally.add(result, now);
        shared.on_poll(result, shared.tally);
        due += shared.plan.every;
        if (due < now) due = now;
    }
}

StageLimits same_for_all(milliseconds limit) {
    return {limit, limit, limit, limit, limit, limit, limit};
}

std::vector<unsigned> successes() {
    std::vector<unsigned> codes(100);
    for (unsigned i = 0; i < 100; ++i) codes[i] = 200 + i;
    return codes;
}

struct Command {
    PollPlan plan;
    std::string url;
    bool json = false, quiet = false;
};

Result<Command> read_command(std::span<const std::string_view> args) {
    TRY(const auto options,
        CliOptions::parse(args, {.flags = {"--json", "--insecure", "--quiet"},
                                 .valued = {"--for", "--every", "--timeout", "--count",
                                            "--concurrency", "--ca-file"}}));
    const auto wrong = [](const char* text) {
        return runtime::Error{runtime::ErrorCode::invalid_argument, text};
    };
    if (options.positional().size() != 1) return wrong("one URL is needed");
    Command command;
    PollPlan& plan = command.plan;
    command.url = options.positional().front();
    TRY(plan.probe, probe_plan_from_url(command.url));
    TRY(plan.timeout, options.duration("--timeout", milliseconds(5000)));
    TRY(plan.every, options.duration("--every", milliseconds(5000)));
    TRY(plan.count, options.number("--count", 1, kMaxCount));
    TRY(plan.span, options.duration("--for", plan.count ? milliseconds(0) : milliseconds(600'000)));
    TRY(const auto concurrency, options.number("--concurrency", 1, kMaxConcurrency));
    if (plan.timeout.count() == 0) return wrong("--timeout must be more than 0");
    if (plan.span.count() == 0 && !plan.count) return wrong("--for must be more than 0");
    plan.concurrency = static_cast<unsigned>(concurrency.value_or(1));
    plan.probe.timeouts = same_for_all(plan.timeout);
    plan.probe.expect_status = successes();
    if (const auto file = options.value("--ca-file")) {
        if (options.has("--insecure")) return wrong("--insecure and --ca-file exclude each other");
        plan.probe.verify = "ca-file";
        plan.probe.ca_file = *file;
    }
    command.json = options.has("--json");
    command.quiet = options.has("--quiet");
    return command;
}

/// Tells how the run goes, on stderr: one line that is rewritten on a terminal, else a line now and
/// then.
class Progress {
  public:
    Progress(const CliIo& io, Clock& clock, bool quiet)
        : io_(io), clock_(clock), quiet_(quiet), told_(clock.now()) {}

    void operator()(const ProbeResult& result, const PollTally& tally) {
        if (quiet_) return;
        if (!result.ok() && ++failures_ <= kFailuresShown) {
            clear();
            io_.err << utc(result) << " " << to_string(result.outcome) << ": " << result.detail
                    << "\n";
            if (failures_ == kFailuresShown) io_.err << "further failures are only counted\n";
        }
        const TimePoint now = clock_.now();
        if (io_.err_is_terminal) {
            io_.err << "\r\x1b[K" << tally.progress() << std::flush;
            dirty_ = true;
        } else if (now - told_ >= kProgressEvery) {
            told_ = now;
            io_.err << short_span(tally.elapsed()) << ": " << tally.progress() << std::endl;
        }
    }
    void clear() {
        if (dirty_) io_.err << "\r\x1b[K" << std::flush;
        dirty_ = false;
    }

  private:
    static std::string utc(const ProbeResult& result) {
        const std::time_t seconds = std::chrono::system_clock::to_time_t(result.at);
        std::tm parts{};
        char text[16];
        gmtime_r(&seconds, &parts);
        std::strftime(text, sizeof text, "%H:%M:%SZ", &parts);
        return text;
    }
    const CliIo& io_;
    Clock& clock_;
    bool quiet_;
    TimePoint told_;
    int failures_ = 0;
    bool dirty_ = false;
};

}  // namespace

Task<PollTally> poll_url(Clock& clock, PollPlan plan, const std::atomic<bool>& stop,
                         std::function<void(const ProbeResult&, const PollTally&)> on_poll) {
    const auto executor = co_await asio::this_coro::executor;
    co_await asio::this_coro::throw_if_cancelled(false);
    Shared shared{clock, plan, stop, std::move(on_poll), clock.now(), PollTally(clock.now()), 0};
    using Worker = decltype(asio::co_spawn(executor, poll_steadily(shared, {}), asio::deferred));
    std::vector<Worker> workers;
    // The workers begin one after the other, spread over one interval, not as a burst.
    for (unsigned i = 0; i < plan.concurrency; ++i)
        workers.push_back(asio::co_spawn(
            executor, poll_steadily(shared, plan.every * i / plan.concurrency), asio::deferred));
    auto [order, failures] =
        co_await asio::experimental::make_parallel_group(std::move(workers))
            .async_wait(asio::experimental::wait_for_all(), asio::use_awaitable);
    shared.tally.finish(clock.now());
    for (const auto& failure : failures)
        if (failure && !stop) std::rethrow_exception(failure);
    co_return std::move(shared.tally);
}

int run_poll(std::span<const std::string_view> args, const CliIo& io) {
    auto command = read_command(args);
    if (!command) {
        io.err << "kms-launcher poll: " << command.error().context << "\n" << usage_of("poll");
        return kCliUsage;
    }
    asio::io_context context{1};
    runtime::SystemClock clock;
    std::atomic<bool> stop{false};
    asio::cancellation_signal cancel;
    asio::signal_set signals(context, SIGINT, SIGTERM);
    signals.async_wait([&](const boost::system::error_code& error, int) {
        if (error) return;
        stop = true;
        cancel.emit(asio::cancellation_type::terminal);
    });
    Progress progress(io, clock, command->quiet);
    std::optional<PollTally> tally;
    std::exception_ptr failed;
    asio::co_spawn(context, poll_url(clock, command->plan, stop, std::ref(progress)),
                   asio::bind_cancellation_slot(cancel.slot(),
                                                [&](std::exception_ptr failure, PollTally made) {
                                                    failed = failure;
                                                    tally = std::move(made);
                                                    signals.cancel();
                                                }));
    context.run();
    progress.clear();
    if (failed) std::rethrow_exception(failed);
    io.out << (command->json ? tally->json(command->url, stop) : tally->text(command->url))
           << std::flush;
    return tally->all_answered() ? kCliOk : kCliFailed;
}

}  // namespace launcher
