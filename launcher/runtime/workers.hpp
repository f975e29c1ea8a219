/// Workers: a bounded pool for CPU-heavy or blocking work, so that the I/O thread neither burns nor
/// blocks.
#pragma once

#include "launcher/runtime/clock.hpp"

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace runtime {

class Workers {
  public:
    /// At most `max_queued` pieces of work wait or run at a time.
    Workers(std::size_t threads, std::size_t max_queued)
        : pool_(threads), max_queued_(max_queued) {}
    ~Workers() { pool_.join(); }

    std::size_t in_flight() const { return in_flight_->load(std::memory_order_relaxed); }

    /// Runs `work` (a callable returning Result<T>) on a worker and resumes on the caller's
    /// executor, with the work's exception if it threw one. Work whose deadline has passed when its
    /// turn comes is dropped, not done (deadline_exceeded). Beyond the bound the answer is
    /// resource_exhausted, at once. Running work is not interrupted, not even by cancellation of
    /// the caller: it must not wait. `clock` is read on the worker.
    template <class Work>
    auto run(Clock& clock, Deadline deadline, Work work) -> Task<decltype(work())> {
        using ResultType = decltype(work());
        const Place place(in_flight_);
        if (place.number > max_queued_)
            co_return ResultType(Error{ErrorCode::resource_exhausted, "too much work is queued"});
        // A coroutine of its own on the pool: awaiting asio::post(pool) would come back to the
        // caller's executor before the work, because a continuation runs where its coroutine was
        // spawned.
        co_return co_await asio::co_spawn(pool_.get_executor(),
                                          do_work<ResultType>(clock, deadline, std::move(work)),
                                          asio::use_awaitable);
    }

  private:
    using Count = std::shared_ptr<std::atomic<std::size_t>>;
    /// Counts one piece of work, however its coroutine ends; that may be after the pool has ended.
    struct Place {
        explicit Place(Count counter)
            : count(std::move(counter)), number(count->fetch_add(1) + 1) {}
        ~Place() { count->fetch_sub(1); }
        Place(const Place&) = delete;
        Place& operator=(const Place&) = delete;
        const Count count;
        const std::size_t number;
    };

    template <class ResultType, class Work>
    static Task<ResultType> do_work(Clock& clock, Deadline deadline, Work work) {
        if (deadline.expired(clock.now()))
            co_return ResultType(
                Error{ErrorCode::deadline_exceeded, "queued work: deadline exceeded"});
        co_return work();
    }

    asio::thread_pool pool_;
    std::size_t max_queued_;
    Count in_flight_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace runtime
