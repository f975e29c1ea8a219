#include "kms/authorize/facts_source.hpp"

#include "launcher/runtime/log.hpp"
#include "launcher/runtime/with_deadline.hpp"

#include <exception>
#include <list>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kms {

namespace asio = boost::asio;
using runtime::Deadline;
using runtime::kv;
using runtime::Result;
using runtime::Task;
using runtime::TimePoint;

namespace {
constexpr std::string_view kLogTarget = "kms::authorize";
}

struct FactsSource::Impl {
    Impl(asio::any_io_executor run_on, runtime::Clock& time, FactsBounds limits,
         std::string service, Ask question)
        : executor(std::move(run_on)),
          clock(time),
          bounds(limits),
          peer(std::move(service)),
          ask(std::move(question)) {}

    asio::any_io_executor executor;
    runtime::Clock& clock;
    FactsBounds bounds;
    std::string peer;
    Ask ask;

    FactsState state;
    Facts facts;
    std::optional<TimePoint>
        outage_since;  ///< set with the first failure after a success or the start
    std::list<std::shared_ptr<asio::steady_timer>> waiters;
    FactsCounters counters;

    /// What a call has to do now; starts the exchange that is due.
    static FactsPlan plan(const std::shared_ptr<Impl>& self, TimePoint now);
    static Task<void> run_exchange(std::shared_ptr<Impl> self, TimePoint started);
    static Task<Result<void>> exchange_end(std::shared_ptr<Impl> self);
    void finish(TimePoint started, Result<ChainFacts> result);
    void announce_outage(const runtime::Error& error, TimePoint now);
    void announce_recovery(TimePoint now);
};

/// One line when an outage begins and one when it ends; every call in between would say the same.
void FactsSource::Impl::announce_outage(const runtime::Error& error, TimePoint now) {
    if (outage_since) return;
    outage_since = now;
    const std::string_view message =
        "the authorisation service gives no chain facts; GetMeta answers from what it last knew";
    if (state.known_since) {
        runtime::log_warn(
            kLogTarget, message,
            {kv("service", peer), kv("age", now - *state.known_since), kv("error", error.context)});
    } else {
        runtime::log_warn(
            kLogTarget, message,
            {kv("service", peer), kv("age", "never known"), kv("error", error.context)});
    }
}

void FactsSource::Impl::announce_recovery(TimePoint now) {
    if (!outage_since) return;
    runtime::log_info(kLogTarget, "the authorisation service gives chain facts again",
                      {kv("service", peer), kv("outage", now - *outage_since)});
    outage_since.reset();
}

void FactsSource::Impl::finish(TimePoint started, Result<ChainFacts> result) {
    const TimePoint now = clock.now();
    state.exchange_since.reset();
    state.failed_at.reset();
    if (result) {
        if (!facts || *facts != *result)
            facts = std::make_shared<const ChainFacts>(std::move(*result));
        state.known_since = started;
        announce_recovery(now);
    } else {
        state.failed_at = now;
        counters.failures.add();
        announce_outage(result.error(), now);
    }
    for (const auto& waiter : waiters) waiter->cancel();
}

Task<void> FactsSource::Impl::run_exchange(std::shared_ptr<Impl> self, TimePoint started) {
    Result<ChainFacts> result;
    try {
        result = co_await self->ask();
    } catch (const std::exception& failure) {
        result = runtime::Error{runtime::ErrorCode::internal, failure.what()};
    }
    self->finish(started, std::move(result));
}

/// Ends when the exchange at work ends; an error when it is cancelled before.
Task<Result<void>> FactsSource::Impl::exchange_end(std::shared_ptr<Impl> self) {
    const auto awaited = self->state.exchange_since;
    auto timer =
        std::make_shared<asio::steady_timer>(self->executor, asio::steady_timer::time_point::max());
    const auto place = self->waiters.insert(self->waiters.end(), timer);
    co_await timer->async_wait(asio::as_tuple(asio::use_awaitable));
    self->waiters.erase(place);
    // Both the end and a cancellation look like a cancelled timer.
    if (self->state.exchange_since == awaited)
        co_return runtime::Error{runtime::ErrorCode::deadline_exceeded, "the exchange goes on"};
    co_return Result<void>();
}

FactsSource::FactsSource(asio::any_io_executor executor, runtime::Clock& clock, FactsBounds bounds,
                         std::string peer, Ask ask)
    : impl_(std::make_shared<Impl>(std::move(executor), clock, bounds, std::move(peer),
                                   std::move(ask))) {}

FactsSource::~FactsSource() = default;

FactsPlan FactsSource::Impl::plan(const std::shared_ptr<Impl>& self, TimePoint now) {
    const FactsPlan plan = plan_facts(self->state, now, self->bounds);
    if (plan.start_exchange) {
        self->state.exchange_since = now;
        self->counters.exchanges.add();
        asio::co_spawn(self->executor, run_exchange(self, now), asio::detached);
    } else if (self->state.exchange_since &&
               now - *self->state.exchange_since >= self->bounds.overdue_notice) {
        self->announce_outage({runtime::ErrorCode::deadline_exceeded, "no answer yet"}, now);
    }
    return plan;
}

std::optional<FactsSource::Facts> FactsSource::now() {
    const TimePoint now = impl_->clock.now();
    if (Impl::plan(impl_, now).wait_until > now) return std::nullopt;
    if (impl_->state.failed_at) impl_->counters.answered_from_memory.add();
    return impl_->facts;
}

Task<FactsSource::Facts> FactsSource::wait(Deadline deadline) {
    const auto impl = impl_;  // the coroutine may outlive this object
    const Deadline patience = deadline.narrowed(impl->clock.now(), impl->bounds.wait);
    // More than one round only when the exchange that was waited for had been asked long ago: its
    // facts are old.
    while (true) {
        const TimePoint now = impl->clock.now();
        const FactsPlan plan = Impl::plan(impl, now);
        if (plan.wait_until <= now || patience.expired(now) || !impl->state.exchange_since) break;
        const auto ended = co_await runtime::with_deadline(
            impl->clock, patience.narrowed(now, plan.wait_until - now), "chain facts",
            Impl::exchange_end(impl));
        if (!ended) {
            impl->counters.answered_from_memory.add();
            co_return impl->facts;
        }
    }
    if (impl->state.failed_at) impl->counters.answered_from_memory.add();
    co_return impl->facts;
}

std::optional<runtime::Duration> FactsSource::age() const {
    if (!impl_->state.known_since) return std::nullopt;
    return impl_->clock.now() - *impl_->state.known_since;
}

const FactsCounters& FactsSource::counters() const {
    return impl_->counters;
}

}  // namespace kms
