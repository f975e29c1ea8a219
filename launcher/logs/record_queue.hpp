/// RecordQueue: encoded records that wait for a sink, bounded in bytes. Pure (no lock, no clock);
/// its owner locks. Source: spec "launcher" section 3.8.
#pragma once

#include "launcher/logs/text_buffer.hpp"
#include "launcher/runtime/log_filter.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace launcher::logs {

inline constexpr std::size_t kLevels = 6;   ///< trace … fatal
inline constexpr std::size_t kStreams = 3;  ///< none (the launcher's own), stdout, stderr
using LevelCounts = std::array<std::uint64_t, kLevels>;

/// What the queue knows of a record besides its bytes.
struct QueuedRecord {
    std::uint16_t service = 0;  ///< index; the owner knows the names
    runtime::LogLevel level = runtime::LogLevel::info;
    bool lifecycle = false;   ///< has a share of its own
    std::uint32_t lines = 1;  ///< of the service; what losses are counted in
    std::chrono::system_clock::time_point received{};
    std::uint8_t stream = 0;  ///< index into kStreams
};

/// Losses of one service.
struct LossCount {
    LevelCounts lines{};
    std::array<LevelCounts, kStreams> by_stream{};  ///< the same lines
    std::uint64_t bytes = 0;
    std::chrono::system_clock::time_point first{}, last{};

    bool any() const { return bytes != 0 || total() != 0; }
    std::uint64_t total() const;
    void add(const QueuedRecord& record, std::size_t size);
    void add(const LossCount& other);
};

/// Blocks of one size, so that queues of any mixture of records leave no holes in memory.
class BlockPool {
  public:
    static constexpr std::size_t kBlock = 16 * 1024;
    using Block = std::unique_ptr<char[]>;
    Block take();
    void give_back(Block block);

  private:
    static constexpr std::size_t kSpares =
        4;  // a queue that fills and empties must not allocate all the time
    std::vector<Block> spares_;
};

/// Records in order, over as many blocks as they need.
class ByteFifo {
  public:
    struct Header {
        std::uint64_t order = 0;
        QueuedRecord record;
        std::uint32_t size = 0;
    };
    bool empty() const { return blocks_.empty(); }
    void push(const Header& header, std::string_view bytes, BlockPool& pool);
    const Header& front() const { return front_; }  ///< of a queue that is not empty
    /// Removes the first record; its bytes are appended to `out` when that is given.
    void pop(TextBuffer* out, BlockPool& pool);

  private:
    void write(std::string_view bytes, BlockPool& pool);
    void read(std::size_t size, TextBuffer* out, BlockPool& pool);
    void read_header(BlockPool& pool);

    std::deque<BlockPool::Block> blocks_;
    std::size_t begin_ = 0, end_ = 0;  ///< in the first block, in the last one
    std::size_t records_ = 0;
    Header front_;  ///< of the first record: taken from the blocks already
};

class RecordQueue {
  public:
    static constexpr std::size_t kLifecycleBytes = 256 * 1024;
    /// What a record costs beyond its bytes.
    static constexpr std::size_t kOverhead = 48;

    explicit RecordQueue(std::size_t limit) : limit_(limit) {}

    /// Adds a record. When there is no room, records of the lowest level below warn go first,
    /// oldest first (the new one counts as present), then the oldest of any level. What is lost is
    /// added to `losses`, by service.
    void push(const QueuedRecord& record, std::string_view bytes, std::vector<LossCount>& losses);

    struct Batch {
        struct Item {
            QueuedRecord record;
            std::size_t size = 0;
        };
        TextBuffer bytes;
        std::vector<Item> items;
    };
    /// Moves records to `batch` (emptied first), in the order of push(): at least one, and no more
    /// than `max_bytes` when that is more than one.
    void take(Batch& batch, std::size_t max_bytes);

    bool empty() const { return records_ == 0; }
    /// Bytes held, kOverhead per record included; lifecycle records are not in it.
    std::size_t bytes() const { return bytes_; }
    std::size_t limit() const { return limit_; }
    std::uint64_t lines() const { return lines_; }

  private:
    static constexpr std::size_t kLifecycle = kLevels;  // index of their queue
    void remove(std::size_t queue, TextBuffer* out);
    void lose(std::size_t queue, std::vector<LossCount>& losses);
    std::optional<std::size_t> oldest(std::size_t queues) const;

    std::size_t limit_;
    BlockPool pool_;
    std::array<ByteFifo, kLevels + 1> queues_;
    std::uint64_t order_ = 0;
    std::size_t bytes_ = 0, lifecycle_bytes_ = 0, records_ = 0;
    std::uint64_t lines_ = 0;
};

}  // namespace launcher::logs
