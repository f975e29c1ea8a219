/// with_deadline: the timeout layer. Races an operation against a clock and cancels the loser.
#pragma once

#include "launcher/runtime/clock.hpp"

#include <array>
#include <exception>
#include <string_view>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace runtime {

/// Runs `operation` until it ends or `deadline` comes, whichever is first. On expiry the operation
/// is cancelled (terminal cancellation; every operation of ours ends promptly on it) and the error
/// is deadline_exceeded with the text "<what>: deadline exceeded". An exception of the operation is
/// passed on at once.
///
/// Not asio's operator||: that waits for one *success*, so an exception stays hidden until the
/// timer fires and is then lost (chriskohlhoff/asio#900).
template <class T>
Task<Result<T>> with_deadline(Clock& clock, Deadline deadline, std::string_view what,
                              Task<Result<T>> operation) {
    const auto executor = co_await asio::this_coro::executor;
    auto [order, operation_failed, result, timer_failed] =
        co_await asio::experimental::make_parallel_group(
            asio::co_spawn(executor, std::move(operation), asio::deferred),
            asio::co_spawn(executor, clock.sleep_until(deadline.at()), asio::deferred))
            .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    if (order[0] == 0) {
        if (operation_failed) std::rethrow_exception(operation_failed);
        co_return std::move(result);
    }
    if (timer_failed) std::rethrow_exception(timer_failed);
    // The operation may have ended in the same turn of the loop as the timer; its result then
    // counts.
    if (!operation_failed && result.has_value()) co_return std::move(result);
    co_return Error{ErrorCode::deadline_exceeded, std::string(what) + ": deadline exceeded"};
}

}  // namespace runtime
