#include "launcher/runtime/clock.hpp"

#include "tests/support/manual_clock.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::TimePoint;

namespace {

/// Starts a sleep; `woken` tells when it is over.
void sleep_on(boost::asio::io_context& io, runtime::Clock& clock, TimePoint at, bool& woken,
              boost::asio::cancellation_signal& signal) {
    boost::asio::co_spawn(
        io, clock.sleep_until(at),
        boost::asio::bind_cancellation_slot(signal.slot(),
                                            [&woken](const std::exception_ptr&) { woken = true; }));
}

}  // namespace

TEST_CASE("a deadline narrows and never widens") {
    const TimePoint now{1000s};
    struct Row {
        const char* name;
        runtime::Duration left;
        runtime::Duration narrowed_by;
        runtime::Duration expected_left;
    };
    const auto row = GENERATE(values<Row>({
        {"a shorter span counts", 10s, 3s, 3s},
        {"a longer span does not", 10s, 30s, 10s},
        {"the same span", 10s, 10s, 10s},
        {"no time at all", 10s, 0s, 0s},
        {"a negative span is expired", 10s, -5s, 0s},
        {"expired stays expired", 0s, 5s, 0s},
    }));
    INFO(row.name);
    const Deadline deadline = Deadline::after(now, row.left).narrowed(now, row.narrowed_by);
    CHECK(deadline.remaining(now) == row.expected_left);
    CHECK(deadline.expired(now) == (row.expected_left == 0s));
    CHECK_FALSE(deadline.expired(now - 6s));
}

TEST_CASE("the system clock sleeps until the instant and no longer than cancelled") {
    boost::asio::io_context io;
    runtime::SystemClock clock;
    bool woken = false;
    boost::asio::cancellation_signal signal;

    SECTION("an instant that has passed is no wait") {
        sleep_on(io, clock, clock.now() - 1h, woken, signal);
        io.run_for(5s);
        CHECK(woken);
    }
    SECTION("not before the instant") {
        const TimePoint at = clock.now() + 20ms;
        sleep_on(io, clock, at, woken, signal);
        io.run_for(5s);
        CHECK(woken);
        CHECK(clock.now() >= at);
    }
    SECTION("cancellation ends the sleep") {
        sleep_on(io, clock, clock.now() + 1h, woken, signal);
        test::run_ready(io);
        REQUIRE_FALSE(woken);
        signal.emit(boost::asio::cancellation_type::terminal);
        io.restart();
        io.run_for(5s);
        CHECK(woken);
    }
}

TEST_CASE("the manual clock wakes those whose time has come, and only them") {
    boost::asio::io_context io;
    test::ManualClock clock;
    bool early = false;
    bool late = false;
    boost::asio::cancellation_signal early_signal, late_signal;
    sleep_on(io, clock, clock.now() + 1s, early, early_signal);
    sleep_on(io, clock, clock.now() + 1h, late, late_signal);
    test::run_ready(io);
    CHECK(clock.sleepers() == 2);
    const auto wall = clock.wall_now();

    clock.advance(1s - 1ns);
    test::run_ready(io);
    CHECK_FALSE(early);
    clock.advance(1ns);
    test::run_ready(io);
    CHECK(early);
    CHECK_FALSE(late);
    CHECK(clock.wall_now() - wall == 1s);

    late_signal.emit(boost::asio::cancellation_type::terminal);
    test::run_ready(io);
    CHECK(late);
    CHECK(clock.sleepers() == 0);
}
