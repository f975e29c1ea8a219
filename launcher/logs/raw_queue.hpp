/// RawQueue: lines as they were read, on their way from the capture thread to the process thread.
/// Bounded in bytes.
#pragma once

#include "launcher/logs/doorbell.hpp"
#include "launcher/logs/joiner.hpp"
#include "launcher/logs/text_buffer.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string_view>

namespace launcher::logs {

struct RawLine {
    std::uint16_t stream = 0;
    bool partial = false, last = true;
    bool end = false;  ///< no line: the stream has ended
    std::uint32_t part = 0;
    Stamp stamp;
    std::string_view text;
};

/// Lines one after the other, each behind its header.
class RawBlock {
  public:
    explicit RawBlock(std::size_t room) { bytes_.reserve(room); }
    /// What append() will take of the block.
    static std::size_t cost(const RawLine& line);
    void append(const RawLine& line);
    void append_all(const RawBlock& other) { bytes_.append(other.bytes_.view()); }
    std::size_t size() const { return bytes_.size(); }
    bool empty() const { return bytes_.empty(); }
    void clear(std::size_t keep) { bytes_.shrink(keep); }
    /// Reads the line at `at` (0 is the first) and moves `at` behind it. False at the end. Borrowed
    /// from the block.
    bool read(std::size_t& at, RawLine& line) const;

  private:
    TextBuffer bytes_;
};

/// One thread adds, one takes.
class RawQueue {
  public:
    static constexpr std::size_t kLimit = 2 * 1024 * 1024;
    static constexpr std::size_t kBlock = 64 * 1024;

    explicit RawQueue(std::shared_ptr<Doorbell> doorbell) : doorbell_(std::move(doorbell)) {}

    /// Bytes waiting; any thread.
    std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
    /// An empty block to fill, with room for kBlock bytes.
    std::unique_ptr<RawBlock> get_block();
    /// Queues a block and rings. The bound is the caller's to keep, line by line: it knows what to
    /// count.
    void push(std::unique_ptr<RawBlock> block);
    /// Wakes the other side without a block.
    void ring() { doorbell_->ring(); }
    /// The oldest block; null when there is none. Its bytes count until give_back().
    std::unique_ptr<RawBlock> pop();
    void give_back(std::unique_ptr<RawBlock> block);
    bool empty() const { return bytes() == 0; }

  private:
    static constexpr std::size_t kSpares = 2;
    std::shared_ptr<Doorbell> doorbell_;
    std::mutex mutex_;
    std::deque<std::unique_ptr<RawBlock>> blocks_, spares_;
    std::atomic<std::size_t> bytes_{0};
};

}  // namespace launcher::logs
