/// The life of a service program: signals → drain → exit, with a bound on the drain.
#pragma once

#include "launcher/runtime/clock.hpp"

#include <functional>

#include <boost/asio/io_context.hpp>

namespace runtime {

/// Runs `io` on this thread until SIGTERM or SIGINT, then runs `drain` with a deadline of `grace`
/// and returns. A second signal, or the end of the grace period, ends the drain at once. SIGPIPE is
/// ignored; SIGHUP calls `on_hangup` if given, else it is ignored. Returns the number of the signal
/// that ended it.
int run_until_signal(asio::io_context& io, Clock& clock, std::chrono::milliseconds grace,
                     std::function<Task<void>(Deadline)> drain,
                     std::function<void()> on_hangup = {});

/// Raises the soft limit on descriptors to `wanted`, or as far as the hard limit allows. At start.
void allow_descriptors(std::size_t wanted);

}  // namespace runtime
