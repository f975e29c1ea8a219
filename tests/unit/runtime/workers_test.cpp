#include "launcher/runtime/workers.hpp"

#include "tests/support/manual_clock.hpp"

#include <future>
#include <latch>
#include <stdexcept>
#include <thread>

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::ErrorCode;
using runtime::Result;

namespace {

struct Places {
    std::thread::id before, during, after;
};

runtime::Task<Result<Places>> visit_worker(runtime::Workers& workers, runtime::Clock& clock) {
    Places places;
    places.before = std::this_thread::get_id();
    auto during = co_await workers.run(
        clock, Deadline::after(clock.now(), 1s),
        []() -> Result<std::thread::id> { return std::this_thread::get_id(); });
    places.after = std::this_thread::get_id();
    CO_TRY(places.during, std::move(during));
    co_return places;
}

Result<int> wait_for(std::shared_future<void> gate, int value) {
    gate.wait_for(10s);
    return value;
}

Result<int> throw_up() {
    throw std::logic_error("a bug");
}

using Answer = std::optional<Result<int>>;

template <class Work>
void start(boost::asio::io_context& io, runtime::Workers& workers, runtime::Clock& clock,
           Deadline deadline, Work work, Answer& answer) {
    boost::asio::co_spawn(
        io, workers.run(clock, deadline, std::move(work)),
        [&answer](const std::exception_ptr&, Result<int> value) { answer = std::move(value); });
}

}  // namespace

TEST_CASE("work runs on a worker and its caller goes on where it was") {
    boost::asio::io_context io;
    runtime::SystemClock clock;
    runtime::Workers workers(1, 4);
    const auto places = test::run(io, visit_worker(workers, clock));
    REQUIRE(places.has_value());
    CHECK(places->before == std::this_thread::get_id());
    CHECK(places->after == std::this_thread::get_id());
    CHECK(places->during != std::this_thread::get_id());
    CHECK(workers.in_flight() == 0);
}

TEST_CASE("beyond the bound work is refused at once, and what was queued is done") {
    boost::asio::io_context io;
    runtime::SystemClock clock;
    std::promise<void> gate;
    const std::shared_future<void> opened = gate.get_future().share();
    runtime::Workers workers(1, 2);
    const Deadline deadline = Deadline::after(clock.now(), 1h);
    std::array<Answer, 3> answers;
    for (int i = 0; i < 3; ++i)
        start(
            io, workers, clock, deadline, [opened, i] { return wait_for(opened, i); },
            answers[static_cast<std::size_t>(i)]);

    test::run_ready(io);
    REQUIRE(answers[2].has_value());
    REQUIRE_FALSE(answers[2]->has_value());
    CHECK(answers[2]->error().code == ErrorCode::resource_exhausted);
    CHECK_FALSE(answers[0].has_value());
    CHECK(workers.in_flight() == 2);

    gate.set_value();
    io.restart();
    io.run_for(10s);
    CHECK(answers[0].value().value() == 0);
    CHECK(answers[1].value().value() == 1);
    CHECK(workers.in_flight() == 0);
}

TEST_CASE("work whose deadline passed in the queue is dropped, not done") {
    boost::asio::io_context io;
    runtime::SystemClock clock;
    std::promise<void> gate;
    const std::shared_future<void> opened = gate.get_future().share();
    runtime::Workers workers(1, 8);
    bool done = false;
    Answer first, late;
    start(
        io, workers, clock, Deadline::after(clock.now(), 1h),
        [opened] { return wait_for(opened, 1); }, first);
    // Expired from the start, but the worker is busy: the check has to come when its turn comes.
    start(
        io, workers, clock, Deadline(clock.now()),
        [&done]() -> Result<int> {
            done = true;
            return 2;
        },
        late);
    test::run_ready(io);
    CHECK_FALSE(late.has_value());
    gate.set_value();
    io.restart();
    io.run_for(10s);
    CHECK(first.value().value() == 1);
    REQUIRE(late.has_value());
    REQUIRE_FALSE(late->has_value());
    CHECK(late->error().code == ErrorCode::deadline_exceeded);
    CHECK_FALSE(done);
}

TEST_CASE("an exception of the work reaches the caller on its own thread and frees the place") {
    boost::asio::io_context io;
    runtime::SystemClock clock;
    runtime::Workers workers(1, 1);
    CHECK_THROWS_AS((test::run(io, workers.run(clock, Deadline::after(clock.now(), 1s), throw_up))),
                    std::logic_error);
    CHECK(workers.in_flight() == 0);
    const auto places = test::run(io, visit_worker(workers, clock));
    CHECK(places.has_value());
}

TEST_CASE("errors of the work are handed on") {
    boost::asio::io_context io;
    runtime::SystemClock clock;
    runtime::Workers workers(2, 2);
    const auto refused =
        test::run(io, workers.run(clock, Deadline::after(clock.now(), 1s), []() -> Result<int> {
            return runtime::Error{ErrorCode::not_found, "no such key"};
        }));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().context == "no such key");
}
