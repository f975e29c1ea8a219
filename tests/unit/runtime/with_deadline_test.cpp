#include "launcher/runtime/with_deadline.hpp"

#include "tests/support/manual_clock.hpp"

#include <optional>
#include <stdexcept>

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::ErrorCode;
using runtime::Result;
using runtime::Task;

namespace {

enum class Ending { value, error, exception };

/// Works for `span` of the clock's time. `cancelled` tells whether it was woken before that.
Task<Result<int>> work(runtime::Clock& clock, runtime::Duration span, Ending ending,
                       bool& cancelled) {
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    const auto until = clock.now() + span;
    co_await clock.sleep_until(until);
    if (clock.now() < until) {
        cancelled = true;
        co_return runtime::Error{ErrorCode::unavailable, "cancelled"};
    }
    if (ending == Ending::exception) throw std::logic_error("a bug");
    if (ending == Ending::error) co_return runtime::Error{ErrorCode::not_found, "nothing there"};
    co_return 42;
}

struct Outcome {
    std::optional<Result<int>> result;
    std::exception_ptr exception;
    bool cancelled = false;
    bool over() const { return result.has_value(); }
};

void start(boost::asio::io_context& io, runtime::Clock& clock, runtime::Duration limit,
           runtime::Duration span, Ending ending, Outcome& outcome) {
    boost::asio::co_spawn(
        io,
        runtime::with_deadline(clock, Deadline::after(clock.now(), limit), "the work",
                               work(clock, span, ending, outcome.cancelled)),
        [&outcome](const std::exception_ptr& exception, Result<int> result) {
            outcome.exception = exception;
            outcome.result = std::move(result);
        });
    test::run_ready(io);
}

}  // namespace

TEST_CASE("what ends within the deadline is handed on, and the timer goes") {
    boost::asio::io_context io;
    test::ManualClock clock;
    Outcome outcome;

    SECTION("a value") {
        start(io, clock, 10s, 1s, Ending::value, outcome);
        clock.advance(1s);
        test::run_ready(io);
        REQUIRE(outcome.over());
        CHECK(outcome.result->value() == 42);
    }
    SECTION("a value without any wait") {
        start(io, clock, 10s, 0s, Ending::value, outcome);
        REQUIRE(outcome.over());
        CHECK(outcome.result->value() == 42);
    }
    SECTION("an error") {
        start(io, clock, 10s, 1s, Ending::error, outcome);
        clock.advance(1s);
        test::run_ready(io);
        REQUIRE(outcome.over());
        CHECK(outcome.result->error().context == "nothing there");
    }
    SECTION("an exception, at once and not at the deadline") {
        start(io, clock, 10s, 1s, Ending::exception, outcome);
        clock.advance(1s);
        test::run_ready(io);
        REQUIRE(outcome.over());
        REQUIRE(outcome.exception);
        CHECK_THROWS_AS(std::rethrow_exception(outcome.exception), std::logic_error);
    }
    CHECK_FALSE(outcome.cancelled);
    CHECK(clock.sleepers() == 0);
}

TEST_CASE("at the deadline the operation is cancelled and the error says what expired") {
    boost::asio::io_context io;
    test::ManualClock clock;
    Outcome outcome;
    start(io, clock, 10s, 1h, Ending::value, outcome);
    clock.advance(10s - 1ns);
    test::run_ready(io);
    CHECK_FALSE(outcome.over());
    clock.advance(1ns);
    test::run_ready(io);
    REQUIRE(outcome.over());
    REQUIRE_FALSE(outcome.result->has_value());
    CHECK(outcome.result->error().code == ErrorCode::deadline_exceeded);
    CHECK(outcome.result->error().context == "the work: deadline exceeded");
    CHECK(outcome.cancelled);
    CHECK(clock.sleepers() == 0);
}

TEST_CASE("a deadline that has passed leaves no time to wait") {
    boost::asio::io_context io;
    test::ManualClock clock;
    Outcome outcome;
    start(io, clock, 0s, 1h, Ending::value, outcome);
    REQUIRE(outcome.over());
    CHECK(outcome.result->error().code == ErrorCode::deadline_exceeded);
    CHECK(outcome.cancelled);
}

TEST_CASE("a result of the same instant as the deadline counts") {
    boost::asio::io_context io;
    test::ManualClock clock;
    Outcome outcome;
    start(io, clock, 10s, 10s, Ending::value, outcome);
    clock.advance(10s);
    test::run_ready(io);
    REQUIRE(outcome.over());
    CHECK(outcome.result->value() == 42);
}

TEST_CASE("cancelling the caller cancels the operation and the timer") {
    boost::asio::io_context io;
    test::ManualClock clock;
    bool cancelled = false;
    bool over = false;
    boost::asio::cancellation_signal signal;
    boost::asio::co_spawn(
        io,
        runtime::with_deadline(clock, Deadline::after(clock.now(), 1h), "the work",
                               work(clock, 2h, Ending::value, cancelled)),
        boost::asio::bind_cancellation_slot(
            signal.slot(), [&over](const std::exception_ptr&, Result<int>) { over = true; }));
    test::run_ready(io);
    CHECK(clock.sleepers() == 2);
    signal.emit(boost::asio::cancellation_type::terminal);
    test::run_ready(io);
    CHECK(over);
    CHECK(cancelled);
    CHECK(clock.sleepers() == 0);
}
