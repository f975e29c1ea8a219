#include "launcher/logs/multi_pattern.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace launcher::logs {
namespace {

constexpr std::uint32_t kFold = 0x20202020;  // makes ASCII letters equal whatever their case

std::uint32_t load(const char* at) {
    std::uint32_t word;
    std::memcpy(&word, at, sizeof word);
    return word | kFold;
}

/// Of the first three of the four bytes at `at`.
std::uint32_t block_hash(const char* at) {
    std::uint32_t word = load(at);
    if constexpr (std::endian::native == std::endian::little) {
        word <<= 8;
    } else {
        word &= 0xFFFFFF00;
    }
    return (word * 0x9E3779B1u) >> 16;
}

/// Of the six bytes at `at`.
std::uint32_t window_hash(const char* at) {
    return (load(at) * 0x9E3779B1u ^ load(at + 2) * 0x85EBCA77u) >> 16;
}

template <std::size_t N>
void set_bit(std::array<std::uint64_t, N>& bits, std::uint32_t hash) {
    bits[hash >> 6] |= std::uint64_t{1} << (hash & 63);
}
template <std::size_t N>
bool has_bit(const std::array<std::uint64_t, N>& bits, std::uint32_t hash) {
    return (bits[hash >> 6] >> (hash & 63) & 1) != 0;
}

}  // namespace

void WindowFilter::add(std::string_view pattern) {
    if (pattern.size() < kWindow) return;
    for (std::size_t begin = 0; begin < kStride; ++begin) {
        // The hash wants a fourth byte to read, whatever that is.
        const char bytes[4] = {pattern[begin], pattern[begin + 1], pattern[begin + 2], 0};
        set_bit(blocks_, block_hash(bytes));
    }
    set_bit(windows_, window_hash(pattern.data()));
}

bool WindowFilter::may_contain(std::string_view text) const {
    if (text.size() < kWindow) return false;
    const std::size_t last_window = text.size() - kWindow;
    // A block is looked at with the byte behind it; the last possible window holds a block that has
    // one.
    for (std::size_t at = 0; at + 4 <= text.size(); at += kStride) {
        if (!has_bit(blocks_, block_hash(text.data() + at))) continue;
        for (std::size_t begin = at >= kStride - 1 ? at - (kStride - 1) : 0;
             begin <= at && begin <= last_window; ++begin) {
            if (has_bit(windows_, window_hash(text.data() + begin))) return true;
        }
    }
    // Blocks in the last bytes, which the loop could not read with four: the window before the end
    // covers them.
    return has_bit(windows_, window_hash(text.data() + last_window));
}

MultiPattern::MultiPattern(const std::vector<std::string>& patterns) : nodes_(1) {
    for (const std::string& pattern : patterns) insert(pattern);
    nodes_.shrink_to_fit();
    link();
}

void MultiPattern::insert(std::string_view pattern) {
    if (pattern.empty()) return;
    longest_ = std::max(longest_, pattern.size());
    std::uint32_t node = 0;
    for (const char c : pattern) {
        const auto byte = static_cast<std::uint8_t>(c);
        std::uint32_t next = child_of(node, byte);
        if (next == 0) {
            next = static_cast<std::uint32_t>(nodes_.size());
            Node made;
            made.byte = byte;
            made.depth = nodes_[node].depth + 1;
            made.sibling = nodes_[node].child;
            nodes_.push_back(made);
            nodes_[node].child = next;
            if (node == 0) first_[byte] = next;
        }
        node = next;
    }
    nodes_[node].match = nodes_[node].depth;
}

/// Gives every node its failure link, nearest to the root first.
void MultiPattern::link() {
    std::vector<std::uint32_t> queue;
    for (std::uint32_t child = nodes_[0].child; child != 0; child = nodes_[child].sibling)
        queue.push_back(child);
    for (std::size_t i = 0; i < queue.size(); ++i) {
        const std::uint32_t parent = queue[i];
        for (std::uint32_t child = nodes_[parent].child; child != 0;
             child = nodes_[child].sibling) {
            Node& node = nodes_[child];
            node.fail = next(nodes_[parent].fail, node.byte);
            if (node.match == 0) node.match = nodes_[node.fail].match;
            queue.push_back(child);
        }
    }
}

std::uint32_t MultiPattern::child_of(std::uint32_t node, std::uint8_t byte) const {
    if (node == 0) return first_[byte];
    for (std::uint32_t child = nodes_[node].child; child != 0; child = nodes_[child].sibling) {
        if (nodes_[child].byte == byte) return child;
    }
    return 0;
}

std::uint32_t MultiPattern::next(std::uint32_t node, std::uint8_t byte) const {
    while (true) {
        const std::uint32_t child = child_of(node, byte);
        if (child != 0 || node == 0) return child;
        node = nodes_[node].fail;
    }
}

void MultiPattern::find(std::string_view text, std::vector<Interval>& found) const {
    std::uint32_t node = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        node = next(node, static_cast<std::uint8_t>(text[i]));
        const std::size_t length = nodes_[node].match;
        if (length != 0) found.push_back({i + 1 - length, i + 1});
    }
}

std::size_t MultiPattern::unfinished(std::string_view text) const {
    if (text.size() > longest_) text = text.substr(text.size() - longest_);
    std::uint32_t node = 0;
    for (const char c : text) node = next(node, static_cast<std::uint8_t>(c));
    return nodes_[node].depth;
}

}  // namespace launcher::logs
