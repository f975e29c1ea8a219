#include "kms/attest/held_collateral.hpp"

#include "kms/attest/pccs_fetch.hpp"
#include "launcher/runtime/log.hpp"
#include "launcher/runtime/with_deadline.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace kms {

namespace asio = boost::asio;
using runtime::Deadline;
using runtime::kv;
using runtime::Task;
using runtime::TimePoint;

namespace {

constexpr std::string_view kLogTarget = "kms::attest";

UnixSeconds unix_seconds(runtime::WallTime time) {
    return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

/// What is known of one kind of platform.
struct Entry {
    explicit Entry(const asio::any_io_executor& executor)
        : fetched(executor, asio::steady_timer::time_point::max()) {}

    std::optional<VerifiedCollateral> held;
    UnixSeconds refresh_at = 0;
    std::optional<Error> failure;
    TimePoint retry_at{};
    bool fetching = false;
    asio::steady_timer fetched;  ///< cancelled when a fetch has ended
};

Task<Result<void>> ended(std::shared_ptr<Entry> entry) {
    // It may have ended before this began.
    if (entry->fetching) co_await entry->fetched.async_wait(asio::as_tuple(asio::use_awaitable));
    // Woken because the caller's time is over.
    if (entry->fetching) co_return Error{ErrorCode::deadline_exceeded, "not fetched yet"};
    co_return Result<void>();
}

}  // namespace

struct HeldCollateral::State {
    asio::any_io_executor executor;
    runtime::Clock& clock;
    runtime::Workers& workers;
    runtime::HttpClient& http;
    TrustAnchor anchor;
    HeldCollateralOptions options;
    std::map<CollateralQuery, std::shared_ptr<Entry>> entries{};
    std::size_t at_work = 0;

    bool make_room();
    static Task<Result<VerifiedCollateral>> fetch(std::shared_ptr<State> self,
                                                  CollateralQuery query);
    static Task<void> renew(std::shared_ptr<State> self, CollateralQuery query,
                            std::shared_ptr<Entry> entry);
};

/// A kind that nobody is waiting for gives way to a new one.
bool HeldCollateral::State::make_room() {
    if (entries.size() < options.platforms) return true;
    for (auto at = entries.begin(); at != entries.end(); ++at)
        if (!at->second->fetching) {
            entries.erase(at);
            return true;
        }
    return false;
}

Task<Result<VerifiedCollateral>> HeldCollateral::State::fetch(std::shared_ptr<State> self,
                                                              CollateralQuery query) {
    const Deadline deadline = Deadline::after(self->clock.now(), self->options.fetch_limit);
    CO_TRY(Collateral collateral,
           co_await fetch_collateral(self->http, self->options.base_url, query, deadline));
    const UnixSeconds now = unix_seconds(self->clock.wall_now());
    auto shared = std::make_shared<Collateral>(std::move(collateral));
    const auto check = [shared, anchor = self->anchor, now]() -> Result<VerifiedCollateral> {
        auto verified = VerifiedCollateral::create(std::move(*shared), anchor, now);
        if (verified) return std::move(*verified);
        return Error{ErrorCode::unauthenticated, verified.error().reason};
    };
    auto verified = co_await self->workers.run(self->clock, deadline, check);
    co_return verified;
}

Task<void> HeldCollateral::State::renew(std::shared_ptr<State> self, CollateralQuery query,
                                        std::shared_ptr<Entry> entry) {
    auto made = co_await fetch(self, query);
    --self->at_work;
    entry->fetching = false;
    if (made) {
        const UnixSeconds now = unix_seconds(self->clock.wall_now());
        const UnixSeconds life = made->valid_until() - now;
        entry->refresh_at =
            now + std::min<UnixSeconds>(life * 2 / 3,
                                        std::chrono::seconds(self->options.refresh).count());
        runtime::log_info(kLogTarget, "collateral fetched",
                          {kv("fmspc", made->fmspc_hex()), kv("valid_seconds", life)});
        entry->held = std::move(*made);
        entry->failure.reset();
    } else {
        runtime::log_warn(kLogTarget, "collateral cannot be had",
                          {kv("fmspc", runtime::to_hex(query.fmspc)),
                           kv("error", made.error().context), kv("held", entry->held.has_value())});
        entry->failure = std::move(made.error());
        entry->retry_at = self->clock.now() + self->options.failure_kept;
    }
    entry->fetched.cancel();
}

HeldCollateral::HeldCollateral(asio::any_io_executor executor, runtime::Clock& clock,
                               runtime::Workers& workers, std::unique_ptr<runtime::HttpClient> http,
                               TrustAnchor anchor, HeldCollateralOptions options)
    : http_(std::move(http)),
      state_(std::make_shared<State>(State{std::move(executor), clock, workers, *http_,
                                           std::move(anchor), std::move(options)})) {}

HeldCollateral::~HeldCollateral() = default;

Task<Result<VerifiedCollateral>> HeldCollateral::get(CollateralQuery query, Deadline deadline) {
    // A caller that is cancelled may outlive this object; its state goes with the last of them.
    const std::shared_ptr<State> state = state_;
    auto found = state->entries.find(query);
    if (found == state->entries.end()) {
        if (!state->make_room())
            co_return Error{ErrorCode::resource_exhausted,
                            "collateral for too many kinds of platforms is being fetched"};
        found = state->entries.emplace(query, std::make_shared<Entry>(state->executor)).first;
    }
    const std::shared_ptr<Entry> entry = found->second;
    for (;;) {
        const UnixSeconds now = unix_seconds(state->clock.wall_now());
        const bool usable = entry->held && now < entry->held->valid_until();
        const bool failed = entry->failure && state->clock.now() < entry->retry_at;
        const bool due = !usable || now >= entry->refresh_at;
        if (due && !failed && !entry->fetching && state->at_work < state->options.fetches) {
            entry->fetching = true;
            ++state->at_work;
            asio::co_spawn(state->executor, State::renew(state, query, entry), asio::detached);
            continue;
        }
        if (usable) co_return *entry->held;
        if (!entry->fetching) {
            if (failed) co_return *entry->failure;
            co_return Error{ErrorCode::resource_exhausted, "too much collateral is being fetched"};
        }
        auto waited = co_await runtime::with_deadline(
            state->clock, deadline, "waiting for collateral from " + state->options.base_url,
            ended(entry));
        if (!waited) co_return std::move(waited.error());
    }
}

}  // namespace kms
