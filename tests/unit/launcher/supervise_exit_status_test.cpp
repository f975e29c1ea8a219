#include "launcher/supervise/exit_status.hpp"

#include <csignal>
#include <vector>

#include <catch2/catch.hpp>

using namespace launcher;

namespace {

ExitStatus code(int value) {
    return {false, value, false};
}
ExitStatus by_signal(int value) {
    return {true, value, false};
}

struct Row {
    std::string name;
    Ending ending;
    std::vector<ServiceEnd> ends;
    int status;
};

const Ending requested{Ending::Cause::requested, "", {}, 0};
Ending ended(ExitStatus first) {
    return {Ending::Cause::service_ended, "kms", first, 0};
}

ServiceEnd end(ExitStatus status, bool killed = false, int stop_signal = SIGTERM,
               std::vector<int> success = {}) {
    return {"kms", status, true, killed, stop_signal, std::move(success)};
}

}  // namespace

TEST_CASE("the launcher's exit status") {
    const auto row = GENERATE(values<Row>({
        {"asked to stop, all ended with 0", requested, {end(code(0)), end(code(0))}, 0},
        {"asked to stop, nothing ever ran", requested, {}, 0},
        {"ended by the very signal that was sent", requested, {end(by_signal(SIGTERM))}, 0},
        {"ended by the configured stop signal",
         requested,
         {end(by_signal(SIGQUIT), false, SIGQUIT)},
         0},
        {"ended by another signal", requested, {end(by_signal(SIGSEGV))}, 139},
        {"ended with a code that counts as success",
         requested,
         {end(code(143), false, SIGTERM, {143})},
         0},
        {"ended with a code that does not", requested, {end(code(3))}, 3},
        {"needed SIGKILL", requested, {end(by_signal(SIGKILL), true), end(code(0))}, 137},
        {"was sent SIGKILL just as it ended by itself", requested, {end(code(0), true)}, 137},
        {"the first bad one counts", requested, {end(code(0)), end(code(4)), end(code(5))}, 4},
        {"unexpected end with a code",
         ended(code(7)),
         {end(code(7)), end(by_signal(SIGKILL), true)},
         7},
        {"unexpected end by a signal", ended(by_signal(SIGSEGV)), {}, 139},
        {"unexpected end with 0", ended(code(0)), {}, 80},
        {"a program is not there", {Ending::Cause::spawn_failed, "kms", {}, 127}, {}, 127},
        {"a program cannot be run", {Ending::Cause::spawn_failed, "kms", {}, 126}, {}, 126},
        {"not started in time",
         {Ending::Cause::startup_deadline, "kms", {}, 0},
         {end(by_signal(SIGTERM))},
         75},
        {"a bug", {Ending::Cause::internal, "", {}, 0}, {}, 70},
    }));
    INFO(row.name);
    CHECK(exit_status(row.ending, row.ends) == row.status);
}

TEST_CASE("ends are described in words") {
    CHECK(describe(code(7)) == "exited with code 7");
    CHECK(describe(by_signal(SIGSEGV)) == "was killed by SIGSEGV");
    CHECK(describe({true, SIGABRT, true}) == "was killed by SIGABRT (core dumped)");
}
