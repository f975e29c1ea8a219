// Who may cause how much.
#include "kms/attest/ask_budget.hpp"

#include <catch2/catch.hpp>

using namespace kms;
using namespace std::chrono_literals;

TEST_CASE("an address asks for a few things at once, and for more as time goes by") {
    AskBudget budget({.burst = 3, .interval = 30s, .addresses = 8});
    const runtime::TimePoint t0{1000h};
    for (int i = 0; i < 3; ++i) CHECK(budget.take("a", t0));
    CHECK(!budget.take("a", t0));
    CHECK(!budget.take("a", t0 + 29s));
    CHECK(budget.take("a", t0 + 30s));
    CHECK(!budget.take("a", t0 + 30s));
    CHECK(budget.take("b", t0));
    // Never more than the burst, however long it was quiet.
    for (int i = 0; i < 3; ++i) CHECK(budget.take("a", t0 + 10h));
    CHECK(!budget.take("a", t0 + 10h));
}

TEST_CASE("addresses are remembered in a bounded number, and forgotten when they owe nothing") {
    AskBudget budget({.burst = 2, .interval = 10s, .addresses = 3});
    const runtime::TimePoint t0{1000h};
    for (const char* address : {"a", "b", "c"}) CHECK(budget.take(address, t0));
    CHECK(!budget.take("d", t0));
    CHECK(budget.take("a", t0));
    CHECK(!budget.take("d", t0 + 9s));
    CHECK(budget.take("d", t0 + 10s));
    CHECK(budget.remembered() == 2);
}

TEST_CASE("an IPv6 host cannot become many askers") {
    CHECK(network_of("192.0.2.7") == "192.0.2.7");
    CHECK(network_of("::ffff:192.0.2.7") == "192.0.2.7");
    CHECK(network_of("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::/64");
    CHECK(network_of("2001:db8:1:2::ffff") == network_of("2001:db8:1:2::1"));
    CHECK(network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1"));
    CHECK(network_of("unix") == "unix");
    CHECK(network_of("").empty());
}
