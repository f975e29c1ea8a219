#include "launcher/evidence/rate_limit.hpp"

namespace launcher::evidence {

bool RateLimit::take(std::string_view reason, runtime::TimePoint now) {
    while (!taken_.empty() && now - taken_.front() >= std::chrono::hours(1)) taken_.pop_front();
    if (taken_.size() >= (reason == "suspect" ? kSuspectPerHour : kPerHour)) return false;
    if (reason == "manual" || reason == "stop") {
        if (last_manual_ && now - *last_manual_ < kManualPause) return false;
        last_manual_ = now;
    }
    taken_.push_back(now);
    return true;
}

}  // namespace launcher::evidence
