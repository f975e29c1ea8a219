#include "kms/authorize/facts_source.hpp"

#include "tests/support/manual_clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <catch2/catch.hpp>

using namespace kms;
using namespace std::chrono_literals;
using runtime::Deadline;
using runtime::Result;
using runtime::Task;

namespace {

ChainFacts facts_with(std::uint64_t chain_id) {
    ChainFacts facts;
    facts.chain_id = chain_id;
    return facts;
}

/// A webhook that answers when the test says so.
struct Peer {
    explicit Peer(boost::asio::io_context& context) : io(context) {}

    Task<Result<ChainFacts>> ask() {
        ++asked;
        if (at_once) co_return *at_once;
        pending = std::make_shared<boost::asio::steady_timer>(
            io, boost::asio::steady_timer::time_point::max());
        co_await pending->async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        co_return answer;
    }
    void answer_with(Result<ChainFacts> result) {
        answer = std::move(result);
        pending->cancel();
        test::run_ready(io);
    }

    boost::asio::io_context& io;
    int asked = 0;
    std::optional<Result<ChainFacts>> at_once;
    Result<ChainFacts> answer;
    std::shared_ptr<boost::asio::steady_timer> pending;
};

struct Call {
    bool done = false;
    FactsSource::Facts facts;
};

Task<void> call_into(FactsSource& source, test::ManualClock& clock, std::shared_ptr<Call> call) {
    if (auto now = source.now())
        call->facts = *now;
    else
        call->facts = co_await source.wait(Deadline::after(clock.now(), 60s));
    call->done = true;
}

struct Fixture {
    Fixture()
        : peer(io), source(io.get_executor(), clock, FactsBounds{}, "http://auth", [this] {
              return peer.ask();
          }) {}

    std::shared_ptr<Call> call() {
        auto made = std::make_shared<Call>();
        boost::asio::co_spawn(io, call_into(source, clock, made), boost::asio::detached);
        test::run_ready(io);
        return made;
    }
    void advance(runtime::Duration span) {
        clock.advance(span);
        test::run_ready(io);
    }

    boost::asio::io_context io;
    test::ManualClock clock;
    Peer peer;
    FactsSource source;
};

const runtime::Error kRefused{runtime::ErrorCode::unavailable, "refused"};

}  // namespace

TEST_CASE("a webhook that answers in time gives fresh facts to the first call") {
    Fixture f;
    const auto call = f.call();
    CHECK_FALSE(call->done);
    CHECK_FALSE(f.source.age().has_value());
    f.advance(10ms);
    f.peer.answer_with(facts_with(7));
    REQUIRE(call->done);
    REQUIRE(call->facts);
    CHECK(call->facts->chain_id == 7);
    CHECK(f.source.age() == 10ms);  // counted from when they were asked for
}

TEST_CASE("a webhook that answers at once costs no wait") {
    Fixture f;
    f.peer.at_once = facts_with(3);
    const auto call = f.call();
    REQUIRE(call->done);
    CHECK(call->facts->chain_id == 3);
}

TEST_CASE("a silent webhook costs one wait, then nearly nothing, and one exchange") {
    Fixture f;
    const auto first = f.call();
    f.advance(39ms);
    CHECK_FALSE(first->done);
    const auto joined = f.call();
    f.advance(1ms);
    CHECK(first->done);
    CHECK(joined->done);
    CHECK(first->facts == nullptr);
    for (int i = 0; i < 100; ++i) {
        const auto later = f.call();
        CHECK_FALSE(later->done);
        f.advance(5ms);
        CHECK(later->done);
    }
    CHECK(f.peer.asked == 1);
    CHECK(f.source.counters().exchanges.value() == 1);
    CHECK(f.source.counters().answered_from_memory.value() == 102);
    // The answer that comes after all serves the call that waits for it.
    const auto last = f.call();
    f.peer.answer_with(facts_with(9));
    REQUIRE(last->done);
    CHECK(last->facts->chain_id == 9);
}

TEST_CASE("what was last known is answered through an outage, and fresh facts right after it") {
    Fixture f;
    f.peer.at_once = facts_with(1);
    f.call();
    f.advance(10min);
    f.peer.at_once = kRefused;
    const auto during = f.call();
    REQUIRE(during->done);
    CHECK(during->facts->chain_id == 1);
    CHECK(f.source.age() == 10min);
    CHECK(f.source.counters().failures.value() == 1);
    f.advance(5s);
    f.peer.at_once = facts_with(2);
    const auto after = f.call();
    REQUIRE(after->done);
    CHECK(after->facts->chain_id == 2);
    CHECK(f.source.age() == 0ms);
}

TEST_CASE("under load the facts are refreshed behind the answers") {
    Fixture f;
    f.peer.at_once = facts_with(1);
    f.call();
    f.peer.at_once.reset();
    f.advance(300ms);
    for (int i = 0; i < 50; ++i) {
        const auto call = f.call();
        REQUIRE(call->done);  // no wait
        CHECK(call->facts->chain_id == 1);
    }
    CHECK(f.peer.asked == 2);
    f.peer.answer_with(facts_with(2));
    CHECK(f.call()->facts->chain_id == 2);
}

TEST_CASE("equal facts keep their identity, so that answers made of them can be kept") {
    Fixture f;
    f.peer.at_once = facts_with(1);
    const auto first = f.call();
    f.advance(10s);
    const auto second = f.call();
    CHECK(f.peer.asked == 2);
    CHECK(first->facts == second->facts);
}

TEST_CASE("refusals in a row are asked for at most every 20 ms") {
    Fixture f;
    f.peer.at_once = kRefused;
    for (int i = 0; i < 100; ++i) {
        CHECK(f.call()->done);
        f.advance(1ms);
    }
    CHECK(f.peer.asked == 5);
}

TEST_CASE("the source may go while an exchange is at work and a call waits") {
    boost::asio::io_context io;
    test::ManualClock clock;
    Peer peer(io);
    auto source = std::make_unique<FactsSource>(io.get_executor(), clock, FactsBounds{},
                                                "http://auth", [&peer] { return peer.ask(); });
    const auto call = std::make_shared<Call>();
    boost::asio::co_spawn(io, call_into(*source, clock, call), boost::asio::detached);
    test::run_ready(io);
    source.reset();
    peer.answer_with(facts_with(5));
    REQUIRE(call->done);
    CHECK(call->facts->chain_id == 5);
}

TEST_CASE("an answer to a question of long ago is not taken for fresh: the call asks again") {
    Fixture f;
    f.peer.at_once = facts_with(1);
    f.call();
    f.peer.at_once.reset();
    f.advance(10s);
    f.call();
    f.advance(3s);  // overdue
    const auto after_thaw = f.call();
    CHECK_FALSE(after_thaw->done);
    f.peer.at_once = facts_with(3);
    f.peer.answer_with(facts_with(2));
    REQUIRE(after_thaw->done);
    CHECK(after_thaw->facts->chain_id == 3);
    CHECK(f.source.age() == 0ms);
    CHECK(f.peer.asked == 3);
}
