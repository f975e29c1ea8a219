#include "launcher/logs/sink.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

#include <pthread.h>

namespace launcher::logs {
namespace {

using runtime::TimePoint;
using std::chrono::steady_clock;

constexpr std::size_t kBatch = 64 * 1024;
constexpr std::chrono::milliseconds kEndOfThread{200};

/// Errors that say something about the record and nothing about the output.
bool refuses_record(int error) {
    return error == EMSGSIZE || error == E2BIG || error == EINVAL;
}

}  // namespace

void block_signals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

struct Sink::State {
    enum class Health { ok, degraded, closed };

    State(std::size_t queue_bytes, std::unique_ptr<SinkOutput> out, std::shared_ptr<Doorbell> bell)
        : output(std::move(out)), news(std::move(bell)), queue(queue_bytes) {}

    void run();
    void write_batch();
    std::size_t group_size(std::size_t item, std::size_t into_item) const;
    void wrote(std::size_t bytes, std::size_t& item, std::size_t& into_item);
    void drop_rest(std::size_t item);
    void fail(int error);
    bool wait_for_retry();

    const std::unique_ptr<SinkOutput> output;
    const std::shared_ptr<Doorbell> news;
    RecordQueue::Batch batch;  // the thread's own, while it writes

    mutable std::mutex mutex;  // never held during a write
    std::condition_variable wake, progress;
    RecordQueue queue;
    bool idle = false, kicked = false, stopping = false, done = false, retry_now = false,
         reopen = false;
    std::uint64_t attempts = 0;  // failed ones
    Health health = Health::ok;
    int last_error = 0;
    bool state_changed = false;
    bool owing = false;      // there are losses that were not announced
    bool recovered = false;  // and something was written since they began
    std::size_t in_flight_bytes = 0;
    std::uint64_t in_flight_lines = 0;
    TimePoint writing_since{};  // {} = not writing
    std::vector<LossCount> total, unannounced;
    std::vector<LossCount> scratch;
    std::uint64_t written = 0;

