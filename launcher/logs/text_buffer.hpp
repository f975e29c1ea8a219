/// TextBuffer and TextArena: where the log pipeline puts the text it makes, without an allocation
/// per line.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace launcher::logs {

/// A growing run of bytes that keeps its memory when emptied. Appending checks the room once per
/// run, not per byte.
class TextBuffer {
  public:
    void append(std::string_view text) {
        char* const at = reserve(text.size());
        if (!text.empty()) std::memcpy(at, text.data(), text.size());
        size_ += text.size();
    }
    void append(char c) {
        *reserve(1) = c;
        ++size_;
    }
    /// Room for `size` bytes behind the text; what the caller wrote there counts once commit() is
    /// called.
    char* reserve(std::size_t size) {
        if (capacity_ - size_ < size) grow(size);
        return bytes_.get() + size_;
    }
    void commit(std::size_t size) { size_ += size; }
    /// Replaces bytes that were appended before.
    void overwrite(std::size_t at, std::string_view bytes) {
        std::memcpy(bytes_.get() + at, bytes.data(), bytes.size());
    }
    void clear() { size_ = 0; }
    /// Empties and, when more than `keep` bytes are held, gives the memory back: one huge line must
    /// not stay resident.
    void shrink(std::size_t keep);

    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    std::string_view view() const { return {bytes_.get(), size_}; }

  private:
    void grow(std::size_t more);
    std::unique_ptr<char[]> bytes_;
    std::size_t size_ = 0, capacity_ = 0;
};

/// Owns pieces of text whose addresses stay valid until clear().
class TextArena {
  public:
    /// `size` bytes, uninitialised.
    char* allocate(std::size_t size);
    /// Gives back the last `unused` bytes of the latest allocation.
    void give_back(std::size_t unused) { used_ -= unused; }
    std::string_view copy(std::string_view text);
    /// Invalidates everything handed out. Keeps the first block, which suffices for ordinary lines.
    void clear();

  private:
    struct Block {
        std::unique_ptr<char[]> bytes;
        std::size_t size = 0;
    };
    std::vector<Block> blocks_;
    std::size_t used_ = 0;  ///< of the last block
};

}  // namespace launcher::logs
