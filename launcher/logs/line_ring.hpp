/// LineRing: the last lines of a service, for evidence. Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace launcher::logs {

class LineRing {
  public:
    static constexpr std::size_t kLines = 64;
    static constexpr std::size_t kMaxBytes = 1024;  ///< of a line; the rest is cut off

    void add(std::string_view line);
    /// The last `count`, oldest first, control characters escaped.
    std::vector<std::string> last(std::size_t count) const;

  private:
    mutable std::mutex mutex_;
    std::array<std::string, kLines> lines_;
    std::size_t added_ = 0;
};

}  // namespace launcher::logs
