/// What HeldCollateral is made of; for its own files.
#pragma once

#include "kms/attest/held_collateral.hpp"

#include <array>
#include <map>
#include <optional>

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

namespace kms {

/// Something that all who wait for it are woken by.
class WakeUp {
  public:
    explicit WakeUp(const boost::asio::any_io_executor& executor)
        : timer_(executor, boost::asio::steady_timer::time_point::max()) {}
    void all() {
        ++times_;
        timer_.cancel();
    }
    /// How often all were woken: whoever waits compares, because it may happen before the wait.
    std::size_t times() const { return times_; }
    boost::asio::steady_timer& timer() { return timer_; }

  private:
    boost::asio::steady_timer timer_;
    std::size_t times_ = 0;
};

/// What is known of one kind of platform.
struct CollateralEntry {
    explicit CollateralEntry(const boost::asio::any_io_executor& executor) : fetched(executor) {}

    std::optional<VerifiedCollateral> held;
    UnixSeconds fetched_at = 0;
    UnixSeconds refresh_at = 0;
    UnixSeconds asked_at = 0;  ///< last
    std::optional<Error> failure;
    runtime::TimePoint retry_at{};
    bool fetching = false;
    bool kept = false;  ///< a keeper looks after it
    bool gone = false;  ///< not in the store any more
    WakeUp fetched;
    boost::asio::cancellation_signal keeper_stop;
};

/// Lets nothing through once the client behind it has ended.
class HttpGate final : public runtime::HttpClient {
  public:
    explicit HttpGate(runtime::HttpClient& inner) : inner_(&inner) {}
    void close() { inner_ = nullptr; }
    runtime::Task<runtime::HttpExchange> exchange(runtime::HttpClientRequest request,
                                                  runtime::Deadline deadline) override;

  private:
    runtime::HttpClient* inner_;
};

struct HeldCollateral::State {
    State(boost::asio::any_io_executor executor_, runtime::Clock& clock_,
          runtime::Workers& workers_, runtime::HttpClient& http_, TrustAnchor anchor_,
          HeldCollateralOptions options_, std::shared_ptr<CollateralDirectory> directory_);

    using Entry = CollateralEntry;
    using Self = std::shared_ptr<State>;
    using SharedEntry = std::shared_ptr<Entry>;

    boost::asio::any_io_executor executor;
    runtime::Clock& clock;
    runtime::Workers& workers;
    HttpGate http;
    TrustAnchor anchor;
    HeldCollateralOptions options;
    std::shared_ptr<CollateralDirectory> directory;

    std::map<CollateralQuery, SharedEntry> entries;
    std::map<PckRequest, std::string> chains;  ///< of platforms that their quotes only name
    AskBudget budget;
    std::size_t at_work = 0;                           ///< fetches
    std::map<std::string, std::size_t> at_work_for{};  ///< of them, by asker
    WakeUp place_free;
    bool loaded;
    WakeUp loading;

    runtime::Counter fetches_good, fetches_failed, disk_failures, turned_away, read_from_disk,
        removed_from_disk;
    std::array<runtime::Counter, kStageCount> refused{};  ///< fetched or stored, by stage

    UnixSeconds now() const;
    bool usable(const Entry& entry) const;
    bool make_room();
    void forget(const CollateralQuery& query, Entry& entry);
    bool has_place(const std::string& asker) const;
    void take_place(const std::string& asker);
    void leave_place(const std::string& asker);
    void hold(const CollateralQuery& query, VerifiedCollateral collateral, UnixSeconds fetched_at);

    static void start_keeper(const Self& self, const CollateralQuery& query,
                             const SharedEntry& entry);
    static runtime::Task<Result<VerifiedCollateral>> fetch(Self self, CollateralQuery query);
    /// Fetches, and puts what comes of it into the entry; the caller has taken a place.
    static runtime::Task<void> renew(Self self, CollateralQuery query, SharedEntry entry,
                                     std::string asker);
    static runtime::Task<void> keep(Self self, CollateralQuery query, SharedEntry entry);
    static runtime::Task<void> load(Self self);
    static runtime::Task<void> save(Self self, StoredCollateral stored);
};

/// Ends when `wake`, which `owner` keeps alive, wakes all, or when the deadline comes
/// (deadline_exceeded).
runtime::Task<Result<void>> wait_for(runtime::Clock& clock, runtime::Deadline deadline,
                                     std::string what, std::shared_ptr<void> owner, WakeUp& wake);

}  // namespace kms
