#include "launcher/supervise/service_fsm.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace launcher;
using namespace std::chrono_literals;
using What = ServiceAction::What;

namespace {

const runtime::TimePoint t0{std::chrono::hours(1)};
const ServicePolicy policy{.startup_deadline = 30s, .ready_deadline = 0s, .stop_timeout = 6s};

struct NamedEvent {
    std::string name;
    ServiceEvent event;
};
const std::vector<NamedEvent>& all_events() {
    static const std::vector<NamedEvent> events = {
        {"DependenciesMet", event::DependenciesMet{}},
        {"Spawned", event::Spawned{7}},
        {"SpawnFailed", event::SpawnFailed{}},
        {"StartupPassed", event::StartupPassed{}},
        {"Readiness", event::Readiness{true}},
        {"Readiness", event::Readiness{false}},
        {"StopAsked", event::StopAsked{}},
        {"KillAsked", event::KillAsked{}},
        {"Exited", event::Exited{{false, 0, false}}},
        {"Tick", event::Tick{}},
    };
    return events;
}

/// Every machine that can be reached, as the events that lead there.
struct Reached {
    std::vector<ServiceEvent> path;
    ServiceFsm fsm;
};
std::vector<Reached> reach_all() {
    std::vector<Reached> found = {{{}, ServiceFsm(policy)}};
    std::set<std::string> seen;
    for (std::size_t i = 0; i < found.size(); ++i) {
        for (const auto& [name, event] : all_events()) {
            auto next = found[i];
            next.fsm.step(event, t0);
            next.path.push_back(event);
            const auto key =
                std::string(to_string(next.fsm.state())) + (next.fsm.pid() != 0 ? "+" : "-");
            if (seen.insert(key).second) found.push_back(next);
        }
    }
    return found;
}

std::string file_text(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

/// The arrows of the drawing: "starting --> started: StartupPassed".
std::set<std::string> drawn_arrows() {
    std::set<std::string> arrows;
    const std::string here = __FILE__;
    const auto root = here.substr(0, here.rfind("/tests/"));
    std::istringstream lines(file_text(root + "/launcher/supervise/service_fsm.md"));
    for (std::string line; std::getline(lines, line);) {
        line.erase(0, line.find_first_not_of(' '));
        if (line.find(" --> ") == std::string::npos || line.find("[*]") != std::string::npos)
            continue;
        arrows.insert(line);
    }
    return arrows;
}

}  // namespace

TEST_CASE("the drawing of a service's life shows exactly what the machine does") {
    std::set<std::string> arrows;
    for (const auto& reached : reach_all()) {
        for (const auto& [name, event] : all_events()) {
            auto fsm = reached.fsm;
            const auto action = fsm.step(event, t0);
            if (fsm.state() == reached.fsm.state()) continue;
            auto arrow = std::string(to_string(reached.fsm.state())) + " --> " +
                         std::string(to_string(fsm.state())) + ": " + name;
            // Before its pid is known a service cannot be sent anything yet; the drawing shows the
            // usual case.
            if (reached.fsm.state() == ServiceState::starting && reached.fsm.pid() == 0 &&
                action.what == What::nothing && fsm.state() == ServiceState::stopping)
                continue;
            if (action.what != What::nothing) arrow += " / " + std::string(to_string(action.what));
            arrows.insert(arrow);
        }
    }
    CHECK(arrows == drawn_arrows());
}

TEST_CASE("no service is ever spawned twice") {
    for (const auto& reached : reach_all()) {
        auto fsm = reached.fsm;
        const bool was_pending = fsm.state() == ServiceState::pending;
        for (const auto& [name, event] : all_events()) {
            auto copy = fsm;
            CHECK((copy.step(event, t0).what == What::spawn) ==
                  (was_pending && name == "DependenciesMet"));
        }
    }
}

TEST_CASE("a service that outlives its grace period is killed") {
    ServiceFsm fsm{policy};
    CHECK(fsm.step(event::DependenciesMet{}, t0).what == What::spawn);
    CHECK(fsm.step(event::Spawned{7}, t0) == ServiceAction{What::nothing, t0 + 30s});
    fsm.step(event::StartupPassed{}, t0);
    CHECK(fsm.step(event::StopAsked{}, t0) == ServiceAction{What::terminate, t0 + 6s});
    CHECK(fsm.step(event::Tick{}, t0 + 5999ms) == ServiceAction{What::nothing, t0 + 6s});
    CHECK(fsm.step(event::Tick{}, t0 + 6s) == ServiceAction{What::kill, {}});
    CHECK(fsm.was_killed());
    CHECK(fsm.step(event::Tick{}, t0 + 7s) == ServiceAction{});
    fsm.step(event::Exited{{true, 9, false}}, t0 + 7s);
    CHECK(fsm.state() == ServiceState::exited);
}

TEST_CASE("the start-up deadline is missed once, and only while starting") {
    ServiceFsm fsm{policy};
    fsm.step(event::DependenciesMet{}, t0);
    fsm.step(event::Spawned{7}, t0);
    CHECK(fsm.step(event::Tick{}, t0 + 29s).what == What::nothing);
    SECTION("it does not come up") {
        CHECK(fsm.step(event::Tick{}, t0 + 30s).what == What::deadline_missed);
        CHECK(fsm.step(event::Tick{}, t0 + 31s).what == What::nothing);
    }
    SECTION("it comes up") {
        fsm.step(event::StartupPassed{}, t0 + 29s);
        CHECK(fsm.step(event::Tick{}, t0 + 30s).what == What::nothing);
        CHECK(fsm.was_started());
    }
}

TEST_CASE("onboarding has a deadline only when one is configured") {
    auto with_deadline = policy;
    with_deadline.ready_deadline = 60s;
    ServiceFsm fsm{with_deadline};
    fsm.step(event::DependenciesMet{}, t0);
    fsm.step(event::Spawned{7}, t0);
    CHECK(fsm.step(event::StartupPassed{}, t0 + 1s).wake_at == t0 + 61s);
    SECTION("missed") {
        CHECK(fsm.step(event::Tick{}, t0 + 61s).what == What::deadline_missed);
    }
    SECTION("met") {
        fsm.step(event::Readiness{true}, t0 + 60s);
        CHECK(fsm.step(event::Tick{}, t0 + 61s).what == What::nothing);
    }
}

TEST_CASE("a stop that comes before the pid is known follows as soon as it is") {
    ServiceFsm fsm{policy};
    fsm.step(event::DependenciesMet{}, t0);
    SECTION("orderly") {
        CHECK(fsm.step(event::StopAsked{}, t0).what == What::nothing);
        CHECK(fsm.step(event::Spawned{7}, t0 + 1s) == ServiceAction{What::terminate, t0 + 7s});
    }
    SECTION("without grace") {
        CHECK(fsm.step(event::KillAsked{}, t0).what == What::nothing);
        CHECK(fsm.step(event::Spawned{7}, t0 + 1s).what == What::kill);
    }
    SECTION("and it cannot be run at all") {
        fsm.step(event::StopAsked{}, t0);
        fsm.step(event::SpawnFailed{}, t0);
        CHECK(fsm.state() == ServiceState::exited);
    }
}

TEST_CASE("an end that was not asked for is a failure from every living state") {
    for (const auto& reached : reach_all()) {
        auto fsm = reached.fsm;
        if (!fsm.alive()) continue;
        const bool asked = fsm.state() == ServiceState::stopping;
        fsm.step(event::Exited{{false, 0, false}}, t0);
        CHECK(fsm.state() == (asked ? ServiceState::exited : ServiceState::failed));
        CHECK_FALSE(fsm.alive());
        CHECK(fsm.pid() == 0);
    }
}

TEST_CASE("readiness comes and goes without a signal") {
    ServiceFsm fsm{policy};
    fsm.step(event::DependenciesMet{}, t0);
    fsm.step(event::Spawned{7}, t0);
    CHECK(fsm.step(event::Readiness{true}, t0) == ServiceAction{});
    CHECK(fsm.state() == ServiceState::starting);
    fsm.step(event::StartupPassed{}, t0);
    CHECK_FALSE(fsm.was_ready());
    const std::array verdicts = {
        std::pair{false, ServiceState::started}, std::pair{true, ServiceState::ready},
        std::pair{false, ServiceState::unready}, std::pair{true, ServiceState::ready}};
    for (const auto& [ready, state] : verdicts) {
        CHECK(fsm.step(event::Readiness{ready}, t0) == ServiceAction{});
        CHECK(fsm.state() == state);
    }
    CHECK(fsm.was_ready());
}
