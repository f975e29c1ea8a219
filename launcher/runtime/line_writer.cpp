#include "launcher/runtime/line_writer.hpp"

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace runtime {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kWriteSize = 64 * 1024;
constexpr auto kFirstRetry = 50ms;
constexpr auto kLongestRetry = 5s;
constexpr auto kDestructorLimit = 1s;
/// After a batch the writer lets lines gather: at thousands of lines a second, waking a thread for
/// each costs more than the line. The first line after a quiet time is written at once.
constexpr auto kGather = 2ms;

/// Whether a failed write means that no later one can succeed.
bool is_final(int error) {
    switch (error) {
        case EPIPE:
        case EBADF:
        case ECONNRESET:
        case ENOTCONN:
        case EDESTADDRREQ:
            return true;
        default:
            return false;
    }
}

/// Threads inherit the signal mask: with all signals blocked here, the writer never takes one that
/// is meant for the program, and a SIGPIPE of its own write stays pending instead of ending it.
class AllSignalsBlocked {
  public:
    AllSignalsBlocked() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    AllSignalsBlocked(const AllSignalsBlocked&) = delete;
    AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

  private:
    sigset_t before_;
};

}  // namespace

struct LineWriter::Shared {
    struct Line {
        std::string text;
        std::uint64_t lost_before = 0;  ///< lines that are missing in front of this one
    };

    Shared(int fd, std::size_t bytes, Announce make_announcement)
        : own_copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0)),
          descriptor(own_copy >= 0 ? own_copy : fd),
          queue_bytes(bytes),
          announce(std::move(make_announcement)) {}
    ~Shared() {
        if (own_copy >= 0) ::close(own_copy);
    }
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;

    // Constant after construction. The copy keeps an abandoned writer from writing to whatever gets
    // the number next.
    const int own_copy;
    const int descriptor;
    const std::size_t queue_bytes;
    const Announce announce;
    std::thread thread;  // touched by the owner only

    std::mutex mutex;  // guards what follows
    std::condition_variable work;
    std::condition_variable progress;
    std::deque<Line> queue;
    Counters counters;
    std::uint64_t accepted = 0;  ///< lines ever queued
    std::uint64_t finished = 0;  ///< of these: written, or given up when the descriptor closed
    std::uint64_t gap = 0;       ///< lines lost since the last one that was queued
    bool stop = false;           ///< give up what is left
    bool announcing = false;     ///< the batch being written ends with an announcement
    bool writer_waits = false;
    bool hurry = false;  ///< do not gather: somebody waits for the lines, or they are many
    bool writer_ended = false;

    bool has_work() const { return !queue.empty() || (gap > 0 && announce); }

    void run();
    bool write_all(std::string_view text);
    bool wait_for_retry(std::chrono::milliseconds delay);
    void close_for_good(std::uint64_t lines, std::uint64_t bytes);
};

void LineWriter::Shared::run() {
    std::string batch;
    std::unique_lock lock(mutex);
    for (;;) {
        while (!has_work() && !stop && !counters.closed) {
            writer_waits = true;
            work.wait(lock);
            writer_waits = false;
        }
        if (counters.closed || stop) break;
        hurry = false;

        batch.clear();
        std::uint64_t lines = 0;
        std::size_t bytes = 0;
        std::deque<Line> taken;
        while (!queue.empty() &&
               (taken.empty() || bytes + queue.front().text.size() <= kWriteSize)) {
            bytes += queue.front().text.size();
            ++lines;
            taken.push_back(std::move(queue.front()));
            queue.pop_front();
        }
        const std::uint64_t trailing_gap = queue.empty() && announce ? std::exchange(gap, 0) : 0;
        announcing = trailing_gap > 0;
        lock.unlock();
        for (Line& line : taken) {
            if (line.lost_before > 0 && announce) batch += announce(line.lost_before);
            batch += line.text;
        }
        taken.clear();
        if (trailing_gap > 0) batch += announce(trailing_gap);
        const bool written = write_all(batch);
        lock.lock();

        counters.queued_bytes -= bytes;
        finished += lines;
        announcing = false;
        if (written)
            counters.lines_written += lines;
        else
            close_for_good(lines, bytes);
        progress.notify_all();
        if (queue.empty()) work.wait_for(lock, kGather, [this] { return hurry || stop; });
    }
    writer_ended = true;
    progress.notify_all();
}

