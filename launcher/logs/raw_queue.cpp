#include "launcher/logs/raw_queue.hpp"

#include <cstring>

namespace launcher::logs {
namespace {

struct Header {
    std::int64_t wall, steady;
    std::uint32_t size, part;
    std::uint16_t stream;
    bool partial, last, end;
};

}  // namespace

std::size_t RawBlock::cost(const RawLine& line) {
    return sizeof(Header) + line.text.size();
}

void RawBlock::append(const RawLine& line) {
    Header header{};
    header.wall = line.stamp.wall.time_since_epoch().count();
    header.steady = line.stamp.steady.time_since_epoch().count();
    header.size = static_cast<std::uint32_t>(line.text.size());
    header.part = line.part;
    header.stream = line.stream;
    header.partial = line.partial;
    header.last = line.last;
    header.end = line.end;
    char* const at = bytes_.reserve(sizeof header + line.text.size());
    std::memcpy(at, &header, sizeof header);
    if (!line.text.empty()) std::memcpy(at + sizeof header, line.text.data(), line.text.size());
    bytes_.commit(sizeof header + line.text.size());
}

bool RawBlock::read(std::size_t& at, RawLine& line) const {
    const std::string_view all = bytes_.view();
    if (all.size() - at < sizeof(Header)) return false;
    Header header;
    std::memcpy(&header, all.data() + at, sizeof header);
    at += sizeof header;
    line.stamp.wall =
        std::chrono::system_clock::time_point(std::chrono::system_clock::duration(header.wall));
    line.stamp.steady = runtime::TimePoint(runtime::Duration(header.steady));
    line.part = header.part;
    line.stream = header.stream;
    line.partial = header.partial;
    line.last = header.last;
    line.end = header.end;
    line.text = all.substr(at, header.size);
    at += header.size;
    return true;
}

std::unique_ptr<RawBlock> RawQueue::get_block() {
    const std::lock_guard lock(mutex_);
    if (spares_.empty()) return std::make_unique<RawBlock>(kBlock);
    auto block = std::move(spares_.back());
    spares_.pop_back();
    return block;
}

void RawQueue::push(std::unique_ptr<RawBlock> block) {
    {
        const std::lock_guard lock(mutex_);
        bytes_.fetch_add(block->size(), std::memory_order_relaxed);
        // A queue that is nearly full gets a few lines at a time: they share a block, or blocks
        // would outweigh lines.
        if (!blocks_.empty() && blocks_.back()->size() + block->size() <= kBlock) {
            blocks_.back()->append_all(*block);
            block->clear(kBlock);
            if (spares_.size() < kSpares) spares_.push_back(std::move(block));
        } else {
            blocks_.push_back(std::move(block));
        }
    }
    doorbell_->ring();
}

std::unique_ptr<RawBlock> RawQueue::pop() {
    const std::lock_guard lock(mutex_);
    if (blocks_.empty()) return nullptr;
    auto block = std::move(blocks_.front());
    blocks_.pop_front();
    return block;
}

void RawQueue::give_back(std::unique_ptr<RawBlock> block) {
    bytes_.fetch_sub(block->size(), std::memory_order_relaxed);
    block->clear(kBlock);
    const std::lock_guard lock(mutex_);
    if (spares_.size() < kSpares) spares_.push_back(std::move(block));
}

}  // namespace launcher::logs
