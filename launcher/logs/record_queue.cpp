#include "launcher/logs/record_queue.hpp"

#include <algorithm>
#include <cstring>

namespace launcher::logs {
namespace {

static_assert(sizeof(ByteFifo::Header) <= RecordQueue::kOverhead);

std::size_t index(runtime::LogLevel level) {
    return std::min<std::size_t>(static_cast<std::size_t>(level), kLevels - 1);
}

void add_loss(std::vector<LossCount>& losses, const QueuedRecord& record, std::size_t size) {
    if (losses.size() <= record.service) losses.resize(record.service + 1u);
    losses[record.service].add(record, size);
}

}  // namespace

std::uint64_t LossCount::total() const {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : lines) sum += count;
    return sum;
}

void LossCount::add(const QueuedRecord& record, std::size_t size) {
    if (!any()) first = record.received;
    first = std::min(first, record.received);
    last = std::max(last, record.received);
    lines[index(record.level)] += record.lines;
    by_stream[record.stream][index(record.level)] += record.lines;
    bytes += size;
}

void LossCount::add(const LossCount& other) {
    if (!other.any()) return;
    first = any() ? std::min(first, other.first) : other.first;
    last = std::max(last, other.last);
    for (std::size_t i = 0; i < kLevels; ++i) {
        lines[i] += other.lines[i];
        for (std::size_t stream = 0; stream < kStreams; ++stream)
            by_stream[stream][i] += other.by_stream[stream][i];
    }
    bytes += other.bytes;
}

BlockPool::Block BlockPool::take() {
    if (spares_.empty()) return Block(new char[kBlock]);  // uninitialised on purpose
    Block block = std::move(spares_.back());
    spares_.pop_back();
    return block;
}

void BlockPool::give_back(Block block) {
    if (spares_.size() < kSpares) spares_.push_back(std::move(block));
}

void ByteFifo::push(const Header& header, std::string_view bytes, BlockPool& pool) {
    if (records_++ == 0) {
        front_ = header;
    } else {
        char packed[sizeof header];
        std::memcpy(packed, &header, sizeof header);
        write({packed, sizeof packed}, pool);
    }
    // An empty record has a block as well: blocks are how empty() tells.
    if (blocks_.empty()) {
        blocks_.push_back(pool.take());
        begin_ = end_ = 0;
    }
    write(bytes, pool);
}

void ByteFifo::pop(TextBuffer* out, BlockPool& pool) {
    read(front_.size, out, pool);
    if (--records_ != 0) {
        read_header(pool);
        return;
    }
    for (BlockPool::Block& block : blocks_) pool.give_back(std::move(block));
    blocks_.clear();
}

void ByteFifo::write(std::string_view bytes, BlockPool& pool) {
    while (!bytes.empty()) {
        if (blocks_.empty() || end_ == BlockPool::kBlock) {
            if (blocks_.empty()) begin_ = 0;
            blocks_.push_back(pool.take());
            end_ = 0;
        }
        const std::size_t piece = std::min(bytes.size(), BlockPool::kBlock - end_);
        std::memcpy(blocks_.back().get() + end_, bytes.data(), piece);
        end_ += piece;
        bytes.remove_prefix(piece);
    }
}

void ByteFifo::read(std::size_t size, TextBuffer* out, BlockPool& pool) {
    while (size != 0) {
        if (begin_ == BlockPool::kBlock) {
            pool.give_back(std::move(blocks_.front()));
            blocks_.pop_front();
            begin_ = 0;
        }
        const std::size_t piece = std::min(size, BlockPool::kBlock - begin_);
        if (out != nullptr) out->append({blocks_.front().get() + begin_, piece});
        begin_ += piece;
        size -= piece;
    }
}

void ByteFifo::read_header(BlockPool& pool) {
    char packed[sizeof front_];
    for (std::size_t done = 0; done < sizeof packed;) {
        if (begin_ == BlockPool::kBlock) {
            pool.give_back(std::move(blocks_.front()));
            blocks_.pop_front();
            begin_ = 0;
        }
        const std::size_t piece = std::min(sizeof packed - done, BlockPool::kBlock - begin_);
        std::memcpy(packed + done, blocks_.front().get() + begin_, piece);
        begin_ += piece;
        done += piece;
    }
    std::memcpy(&front_, packed, sizeof packed);
}

void RecordQueue::remove(std::size_t queue, TextBuffer* out) {
    const ByteFifo::Header& front = queues_[queue].front();
    (queue == kLifecycle ? lifecycle_bytes_ : bytes_) -= front.size + kOverhead;
    lines_ -= front.record.lines;
    --records_;
    queues_[queue].pop(out, pool_);
}

void RecordQueue::lose(std::size_t queue, std::vector<LossCount>& losses) {
    const ByteFifo::Header& front = queues_[queue].front();
    add_loss(losses, front.record, front.size);
    remove(queue, nullptr);
}

/// The queue, of the first `queues`, whose front came first.
std::optional<std::size_t> RecordQueue::oldest(std::size_t queues) const {
    std::optional<std::size_t> found;
    std::uint64_t order = 0;
    for (std::size_t i = 0; i < queues; ++i) {
        if (queues_[i].empty()) continue;
        const std::uint64_t candidate = queues_[i].front().order;
        if (!found || candidate < order) {
            found = i;
            order = candidate;
        }
    }
    return found;
}

void RecordQueue::push(const QueuedRecord& record, std::string_view bytes,
                       std::vector<LossCount>& losses) {
    const std::size_t size = bytes.size() + kOverhead;
    const std::size_t queue = record.lifecycle ? kLifecycle : index(record.level);
    constexpr auto kWarn = static_cast<std::size_t>(runtime::LogLevel::warn);
    if (size > (record.lifecycle ? kLifecycleBytes : limit_)) {
        add_loss(losses, record, bytes.size());
        return;
    }
    while (record.lifecycle && lifecycle_bytes_ + size > kLifecycleBytes) lose(kLifecycle, losses);
    while (!record.lifecycle && bytes_ + size > limit_) {
        std::size_t lowest = 0;
        while (lowest < kWarn && queues_[lowest].empty()) ++lowest;
        if (queue < kWarn && queue < lowest) {
            add_loss(losses, record, bytes.size());
            return;
        }
        lose(lowest < kWarn ? lowest : *oldest(kLevels), losses);
    }
    queues_[queue].push({++order_, record, static_cast<std::uint32_t>(bytes.size())}, bytes, pool_);
    (record.lifecycle ? lifecycle_bytes_ : bytes_) += size;
    lines_ += record.lines;
    ++records_;
}

void RecordQueue::take(Batch& batch, std::size_t max_bytes) {
    batch.bytes.clear();
    batch.items.clear();
    while (const auto queue = oldest(kLevels + 1)) {
        const ByteFifo::Header& front = queues_[*queue].front();
        if (!batch.items.empty() && batch.bytes.size() + front.size > max_bytes) return;
        batch.items.push_back({front.record, front.size});
        remove(*queue, &batch.bytes);
    }
}

}  // namespace launcher::logs
