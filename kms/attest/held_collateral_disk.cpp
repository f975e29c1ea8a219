// HeldCollateral and its files, and what /metrics tells of both.
#include "kms/attest/held_collateral_state.hpp"
#include "launcher/runtime/log.hpp"

#include <boost/asio/co_spawn.hpp>

namespace kms {

using runtime::Deadline;
using runtime::kv;
using runtime::MetricKind;
using runtime::MetricsText;
using runtime::Task;

namespace {

constexpr std::string_view kLogTarget = "kms::attest";
constexpr std::chrono::seconds kDiskLimit{30};

struct Loaded {
    CollateralQuery query;
    UnixSeconds fetched_at;
    VerifiedCollateral collateral;
};
/// What reading the files came to. A file that is no good is not an error of the disk.
struct LoadReport {
    std::vector<Loaded> good;
    std::vector<std::pair<std::string, std::string>> removed;  ///< name, reason
    std::vector<Refusal> refusals;
    std::optional<Error> failure;
};

/// Runs on a worker.
LoadReport read_all(CollateralDirectory& directory, const TrustAnchor& anchor, UnixSeconds now,
                    std::size_t most) {
    LoadReport report;
    const auto kinds = directory.list();
    if (!kinds) {
        report.failure = kinds.error();
        return report;
    }
    for (const CollateralQuery& query : *kinds) {
        auto stored = directory.load(query);
        std::string reason;
        if (stored) {
            auto verified = VerifiedCollateral::create(std::move(stored->collateral), anchor, now);
            if (verified && report.good.size() < most) {
                report.good.push_back({query, stored->fetched_at, std::move(*verified)});
                continue;
            }
            if (verified) continue;
            reason = verified.error().reason;
            report.refusals.push_back(std::move(verified.error()));
        } else if (stored.error().code == ErrorCode::invalid_argument) {
            reason = stored.error().context;
        } else {
            report.failure = stored.error();
            continue;
        }
        report.removed.emplace_back(file_name(query), std::move(reason));
        if (auto removed = directory.remove(query); !removed) report.failure = removed.error();
    }
    return report;
}

std::string_view tee_name(const CollateralQuery& query) {
    return query.tee == TeeType::sgx ? "sgx" : "tdx";
}

}  // namespace

void HeldCollateral::State::hold(const CollateralQuery& query, VerifiedCollateral collateral,
                                 UnixSeconds fetched_at) {
    auto& entry = entries[query];
    if (entry == nullptr) entry = std::make_shared<Entry>(executor);
    // What was fetched meanwhile is newer.
    if (entry->held) return;
    entry->asked_at = now();
    entry->fetched_at = std::min(fetched_at, now());
    entry->refresh_at = refresh_time(entry->fetched_at, collateral.valid_until(), options.refresh);
    entry->held = std::move(collateral);
    entry->fetched.all();
}

Task<void> HeldCollateral::State::load(Self self) {
    const auto read = [self, at = self->now()]() -> Result<LoadReport> {
        return read_all(*self->directory, self->anchor, at, self->options.platforms);
    };
    auto report = co_await self->workers.run(self->clock,
                                             Deadline::after(self->clock.now(), kDiskLimit), read);
    self->loaded = true;
    self->loading.all();
    const std::optional<Error> failure = report ? report->failure : report.error();
    if (failure) {
        self->disk_failures.add();
        runtime::log_warn(
            kLogTarget, "stored collateral could not be read",
            {kv("directory", self->directory->path()), kv("error", failure->context)});
    }
    if (!report) co_return;
    for (const Refusal& refusal : report->refusals)
        self->refused[static_cast<std::size_t>(refusal.stage)].add();
    for (const auto& [name, reason] : report->removed) {
        self->removed_from_disk.add();
        runtime::log_info(kLogTarget, "stored collateral removed",
                          {kv("file", name), kv("reason", reason)});
    }
    for (Loaded& one : report->good) {
        self->read_from_disk.add();
        self->hold(one.query, std::move(one.collateral), one.fetched_at);
        const auto found = self->entries.find(one.query);
        start_keeper(self, one.query, found->second);
    }
    if (!report->good.empty())
        runtime::log_info(kLogTarget, "stored collateral is good",
                          {kv("kinds", report->good.size())});
}

Task<void> HeldCollateral::State::save(Self self, StoredCollateral stored) {
    auto shared = std::make_shared<const StoredCollateral>(std::move(stored));
    const auto write = [self, shared]() -> Result<void> { return self->directory->store(*shared); };
    const auto saved = co_await self->workers.run(
        self->clock, Deadline::after(self->clock.now(), kDiskLimit), write);
    if (saved) co_return;
    self->disk_failures.add();
    runtime::log_warn(
        kLogTarget, "collateral is not kept on disk",
        {kv("directory", self->directory->path()), kv("error", saved.error().context)});
}

void HeldCollateral::append_metrics(MetricsText& text) const {
    const State& state = *state_;
    const UnixSeconds now = state.now();
    const auto of_kinds = [&](std::string_view name, std::string_view help, auto value) {
        text.family(name, MetricKind::gauge, help, "seconds");
        for (const auto& [query, entry] : state.entries) {
            if (!entry->held) continue;
            const std::string fmspc = runtime::to_hex(query.fmspc);
            text.sample(static_cast<double>(value(*entry)),
                        {{"tee", tee_name(query)},
                         {"fmspc", fmspc},
                         {"ca", query.processor_ca ? "processor" : "platform"}});
        }
    };
    of_kinds("dstack_kms_collateral_age_seconds", "Time since the held collateral was fetched.",
             [now](const CollateralEntry& entry) { return now - entry.fetched_at; });
    of_kinds("dstack_kms_collateral_next_refresh_seconds",
             "Time until the held collateral is fetched anew; negative while that fails.",
             [now](const CollateralEntry& entry) { return entry.refresh_at - now; });
    of_kinds("dstack_kms_collateral_expires_seconds",
             "Time until the held collateral is no longer valid.",
             [now](const CollateralEntry& entry) { return entry.held->valid_until() - now; });
    text.family("dstack_kms_collateral_fetches_at_work", MetricKind::gauge,
                "Fetches of collateral under way.");
    text.sample(state.at_work);
    text.family("dstack_kms_collateral_fetches_total", MetricKind::counter,
                "Fetches of collateral, by result; a failed one was not answered, or not well.");
    text.sample(state.fetches_good.value(), {{"result", "good"}});
    text.sample(state.fetches_failed.value(), {{"result", "failed"}});
    text.family("dstack_kms_collateral_refused_total", MetricKind::counter,
                "Fetched or stored collateral that is no good, by the stage that refused it.");
    for (std::size_t i = 0; i < kStageCount; ++i)
        if (state.refused[i].value() > 0)
            text.sample(state.refused[i].value(), {{"stage", to_string(static_cast<Stage>(i))}});
    text.family("dstack_kms_collateral_turned_away_total", MetricKind::counter,
                "Requests that were not allowed to have anything fetched.");
    text.sample(state.turned_away.value());
    text.family("dstack_kms_collateral_files_total", MetricKind::counter,
                "Files of collateral found at the start, by what became of them.");
    text.sample(state.read_from_disk.value(), {{"result", "good"}});
    text.sample(state.removed_from_disk.value(), {{"result", "removed"}});
    text.family("dstack_kms_collateral_disk_failures_total", MetricKind::counter,
                "Times that collateral could not be read from disk or written to it.");
    text.sample(state.disk_failures.value());
}

}  // namespace kms