/// Writes everything, however long it takes. False when it never can.
bool LineWriter::Shared::write_all(std::string_view text) {
    auto delay = std::chrono::milliseconds(kFirstRetry);
    while (!text.empty()) {
        {
            const std::lock_guard lock(mutex);
            if (stop) return false;
        }
        const ssize_t n = ::write(descriptor, text.data(), std::min(text.size(), kWriteSize));
        if (n > 0) {
            text.remove_prefix(static_cast<std::size_t>(n));
            if (delay > kFirstRetry) {
                const std::lock_guard lock(mutex);
                counters.last_error = 0;
                delay = kFirstRetry;
            }
            continue;
        }
        const int error = n < 0 ? errno : EIO;
        if (error == EINTR) continue;
        if (error == EAGAIN) {
            // Somebody else made the shared description non-blocking. Wake now and then to see an
            // order to stop.
            pollfd ready{descriptor, POLLOUT, 0};
            (void)::poll(&ready, 1, 200);
            continue;
        }
        {
            const std::lock_guard lock(mutex);
            counters.last_error = error;
        }
        if (is_final(error) || !wait_for_retry(delay)) return false;
        delay = std::min<std::chrono::milliseconds>(delay * 2, kLongestRetry);
    }
    return true;
}

/// False when told to stop meanwhile.
bool LineWriter::Shared::wait_for_retry(std::chrono::milliseconds delay) {
    std::unique_lock lock(mutex);
    return !work.wait_for(lock, delay, [this] { return stop; });
}

/// Counts the batch that could not be written and everything behind it as lost. Called with the
/// mutex held.
void LineWriter::Shared::close_for_good(std::uint64_t lines, std::uint64_t bytes) {
    counters.closed = true;
    counters.lines_dropped += lines;
    counters.bytes_dropped += bytes;
    for (const Line& line : queue) {
        ++finished;
        ++counters.lines_dropped;
        counters.bytes_dropped += line.text.size();
    }
    queue.clear();
    counters.queued_bytes = 0;
}

LineWriter::LineWriter(int descriptor, std::size_t queue_bytes, Announce announce)
    : shared_(std::make_shared<Shared>(descriptor, queue_bytes, std::move(announce))) {
    const AllSignalsBlocked blocked;
    shared_->thread = std::thread([shared = shared_] { shared->run(); });
}

LineWriter::~LineWriter() {
    const auto give_up_at = std::chrono::steady_clock::now() + kDestructorLimit;
    flush(kDestructorLimit);
    std::unique_lock lock(shared_->mutex);
    shared_->stop = true;
    shared_->work.notify_all();
    const bool ended =
        shared_->progress.wait_until(lock, give_up_at, [this] { return shared_->writer_ended; });
    lock.unlock();
    if (ended)
        shared_->thread.join();
    else
        shared_->thread.detach();
}

bool LineWriter::push(std::string line) {
    Shared& shared = *shared_;
    std::unique_lock lock(shared.mutex);
    Counters& counters = shared.counters;
    const bool taken =
        !counters.closed && counters.queued_bytes + line.size() <= shared.queue_bytes;
    if (taken) {
        counters.queued_bytes += line.size();
        ++shared.accepted;
        shared.queue.push_back({std::move(line), std::exchange(shared.gap, 0)});
    } else {
        ++counters.lines_dropped;
        counters.bytes_dropped += line.size();
        ++shared.gap;
    }
    // A line that was not taken wakes the writer, too: an empty queue may be too small for it. One
    // wake-up is enough for all lines until the writer runs, and it needs the mutex first.
    bool wake = std::exchange(shared.writer_waits, false);
    if (!taken || counters.queued_bytes > shared.queue_bytes / 2)
        wake |= !std::exchange(shared.hurry, true);
    lock.unlock();
    if (wake) shared.work.notify_one();
    return taken;
}

bool LineWriter::flush(std::chrono::milliseconds limit) {
    Shared& shared = *shared_;
    std::unique_lock lock(shared.mutex);
    const std::uint64_t target = shared.accepted;
    shared.hurry = true;
    shared.work.notify_one();
    const auto done = [&] {
        if (shared.counters.closed) return true;
        return shared.finished >= target && !shared.announcing &&
               (shared.gap == 0 || !shared.announce);
    };
    return shared.progress.wait_for(lock, limit, done) && !shared.counters.closed;
}

LineWriter::Counters LineWriter::counters() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->counters;
}

}  // namespace runtime
