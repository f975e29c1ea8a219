#include "kms/attest/held_collateral.hpp"

#include "kms/attest/held_collateral_state.hpp"
#include "launcher/runtime/http_fault.hpp"
#include "launcher/runtime/log.hpp"
#include "launcher/runtime/with_deadline.hpp"

#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kms {

namespace asio = boost::asio;
using runtime::Deadline;
using runtime::kv;
using runtime::Task;

namespace {

constexpr std::string_view kLogTarget = "kms::attest";
/// How much of a wait may pass before the calendar is looked at again: it can be set.
constexpr std::chrono::hours kLongestSleep{1};

Task<Result<void>> woken(std::shared_ptr<void> owner, WakeUp& wake, std::size_t seen) {
    if (wake.times() == seen) co_await wake.timer().async_wait(asio::as_tuple(asio::use_awaitable));
    const bool in_vain = wake.times() == seen;
    owner.reset();
    if (in_vain) co_return Error{ErrorCode::deadline_exceeded, "not woken"};
    co_return Result<void>();
}

}  // namespace

UnixSeconds refresh_time(UnixSeconds fetched_at, UnixSeconds valid_until,
                         std::chrono::seconds at_the_latest) {
    const UnixSeconds life = std::max<UnixSeconds>(valid_until - fetched_at, 0);
    return fetched_at + std::min<UnixSeconds>(life * 2 / 3, at_the_latest.count());
}

std::chrono::seconds refresh_pause(unsigned failures, std::chrono::seconds first,
                                   std::chrono::seconds most) {
    std::chrono::seconds pause = first;
    for (unsigned i = 1; i < failures && pause < most; ++i) pause *= 2;
    return std::min(pause, most);
}

Task<runtime::HttpExchange> HttpGate::exchange(runtime::HttpClientRequest request,
                                               Deadline deadline) {
    if (inner_ != nullptr) co_return co_await inner_->exchange(std::move(request), deadline);
    runtime::HttpFaultText why{runtime::HttpFault::internal, "the program is stopping"};
    co_return runtime::failed_exchange(std::move(why));
}

Task<Result<void>> wait_for(runtime::Clock& clock, Deadline deadline, std::string what,
                            std::shared_ptr<void> owner, WakeUp& wake) {
    const std::size_t seen = wake.times();
    auto waited =
        co_await runtime::with_deadline(clock, deadline, what, woken(std::move(owner), wake, seen));
    co_return waited;
}

HeldCollateral::HeldCollateral(asio::any_io_executor executor, runtime::Clock& clock,
                               runtime::Workers& workers, std::unique_ptr<runtime::HttpClient> http,
                               TrustAnchor anchor, HeldCollateralOptions options,
                               std::shared_ptr<CollateralDirectory> directory)
    : http_(std::move(http)),
      state_(std::make_shared<State>(std::move(executor), clock, workers, *http_, std::move(anchor),
                                     std::move(options), std::move(directory))) {
    if (state_->directory != nullptr)
        asio::co_spawn(state_->executor, State::load(state_), asio::detached);
}

HeldCollateral::~HeldCollateral() {
    state_->http.close();
    for (auto& [query, entry] : state_->entries) {
        entry->gone = true;
        entry->keeper_stop.emit(asio::cancellation_type::terminal);
    }
}

HeldCollateral::State::State(asio::any_io_executor executor_, runtime::Clock& clock_,
                             runtime::Workers& workers_, runtime::HttpClient& http_,
                             TrustAnchor anchor_, HeldCollateralOptions options_,
                             std::shared_ptr<CollateralDirectory> directory_)
    : executor(std::move(executor_)),
      clock(clock_),
      workers(workers_),
      http(http_),
      anchor(std::move(anchor_)),
      options(std::move(options_)),
      directory(std::move(directory_)),
      budget(options.budget),
      place_free(executor),
      loaded(directory == nullptr),
      loading(executor) {}

UnixSeconds HeldCollateral::State::now() const {
    return std::chrono::floor<std::chrono::seconds>(clock.wall_now()).time_since_epoch().count();
}

bool HeldCollateral::State::usable(const Entry& entry) const {
    return entry.held && now() < entry.held->valid_until();
}

void HeldCollateral::State::forget(const CollateralQuery& query, Entry& entry) {
    entry.gone = true;
    entry.keeper_stop.emit(asio::cancellation_type::terminal);
    entries.erase(query);
}

