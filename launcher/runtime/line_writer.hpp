/// LineWriter: a bounded queue in front of a file descriptor and one thread that does blocking
/// writes, so that nobody else ever waits for a stalled reader, a full disk or a closed pipe.
/// Source: spec "launcher" section 3.8.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace runtime {

class LineWriter {
  public:
    /// Makes the line (with its LF) that announces the loss of `count` lines. Called on the writer
    /// thread.
    using Announce = std::function<std::string(std::uint64_t count)>;

    /// `descriptor` is borrowed and its flags are left alone (O_NONBLOCK belongs to the shared
    /// description). `announce` is asked for one line per gap, written in the place where the lines
    /// are missing.
    LineWriter(int descriptor, std::size_t queue_bytes, Announce announce = {});
    /// Flushes for at most 1 s.
    ~LineWriter();
    LineWriter(const LineWriter&) = delete;
    LineWriter& operator=(const LineWriter&) = delete;

    /// Queues one line (with its LF). Never waits. False when the queue is full or the descriptor
    /// is closed; the line is then lost and counted.
    bool push(std::string line);
    /// Waits until all that was queued before the call is written, or `limit` has passed, or
    /// writing has failed for good. True when everything was written. A stuck writer thread is
    /// abandoned at destruction, never joined.
    bool flush(std::chrono::milliseconds limit);

    struct Counters {
        std::uint64_t lines_written = 0;
        std::uint64_t lines_dropped = 0;
        std::uint64_t bytes_dropped = 0;
        std::size_t queued_bytes = 0;
        int last_error = 0;   ///< errno of the write that is being retried or that closed the
                              ///< descriptor; 0 = all well
        bool closed = false;  ///< EPIPE or EBADF: nobody will ever read this descriptor again
    };
    Counters counters() const;

  private:
    struct Shared;  // also owned by the writer thread, which may outlive this object when it is
                    // stuck
    std::shared_ptr<Shared> shared_;
};

}  // namespace runtime
