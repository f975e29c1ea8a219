#include "launcher/runtime/lifecycle.hpp"

#include "tests/support/manual_clock.hpp"

#include <csignal>
#include <stdexcept>

#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <unistd.h>

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::Task;

namespace {

/// Sends this process a signal once the loop runs, when the handlers are in place.
void raise_soon(boost::asio::io_context& io, int number) {
    boost::asio::post(io, [number] { ::kill(::getpid(), number); });
}

struct Drained {
    int begun = 0;
    bool ended = false;
    bool cut = false;
    Deadline deadline{runtime::TimePoint{}};
};

Task<void> drain_at_once(Drained& drained, Deadline deadline) {
    ++drained.begun;
    drained.deadline = deadline;
    drained.ended = true;
    co_return;
}

/// Waits for something that never comes, as connections of a stuck peer do.
Task<void> drain_for_ever(boost::asio::io_context& io, Drained& drained, int then_raise,
                          runtime::Clock& clock) {
    ++drained.begun;
    if (then_raise != 0) raise_soon(io, then_raise);
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    const auto until = clock.now() + 1000h;
    co_await clock.sleep_until(until);
    drained.cut = clock.now() < until;
}

Task<void> drain_badly() {
    throw std::logic_error("a bug");
    co_return;
}

}  // namespace

TEST_CASE("a signal starts the drain with its deadline and is what is returned") {
    const int number = GENERATE(SIGTERM, SIGINT);
    boost::asio::io_context io;
    test::ManualClock clock;
    Drained drained;
    raise_soon(io, number);
    const int ended_by = runtime::run_until_signal(
        io, clock, 2500ms, [&](Deadline deadline) { return drain_at_once(drained, deadline); });
    CHECK(ended_by == number);
    CHECK(drained.begun == 1);
    CHECK(drained.ended);
    CHECK(drained.deadline == Deadline::after(clock.now(), 2500ms));
}

TEST_CASE("the end of the grace period ends the drain") {
    boost::asio::io_context io;
    runtime::SystemClock clock;
    Drained drained;
    raise_soon(io, SIGTERM);
    const int ended_by = runtime::run_until_signal(
        io, clock, 20ms, [&](Deadline) { return drain_for_ever(io, drained, 0, clock); });
    CHECK(ended_by == SIGTERM);
    CHECK(drained.begun == 1);
    CHECK(drained.cut);
}

TEST_CASE("a second signal ends the drain at once, the first one counts") {
    boost::asio::io_context io;
    test::ManualClock clock;  // stands still: the grace period cannot be what ends it
    Drained drained;
    raise_soon(io, SIGINT);
    const int ended_by = runtime::run_until_signal(
        io, clock, 1h, [&](Deadline) { return drain_for_ever(io, drained, SIGTERM, clock); });
    CHECK(ended_by == SIGINT);
    CHECK(drained.begun == 1);
    CHECK(drained.cut);
}

TEST_CASE("hangups are counted or ignored, and never end the program") {
    boost::asio::io_context io;
    test::ManualClock clock;
    Drained drained;
    int hangups = 0;
    const auto drain = [&](Deadline deadline) { return drain_at_once(drained, deadline); };
    raise_soon(io, SIGHUP);

    SECTION("with a handler") {
        const int ended_by = runtime::run_until_signal(io, clock, 1s, drain, [&] {
            ++hangups;
            raise_soon(io, hangups < 3 ? SIGHUP : SIGTERM);
        });
        CHECK(ended_by == SIGTERM);
        CHECK(hangups == 3);
    }
    SECTION("without one") {
        raise_soon(io, SIGTERM);
        CHECK(runtime::run_until_signal(io, clock, 1s, drain) == SIGTERM);
    }
    CHECK(drained.begun == 1);
}

TEST_CASE("writing to a closed pipe does not kill the program afterwards") {
    boost::asio::io_context io;
    test::ManualClock clock;
    Drained drained;
    raise_soon(io, SIGPIPE);
    raise_soon(io, SIGTERM);
    CHECK(runtime::run_until_signal(io, clock, 1s, [&](Deadline deadline) {
              return drain_at_once(drained, deadline);
          }) == SIGTERM);
    struct sigaction action{};
    ::sigaction(SIGPIPE, nullptr, &action);
    CHECK(action.sa_handler == SIG_IGN);
}

TEST_CASE("an exception of the drain is for main") {
    boost::asio::io_context io;
    test::ManualClock clock;
    raise_soon(io, SIGTERM);
    CHECK_THROWS_AS(
        runtime::run_until_signal(io, clock, 1s, [](Deadline) { return drain_badly(); }),
        std::logic_error);
}

TEST_CASE("a loop that was stopped before runs all the same") {
    boost::asio::io_context io;
    test::ManualClock clock;
    Drained drained;
    io.stop();
    raise_soon(io, SIGTERM);
    CHECK(runtime::run_until_signal(io, clock, 1s, [&](Deadline deadline) {
              return drain_at_once(drained, deadline);
          }) == SIGTERM);
    CHECK(drained.ended);
}
