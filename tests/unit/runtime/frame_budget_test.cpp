#include "launcher/runtime/frame_budget.hpp"

using namespace std::chrono_literals;
using runtime::FrameBudget;

TEST_CASE("frame_budget: a burst at once, and all of it again within the period, never more") {
    const runtime::TimePoint start{1h};
    FrameBudget budget(4, start);
    for (int i = 0; i < 4; ++i) CHECK(budget.take(start));
    CHECK_FALSE(budget.take(start));
    CHECK_FALSE(budget.take(start + FrameBudget::kPeriod / 8));
    CHECK(budget.take(start + FrameBudget::kPeriod / 3));
    CHECK_FALSE(budget.take(start + FrameBudget::kPeriod / 3));
    const auto later = start + 100 * FrameBudget::kPeriod;
    for (int i = 0; i < 4; ++i) CHECK(budget.take(later));
    CHECK_FALSE(budget.take(later));
}
