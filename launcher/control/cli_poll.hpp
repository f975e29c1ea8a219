/// `kms-launcher poll`: asks one URL again and again, each time on a fresh connection, and tells
/// whether it always answered. Source: issue "First light", item 8.
#pragma once

#include "launcher/control/cli_io.hpp"
#include "launcher/control/cli_poll_tally.hpp"
#include "launcher/plan/plan.hpp"
#include "launcher/runtime/clock.hpp"

#include <atomic>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

namespace launcher {

struct PollPlan {
    ProbePlan probe;
    milliseconds span{0};  ///< no poll begins later than this; 0 = only `count` bounds the run
    milliseconds every{
        5000};  ///< from the begin of a poll to the begin of the next of the same worker
    milliseconds timeout{5000};          ///< of one poll, all stages together
    std::optional<std::uint64_t> count;  ///< at most so many polls
    unsigned concurrency = 1;            ///< workers, each with its own rhythm
};

/// Polls until the plan is done or `stop` is set; `on_poll` is called after each poll. A poll that
/// is due while the one before it still runs begins right after that. A poll cut off by
/// cancellation does not count.
runtime::Task<PollTally> poll_url(
    runtime::Clock& clock, PollPlan plan, const std::atomic<bool>& stop,
    std::function<void(const ProbeResult&, const PollTally&)> on_poll);

/// poll URL [--for 10m] [--every 5s] [--timeout 5s] [--count N] [--concurrency N] [--insecure |
/// --ca-file FILE]
/// [--json] [--quiet]. Exit status: 0 every poll was answered (HTTP 2xx, or a handshake for tcp://
/// and tls://), 1 not every poll, 64 bad arguments. SIGINT and SIGTERM end the run early; what was
/// polled so far is told.
int run_poll(std::span<const std::string_view> args, const CliIo& io);

}  // namespace launcher
