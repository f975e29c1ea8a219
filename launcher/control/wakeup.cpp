#include "launcher/control/wakeup.hpp"

#include "launcher/runtime/with_deadline.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace launcher {

runtime::Task<runtime::Result<void>> Wakeup::next(std::uint64_t seen) {
    if (count_ == seen)
        co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    co_return runtime::Result<void>{};
}

runtime::Task<void> Wakeup::wait(runtime::Clock& clock, runtime::Deadline deadline) {
    if (deadline.expired(clock.now())) co_return;
    const auto ended = co_await runtime::with_deadline(clock, deadline, "wakeup", next(count_));
    (void)ended;  // why it woke up is the caller's to find out
}

}  // namespace launcher
