/// How often evidence of one service may be taken. Pure. Source: spec "launcher" section 6.5.
#pragma once

#include "launcher/runtime/deadline.hpp"

#include <deque>
#include <optional>
#include <string_view>

namespace launcher::evidence {

class RateLimit {
  public:
    static constexpr std::size_t kPerHour = 30;
    /// A service that comes and goes must not use up what its real freeze will need.
    static constexpr std::size_t kSuspectPerHour = 20;
    static constexpr auto kManualPause = std::chrono::seconds(10);

    /// Whether evidence for this reason may be taken now; if so it is counted.
    bool take(std::string_view reason, runtime::TimePoint now);

  private:
    std::deque<runtime::TimePoint> taken_;  ///< within the last hour
    std::optional<runtime::TimePoint> last_manual_;
};

}  // namespace launcher::evidence
