/// Sink: a bounded queue of encoded records and the one thread that writes them. Nobody else ever
/// waits for the output. Source: spec "launcher" section 3.8.
#pragma once

#include "launcher/logs/doorbell.hpp"
#include "launcher/logs/record_queue.hpp"
#include "launcher/logs/sink_output.hpp"
#include "launcher/runtime/deadline.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace launcher::logs {

class Sink {
  public:
    /// A failed output is tried again after this time.
    static constexpr std::chrono::seconds kRetry{5};
    /// A write that takes longer than this makes the sink count as stalled.
    static constexpr std::chrono::seconds kStalled{1};

    /// Starts the thread. `news` is rung when something happened that the owner should look at.
    Sink(std::string name, std::size_t queue_bytes, std::unique_ptr<SinkOutput> output,
         std::shared_ptr<Doorbell> news);
    /// Ends the thread. What is still queued is lost, and counted. A thread that does not end soon
    /// is abandoned.
    ~Sink();
    Sink(const Sink&) = delete;
    Sink& operator=(const Sink&) = delete;

    const std::string& name() const { return name_; }

    /// Queues a record; never waits for the output. The thread learns of it by kick().
    void push(const QueuedRecord& record, std::string_view bytes);
    void kick();

    /// Losses since the last call, by service; empty unless the output works again after losing
    /// something.
    std::vector<LossCount> take_news_of_losses();
    /// The same whether it works or not.
    std::vector<LossCount> take_losses();
    /// A sentence when the state changed since the last call ("cannot write: No space left on
    /// device"), else empty.
    std::string take_news_of_state();

    void reopen();
    /// Waits until everything queued was written, `deadline` has come, or it is certain that it
    /// cannot be. True in the first case.
    bool flush(runtime::Deadline deadline);

    struct Counters {
        bool up = true;
        std::string state;
        std::size_t queued_bytes = 0, queue_limit_bytes = 0;
        std::uint64_t queued_lines = 0;
        std::chrono::milliseconds stalled_for{0};
        std::vector<LossCount> dropped;  ///< since the start, by service
        std::uint64_t records_written = 0;
    };
    Counters counters() const;

  private:
    struct State;  // also owned by the thread, which may outlive this object
    std::string name_;
    std::shared_ptr<State> state_;
    std::thread thread_;
};

/// Blocks every signal for the calling thread: signals belong to the main thread, and SIGPIPE
/// becomes EPIPE.
void block_signals();

}  // namespace launcher::logs
