/// Capture: the thread that keeps the services' pipes empty. It reads, splits, stamps and queues,
/// and never waits for anybody but the pipes. Source: spec "launcher" sections 3.2, 3.3 and 3.8.
#pragma once

#include "launcher/logs/line_splitter.hpp"
#include "launcher/logs/raw_queue.hpp"
#include "launcher/runtime/deadline.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace launcher::logs {

/// One pipe of a service. Shared by the threads; what is not atomic belongs to the capture thread.
class CapturedStream {
  public:
    /// Takes over the read end `descriptor`, makes it non-blocking and the pipe as large as is
    /// allowed.
    CapturedStream(std::uint16_t id, int descriptor, std::size_t max_line);
    ~CapturedStream();
    CapturedStream(const CapturedStream&) = delete;
    CapturedStream& operator=(const CapturedStream&) = delete;

    std::uint16_t id() const { return id_; }
    /// Bytes in the pipe now; 0 when it is closed. Any thread.
    std::size_t pipe_bytes() const;
    std::size_t pipe_size() const { return pipe_size_; }
    std::uint64_t inode() const { return inode_; }

    std::atomic<std::uint64_t> empty_lines{0};
    std::atomic<std::uint64_t> held_by_descendant{
        0};  ///< times the pipe was still open when it had to be closed
    std::atomic<std::uint64_t> lines_dropped{0},
        bytes_dropped{0};                    ///< for which the raw queue had no room
    std::atomic<std::int64_t> last_line{0};  ///< nanoseconds of system_clock; 0 = none yet

  private:
    friend class Capture;
    void close();

    const std::uint16_t id_;
    mutable std::mutex descriptor_mutex_;  ///< guards closing against pipe_bytes()
    int descriptor_;
    std::size_t pipe_size_ = 0;  ///< both set once, by the constructor
    std::uint64_t inode_ = 0;
    LineSplitter splitter_;
    bool ending_ = false;          ///< the service has ended
    runtime::TimePoint end_at_{};  ///< then: when to give up waiting for the end of file
    std::size_t beyond_bound_ =
        0;  ///< bytes that may be queued although the queue is full: see Capture
};

class Capture {
  public:
    /// At most this much is read from a stream before others have their turn.
    static constexpr std::size_t kTurn = 256 * 1024;

    /// `queue` outlives this object. Errors of the system (no descriptors left) end in an
    /// exception: a failed start.
    explicit Capture(RawQueue& queue);
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;

    /// From now on the stream is read; its end is queued as a line with `end`.
    void add(std::shared_ptr<CapturedStream> stream);
    /// The stream's service has ended: reads until end of file, or what is there at `deadline`.
    /// What a dead service left in its pipe is queued even when the queue is full: it is no more
    /// than the pipe holds.
    void end(std::shared_ptr<CapturedStream> stream, runtime::Deadline deadline);

  private:
    class LineOutput;
    void run();
    void take_requests();
    void turn(CapturedStream& stream);
    void close_stream(CapturedStream& stream, bool held);
    void push_block();
    int wait_milliseconds(runtime::TimePoint now) const;

    RawQueue& queue_;
    int epoll_, wakeup_;
    std::unique_ptr<RawBlock> block_;
    std::vector<char> buffer_;
    bool lost_ = false;                                     ///< a line was dropped in this turn
    std::vector<std::shared_ptr<CapturedStream>> streams_;  ///< that are open

    std::mutex mutex_;  ///< guards the requests
    struct Request {
        std::shared_ptr<CapturedStream> stream;
        std::optional<runtime::Deadline> end;  ///< nothing: a new stream
    };
    std::vector<Request> requests_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace launcher::logs
