/// Runs reads of a chain in tests, on a clock that only the test moves.
#pragma once

#include "auth/chain/chain_reader.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/unit/auth/chain/fake_chain.hpp"

#include <memory>
#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace test {

inline auth::ChainOptions chain_options() {
    auth::ChainOptions options;
    options.endpoints = {"http://one.example/key-of-the-first"};
    options.contract = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0";
    return options;
}

/// A read under way.
class Reading {
  public:
    Reading(boost::asio::io_context& io, runtime::Task<auth::Answer<auth::ChainReading>> task) {
        boost::asio::co_spawn(
            io, std::move(task),
            [result = result_](std::exception_ptr error, auth::Answer<auth::ChainReading> answer) {
                if (error) std::rethrow_exception(error);
                *result = std::move(answer);
            });
        run_ready(io);
    }
    bool done() const { return result_->has_value(); }
    /// The category of the failure, or "ok".
    std::string outcome() const {
        if (!done()) return "under way";
        return **result_ ? "ok" : to_string((*result_)->error());
    }
    const auth::ChainReading& value() const { return **result_ ? ***result_ : nothing_; }

  private:
    std::shared_ptr<std::optional<auth::Answer<auth::ChainReading>>> result_ =
        std::make_shared<std::optional<auth::Answer<auth::ChainReading>>>();
    auth::ChainReading nothing_;
};

struct ReaderWorld {
    explicit ReaderWorld(auth::ChainOptions options = chain_options())
        : reader(client, clock, std::move(options)) {
        client.handle([this](const runtime::HttpClientRequest& request) { return chain(request); });
    }

    Reading start(runtime::Duration limit = std::chrono::seconds(5)) {
        const std::vector<runtime::Bytes> calls = {{0x1e, 0x07, 0x91, 0x98},
                                                   {0x95, 0xf5, 0x19, 0x31}};
        return Reading(io, read(calls, runtime::Deadline::after(clock.now(), limit)));
    }
    /// Of a read that needs no time.
    std::string outcome() { return start().outcome(); }
    void advance(runtime::Duration span) {
        clock.advance(span);
        run_ready(io);
    }
    const auth::EndpointState& state(std::size_t place = 0) const {
        return reader.endpoints()[place].state();
    }
    std::uint64_t failures(auth::FailureKind kind, std::size_t place = 0) const {
        return state(place).failures[static_cast<std::size_t>(kind)];
    }

    boost::asio::io_context io;
    ManualClock clock;
    FakeHttpClient client{clock};
    FakeChain chain;
    auth::ChainReader reader;

  private:
    runtime::Task<auth::Answer<auth::ChainReading>> read(std::vector<runtime::Bytes> calls,
                                                         runtime::Deadline deadline) {
        co_return co_await reader.read(calls, deadline);
    }
};

}  // namespace test