/// A kind that nobody is waiting for gives way to a new one: first what was never had.
bool HeldCollateral::State::make_room() {
    if (entries.size() < options.platforms) return true;
    const auto rank = [](const auto& place) {
        return std::pair(place.second->held.has_value(), place.second->asked_at);
    };
    auto least = entries.end();
    for (auto at = entries.begin(); at != entries.end(); ++at)
        if (!at->second->fetching && (least == entries.end() || rank(*at) < rank(*least)))
            least = at;
    if (least == entries.end()) return false;
    const auto [query, entry] = *least;
    forget(query, *entry);
    return true;
}

bool HeldCollateral::State::has_place(const std::string& asker) const {
    if (at_work >= options.fetches) return false;
    const auto own = at_work_for.find(asker);
    return asker.empty() || own == at_work_for.end() || own->second < options.fetches_per_asker;
}

void HeldCollateral::State::take_place(const std::string& asker) {
    ++at_work;
    if (!asker.empty()) ++at_work_for[asker];
}

void HeldCollateral::State::leave_place(const std::string& asker) {
    --at_work;
    if (const auto own = at_work_for.find(asker); own != at_work_for.end() && --own->second == 0)
        at_work_for.erase(own);
    place_free.all();
}

Task<Result<VerifiedCollateral>> HeldCollateral::State::fetch(Self self, CollateralQuery query) {
    const Deadline deadline = Deadline::after(self->clock.now(), self->options.fetch_limit);
    CO_TRY(Collateral collateral,
           co_await fetch_collateral(self->http, self->options.server, query, deadline));
    auto shared = std::make_shared<Collateral>(std::move(collateral));
    const auto check = [shared, self, at = self->now()]() -> Result<VerifiedCollateral> {
        auto verified = VerifiedCollateral::create(std::move(*shared), self->anchor, at);
        if (verified) return std::move(*verified);
        self->refused[static_cast<std::size_t>(verified.error().stage)].add();
        return Error{ErrorCode::unauthenticated, verified.error().reason};
    };
    auto verified = co_await self->workers.run(self->clock, deadline, check);
    co_return verified;
}

Task<void> HeldCollateral::State::renew(Self self, CollateralQuery query, SharedEntry entry,
                                        std::string asker) {
    auto made = co_await fetch(self, query);
    entry->fetching = false;
    self->leave_place(asker);
    if (made) {
        self->fetches_good.add();
        const UnixSeconds now = self->now();
        runtime::log_info(
            kLogTarget, "collateral fetched",
            {kv("fmspc", made->fmspc_hex()), kv("valid_seconds", made->valid_until() - now)});
        if (self->directory != nullptr && !entry->gone)
            asio::co_spawn(self->executor,
                           save(self, StoredCollateral{query, now, made->collateral()}),
                           asio::detached);
        entry->fetched_at = now;
        entry->refresh_at = refresh_time(now, made->valid_until(), self->options.refresh);
        entry->held = std::move(*made);
        entry->failure.reset();
        start_keeper(self, query, entry);
    } else {
        self->fetches_failed.add();
        runtime::log_warn(kLogTarget, "collateral cannot be had",
                          {kv("fmspc", runtime::to_hex(query.fmspc)),
                           kv("error", made.error().context), kv("held", self->usable(*entry))});
        entry->failure = std::move(made.error());
        entry->retry_at = self->clock.now() + self->options.failure_kept;
    }
    entry->fetched.all();
}

void HeldCollateral::State::start_keeper(const Self& self, const CollateralQuery& query,
                                         const SharedEntry& entry) {
    if (entry->kept || entry->gone) return;
    entry->kept = true;
    // The entry, and with it the signal, lives at least as long as the coroutine that it stops.
    asio::co_spawn(self->executor, keep(self, query, entry),
                   asio::bind_cancellation_slot(entry->keeper_stop.slot(),
                                                [entry](const std::exception_ptr& failure) {
                                                    if (failure) std::rethrow_exception(failure);
                                                }));
}

