/// KnownTargets: targets that a service was seen to use where there was no doubt; they settle the
/// doubtful lines. Source: spec "launcher" section 3.4 ("Span or target?"). Not thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>

namespace launcher::logs {

class KnownTargets {
  public:
    static constexpr std::size_t kMax = 512;
    static constexpr std::size_t kMaxLength = 256;  ///< longer names are no targets

    bool contains(std::string_view target) const { return names_.find(target) != names_.end(); }
    void learn(std::string_view target) {
        if (target == last_ || target.size() > kMaxLength) return;
        if (!contains(target)) {
            if (names_.size() >= kMax) return;
            names_.emplace(target);
        }
        last_ = target;
    }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>()(text);
        }
    };
    std::unordered_set<std::string, Hash, std::equal_to<>> names_;
    std::string last_;
};

}  // namespace launcher::logs