    /// Adds what `scratch` holds to both accounts.
    void account_losses() {
        for (std::vector<LossCount>* account : {&total, &unannounced}) {
            if (account->size() < scratch.size()) account->resize(scratch.size());
            for (std::size_t i = 0; i < scratch.size(); ++i) (*account)[i].add(scratch[i]);
        }
        scratch.clear();
        if (!std::exchange(owing, true)) recovered = false;
    }
    void lose(const QueuedRecord& record, std::size_t size) {
        if (scratch.size() <= record.service) scratch.resize(record.service + 1u);
        scratch[record.service].add(record, size);
        account_losses();
    }
};

void Sink::State::run() {
    block_signals();
    std::unique_lock lock(mutex);
    while (!stopping) {
        if (queue.empty()) {
            progress.notify_all();
            kicked = false;
            idle = true;
            wake.wait(lock, [this] { return stopping || (kicked && !queue.empty()) || reopen; });
            idle = false;
            if (reopen && !stopping) {
                reopen = false;
                lock.unlock();
                const bool opened = output->reopen();
                const int error = errno;
                lock.lock();
                if (!opened) fail(error);
                if (state_changed) news->ring();
            }
            continue;
        }
        queue.take(batch, kBatch);
        in_flight_bytes = batch.bytes.size();
        for (const auto& item : batch.items) in_flight_lines += item.record.lines;
        lock.unlock();
        write_batch();
        lock.lock();
    }
    lock.unlock();
    output->sync();
    lock.lock();
    done = true;
    progress.notify_all();
}

/// How many bytes to hand to the output next: whole records where they fit, else a piece of one.
std::size_t Sink::State::group_size(std::size_t item, std::size_t into_item) const {
    const std::size_t limit = output->group_limit();
    std::size_t size = batch.items[item].size - into_item;
    if (limit == 0) return size;
    while (++item < batch.items.size() && size + batch.items[item].size <= limit)
        size += batch.items[item].size;
    return std::min(size, limit);
}

void Sink::State::wrote(std::size_t bytes, std::size_t& item, std::size_t& into_item) {
    const std::lock_guard lock(mutex);
    in_flight_bytes -= bytes;
    while (item < batch.items.size() && bytes >= batch.items[item].size - into_item) {
        bytes -= batch.items[item].size - into_item;
        in_flight_lines -= batch.items[item].record.lines;
        into_item = 0;
        ++item;
        ++written;
    }
    into_item += bytes;
    recovered = true;
    if (health != Health::ok) {
        health = Health::ok;
        state_changed = true;
    }
}

/// Counts the records of the batch from `item` on as lost.
void Sink::State::drop_rest(std::size_t item) {
    const std::lock_guard lock(mutex);
    for (; item < batch.items.size(); ++item)
        lose(batch.items[item].record, batch.items[item].size);
    in_flight_bytes = 0;
    in_flight_lines = 0;
}

/// With the lock held.
void Sink::State::fail(int error) {
    const Health now = closes_sink(error) ? Health::closed : Health::degraded;
    state_changed = state_changed || now != health || error != last_error;
    health = now;
    last_error = error;
    recovered = false;
    ++attempts;
    progress.notify_all();
}

/// False when the sink is to end.
bool Sink::State::wait_for_retry() {
    std::unique_lock lock(mutex);
    wake.wait_for(lock, kRetry, [this] { return stopping || retry_now || reopen; });
    retry_now = false;
    return !stopping;
}

void Sink::State::write_batch() {
    std::size_t item = 0, into_item = 0, offset = 0;
    while (item < batch.items.size()) {
        bool reopen_now = false;
        {
            const std::lock_guard lock(mutex);
            reopen_now = reopen && (into_item == 0 || health == Health::degraded);
            if (reopen_now) reopen = false;
            if (health == Health::ok || writing_since == TimePoint{})
                writing_since = steady_clock::now();
        }
        if (reopen_now) {
            // What a broken file has of this record is no use in the new one.
            output->reopen();
            offset -= into_item;
            const std::lock_guard lock(mutex);
            in_flight_bytes += into_item;
            into_item = 0;
        }
        const std::string_view group =
            batch.bytes.view().substr(offset, group_size(item, into_item));
        const long result = output->write(group, into_item == 0);
        if (result >= 0) {
            wrote(static_cast<std::size_t>(result), item, into_item);
            offset += static_cast<std::size_t>(result);
            continue;
        }
        const int error = static_cast<int>(-result);
        if (error == ECANCELED) break;
        if (refuses_record(error) && output->group_limit() == 0) {
            const std::lock_guard lock(mutex);
            lose(batch.items[item].record, batch.items[item].size);
            in_flight_bytes -= batch.items[item].size;
            in_flight_lines -= batch.items[item].record.lines;
            offset += batch.items[item++].size;
            continue;
        }
        {
            const std::lock_guard lock(mutex);
            fail(error);
        }
        news->ring();
        if (closes_sink(error) || !wait_for_retry()) break;
    }
    drop_rest(item);
    bool tell = false;
    {
        const std::lock_guard lock(mutex);
        writing_since = {};
        if (health == Health::closed) {
            while (!queue.empty()) {
                queue.take(batch, kBatch);
                for (const auto& left : batch.items) lose(left.record, left.size);
            }
        }
        tell = state_changed || (owing && recovered);
    }
    batch.bytes.shrink(2 * kBatch);
    if (tell) news->ring();
}

Sink::Sink(std::string name, std::size_t queue_bytes, std::unique_ptr<SinkOutput> output,
           std::shared_ptr<Doorbell> news)
    : name_(std::move(name)),
      state_(std::make_shared<State>(queue_bytes, std::move(output), std::move(news))) {
    thread_ = std::thread([state = state_] { state->run(); });
}

Sink::~Sink() {
    bool ended = false;
    {
        std::unique_lock lock(state_->mutex);
        state_->stopping = true;
        state_->wake.notify_all();
        state_->output->cancel();
        ended = state_->progress.wait_for(lock, kEndOfThread, [this] { return state_->done; });
    }
    if (ended) {
        thread_.join();
    } else {
        thread_.detach();  // stuck in a write that nobody can end; it owns its state
    }
}

void Sink::push(const QueuedRecord& record, std::string_view bytes) {
    const std::lock_guard lock(state_->mutex);
    if (state_->health == State::Health::closed) {
        state_->lose(record, bytes.size());
        return;
    }
    state_->queue.push(record, bytes, state_->scratch);
    if (!state_->scratch.empty()) state_->account_losses();
}

void Sink::kick() {
    {
        const std::lock_guard lock(state_->mutex);
        if (!state_->idle || state_->queue.empty()) return;
        state_->kicked = true;
    }
    state_->wake.notify_one();
}

std::vector<LossCount> Sink::take_news_of_losses() {
    const std::lock_guard lock(state_->mutex);
    if (!state_->owing || !state_->recovered) return {};
    state_->owing = state_->recovered = false;
    return std::exchange(state_->unannounced, {});
}

std::vector<LossCount> Sink::take_losses() {
    const std::lock_guard lock(state_->mutex);
    state_->owing = state_->recovered = false;
    return std::exchange(state_->unannounced, {});
}

std::string Sink::take_news_of_state() {
    const std::lock_guard lock(state_->mutex);
    if (!std::exchange(state_->state_changed, false)) return {};
    const std::string error = std::strerror(state_->last_error);
    switch (state_->health) {
        case State::Health::ok:
            return "log sink " + name_ + " works again";
        case State::Health::degraded:
            return "cannot write to log sink " + name_ + ": " + error + "; trying again";
        case State::Health::closed:
            return "log sink " + name_ + " is closed: " + error;
    }
    return {};
}

void Sink::reopen() {
    {
        const std::lock_guard lock(state_->mutex);
        state_->reopen = true;
    }
    state_->wake.notify_all();
}

bool Sink::flush(runtime::Deadline deadline) {
    std::unique_lock lock(state_->mutex);
    const auto empty = [this] { return state_->queue.empty() && state_->in_flight_bytes == 0; };
    const std::uint64_t attempts = state_->attempts;
    const bool degraded = state_->health == State::Health::degraded;
    state_->retry_now = degraded;
    state_->kicked = !state_->queue.empty();
    state_->wake.notify_all();
    state_->progress.wait_until(lock, deadline.at(), [&] {
        return empty() || (degraded && state_->attempts != attempts) || state_->done;
    });
    return empty();
}

Sink::Counters Sink::counters() const {
    const std::lock_guard lock(state_->mutex);
    Counters counters;
    counters.queued_bytes = state_->queue.bytes() + state_->in_flight_bytes;
    counters.queue_limit_bytes = state_->queue.limit();
    counters.queued_lines = state_->queue.lines() + state_->in_flight_lines;
    counters.dropped = state_->total;
    counters.records_written = state_->written;
    counters.state = "ok";
    if (state_->writing_since != TimePoint{}) {
        const auto waited = steady_clock::now() - state_->writing_since;
        if (waited >= kStalled) {
            counters.stalled_for = std::chrono::duration_cast<std::chrono::milliseconds>(waited);
            counters.state = "stalled";
        }
    }
    if (state_->health != State::Health::ok) {
        counters.up = false;
        counters.state = state_->health == State::Health::closed
                             ? "closed"
                             : std::string("degraded: ") + std::strerror(state_->last_error);
    }
    return counters;
}

}  // namespace launcher::logs
