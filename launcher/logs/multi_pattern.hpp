/// Search for many texts at once: a quick filter that refuses nearly every clean line, and the
/// exact search behind it. Pure; after construction any thread may search.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace launcher::logs {

/// Tells whether one of its patterns may occur in a text, ASCII letters' case aside. No false "no";
/// a false "yes" is rare. Looks at three bytes in every four only: wherever a pattern of six bytes
/// or more occurs, its first six hold one of the places looked at. The look-ups do not depend on
/// each other, so the processor does several at a time.
class WindowFilter {
  public:
    static constexpr std::size_t kWindow = 6;

    /// `pattern` has at least kWindow bytes; shorter ones are ignored.
    void add(std::string_view pattern);
    bool may_contain(std::string_view text) const;

  private:
    static constexpr std::size_t kStride = 4;
    std::array<std::uint64_t, 1 << 10>
        blocks_{};  ///< a bit per hash of three bytes of a pattern's first window
    std::array<std::uint64_t, 1 << 10> windows_{};  ///< a bit per hash of a pattern's first window
};

/// A run of bytes of a text.
struct Interval {
    std::size_t begin = 0, end = 0;
};

/// Aho and Corasick's automaton over bytes, with failure links.
class MultiPattern {
  public:
    explicit MultiPattern(const std::vector<std::string>& patterns);

    /// Appends every place where a pattern ends, with the longest pattern that ends there; in order
    /// of their ends.
    void find(std::string_view text, std::vector<Interval>& found) const;
    /// How many bytes at the end of `text` may be the beginning of a pattern.
    std::size_t unfinished(std::string_view text) const;
    std::size_t longest() const { return longest_; }

  private:
    struct Node {
        std::uint32_t child = 0, sibling = 0;  ///< 0 = none
        std::uint32_t fail = 0;
        std::uint32_t depth = 0;
        std::uint32_t match = 0;  ///< length of the longest pattern that ends here; 0 = none
        std::uint8_t byte = 0;
    };
    std::uint32_t child_of(std::uint32_t node, std::uint8_t byte) const;
    std::uint32_t next(std::uint32_t node, std::uint8_t byte) const;
    void insert(std::string_view pattern);
    void link();

    std::vector<Node> nodes_;
    std::array<std::uint32_t, 256> first_{};  ///< the root's children
    std::size_t longest_ = 0;
};

}  // namespace launcher::logs
