#include "launcher/logs/text_buffer.hpp"

#include <algorithm>

namespace launcher::logs {
namespace {
constexpr std::size_t kFirstBuffer = 1024;
constexpr std::size_t kFirstBlock = 4096;
}  // namespace

void TextBuffer::grow(std::size_t more) {
    const std::size_t wanted = std::max({capacity_ * 2, size_ + more, kFirstBuffer});
    auto larger = std::unique_ptr<char[]>(new char[wanted]);  // uninitialised on purpose
    if (size_ != 0) std::memcpy(larger.get(), bytes_.get(), size_);
    bytes_ = std::move(larger);
    capacity_ = wanted;
}

void TextBuffer::shrink(std::size_t keep) {
    size_ = 0;
    if (capacity_ <= keep) return;
    bytes_.reset();
    capacity_ = 0;
}

char* TextArena::allocate(std::size_t size) {
    if (blocks_.empty() || blocks_.back().size - used_ < size) {
        const std::size_t block = std::max(size, kFirstBlock);
        blocks_.push_back({std::unique_ptr<char[]>(new char[block]), block});
        used_ = 0;
    }
    char* const at = blocks_.back().bytes.get() + used_;
    used_ += size;
    return at;
}

std::string_view TextArena::copy(std::string_view text) {
    if (text.empty()) return {};
    char* const at = allocate(text.size());
    std::memcpy(at, text.data(), text.size());
    return {at, text.size()};
}

void TextArena::clear() {
    used_ = 0;
    if (blocks_.size() > 1) blocks_.resize(1);
    if (!blocks_.empty() && blocks_.front().size > 4 * kFirstBlock) blocks_.clear();
}

}  // namespace launcher::logs