/// Looks after one kind: fetches it anew in time, as long as somebody asks for it now and then.
Task<void> HeldCollateral::State::keep(Self self, CollateralQuery query, SharedEntry entry) {
    co_await asio::this_coro::throw_if_cancelled(false);
    const HeldCollateralOptions& options = self->options;
    unsigned failures = 0;
    for (;;) {
        std::chrono::seconds pause(std::max<UnixSeconds>(entry->refresh_at - self->now(), 0));
        if (failures > 0)
            pause = refresh_pause(failures, options.refresh_retry, options.refresh_retry_most);
        if (pause > std::chrono::seconds::zero()) {
            const runtime::TimePoint wake =
                self->clock.now() + std::min<runtime::Duration>(pause, kLongestSleep);
            co_await self->clock.sleep_until(wake);
            if (entry->gone) co_return;
            if (failures == 0 && self->now() < entry->refresh_at) continue;
        }
        if (self->now() - entry->asked_at > std::chrono::seconds(options.unused_kept).count()) {
            if (self->usable(*entry) && failures == 0) {
                // Nobody needs it; it may still serve until it expires.
                entry->refresh_at = entry->held->valid_until();
                if (self->now() < entry->refresh_at) continue;
            }
            self->forget(query, *entry);
            co_return;
        }
        if (entry->fetching) {
            co_await entry->fetched.timer().async_wait(asio::as_tuple(asio::use_awaitable));
        } else if (!self->has_place("")) {
            co_await self->place_free.timer().async_wait(asio::as_tuple(asio::use_awaitable));
            if (entry->gone) co_return;
            continue;
        } else {
            entry->fetching = true;
            self->take_place("");
            co_await renew(self, query, entry, "");
        }
        if (entry->gone) co_return;
        failures = entry->failure ? failures + 1 : 0;
    }
}

Task<Result<VerifiedCollateral>> HeldCollateral::get(CollateralQuery query, std::string asker,
                                                     Deadline deadline) {
    // A caller that is cancelled may outlive this object; its state goes with the last of them.
    const std::shared_ptr<State> state = state_;
    asker = network_of(asker);
    if (!state->loaded)
        (void)co_await wait_for(state->clock,
                                deadline.narrowed(state->clock.now(), state->options.load_wait),
                                "reading stored collateral", state, state->loading);
    auto found = state->entries.find(query);
    if (found == state->entries.end()) {
        const bool allowed = asker.empty() || state->budget.take(asker, state->clock.now());
        if (!allowed || !state->make_room()) {
            state->turned_away.add();
            co_return Error{ErrorCode::resource_exhausted,
                            allowed ? "collateral for too many kinds of platforms is being fetched"
                                    : "too many kinds of platforms that are not known here were "
                                      "brought up from one address; try again later"};
        }
        found =
            state->entries.emplace(query, std::make_shared<CollateralEntry>(state->executor)).first;
    }
    const std::shared_ptr<CollateralEntry> entry = found->second;
    entry->asked_at = state->now();
    for (;;) {
        if (state->usable(*entry)) co_return *entry->held;
        if (!entry->fetching) {
            if (entry->failure && state->clock.now() < entry->retry_at) co_return *entry->failure;
            if (state->has_place(asker)) {
                entry->fetching = true;
                state->take_place(asker);
                asio::co_spawn(state->executor, State::renew(state, query, entry, asker),
                               asio::detached);
                continue;
            }
        }
        WakeUp& wake = entry->fetching ? entry->fetched : state->place_free;
        auto waited = co_await wait_for(
            state->clock, deadline,
            "waiting for collateral from " + runtime::url_origin(state->options.server.base_url),
            entry, wake);
        if (!waited) co_return std::move(waited.error());
    }
}

Task<Result<std::string>> HeldCollateral::pck_chain(PckRequest request, std::string asker,
                                                    Deadline deadline) {
    const std::shared_ptr<State> state = state_;
    if (const auto known = state->chains.find(request); known != state->chains.end())
        co_return known->second;
    asker = network_of(asker);
    // Every platform has a chain of its own, so each of them counts.
    const bool allowed = asker.empty() || state->budget.take(asker, state->clock.now());
    if (!allowed || !state->has_place(asker)) {
        state->turned_away.add();
        co_return Error{ErrorCode::resource_exhausted,
                        "too many PCK certificates are being fetched; try again later"};
    }
    state->take_place(asker);
    auto chain =
        co_await fetch_pck_chain(state->http, state->options.server, request,
                                 deadline.narrowed(state->clock.now(), state->options.fetch_limit));
    state->leave_place(asker);
    if (!chain) {
        state->fetches_failed.add();
        co_return chain;
    }
    state->fetches_good.add();
    if (state->chains.size() >= state->options.platforms)
        state->chains.erase(state->chains.begin());
    state->chains[std::move(request)] = *chain;
    co_return chain;
}

}  // namespace kms
