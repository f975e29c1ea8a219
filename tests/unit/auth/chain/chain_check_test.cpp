#include "auth/chain/chain_check.hpp"

#include "tests/unit/auth/chain/reading.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using test::FakeChain;
using Reply = test::FakeHttpClient::Reply;

namespace {

struct CheckWorld {
    CheckWorld() {
        client.handle([this](const runtime::HttpClientRequest& request) { return chain(request); });
        // The block 0x40 of FakeChain was made at the start of 2026, as the manual clock says.
    }
    auth::EndpointCheck check() {
        return test::run(io, auth::check_endpoint(client, clock, options,
                                                  "http://one.example/a-key-that-is-long",
                                                  runtime::Deadline::after(clock.now(), 5s)));
    }
    /// "ok chain id: 31337" and so on.
    std::vector<std::string> lines() {
        std::vector<std::string> out;
        for (const auto& step : check().steps)
            out.push_back((step.good ? "ok " : "FAIL ") + step.what + ": " + step.answer);
        return out;
    }
    boost::asio::io_context io;
    test::ManualClock clock;
    test::FakeHttpClient client{clock};
    FakeChain chain;
    auth::ChainOptions options = test::chain_options();
};

using Lines = std::vector<std::string>;
const std::string kContract = "contract 0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0";

}  // namespace

TEST_CASE("a good endpoint") {
    CheckWorld world;
    const auto check = world.check();
    CHECK(check.good());
    CHECK(check.label == "http://one.example");
    CHECK(world.lines() ==
          Lines{"ok chain id: 31337", "ok block latest: 64, 0 s old",
                "ok " + kContract + ": answers", "ok gateway app id: \"gw\"",
                "ok app implementation: 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
                "ok batches: accepted"});
    CHECK_THAT(check.steps[0].advice, Catch::Contains("ETH_CHAIN_ID=31337"));
}

TEST_CASE("head minus N is looked up as decisions do") {
    CheckWorld world;
    world.options.block.confirmations = 2;
    CHECK(world.lines().at(1) == "ok block head-2: 64, 0 s old");
    bool seen = false;
    for (const auto& call : world.chain.asked)
        seen = seen || (call.method == "eth_getBlockByNumber" && call.block == "0x62");
    CHECK(seen);
    world.chain.head = FakeChain::result("0x1");
    CHECK(world.lines() == Lines{"ok chain id: 31337", "FAIL block head-2: state not available"});
}

TEST_CASE("an old block deserves a look") {
    CheckWorld world;
    world.clock.set_wall(world.clock.wall_now() + 1h);
    const auto check = world.check();
    CHECK(check.good());
    CHECK(check.steps[1].answer == "64, 3600 s old");
    CHECK_THAT(check.steps[1].advice, Catch::Contains("lag"));
}

TEST_CASE("what is wrong, and where the check ends") {
    struct Row {
        std::string name;
        std::function<void(CheckWorld&)> change;
        Lines lines;
    };
    const std::vector<Row> table = {
        {"silence",
         [](CheckWorld& w) {
             w.client.handle(
                 [](const auto&) { return Reply::fault(runtime::HttpFault::timed_out); });
         },
         {"FAIL chain id: timed out"}},
        {"another chain",
         [](CheckWorld& w) { w.options.chain_id = 1; },
         {"FAIL chain id: wrong chain: 31337, not 1", "ok block latest: 64, 0 s old",
          "ok batches: accepted"}},
        {"no number",
         [](CheckWorld& w) { w.chain.chain_id = FakeChain::result("zz"); },
         {"FAIL chain id: undecodable answer"}},
        {"no such block",
         [](CheckWorld& w) { w.chain.header = R"("result":null)"; },
         {"ok chain id: 31337", "FAIL block latest: state not available"}},
        {"no contract",
         [](CheckWorld& w) { w.chain.gateway = FakeChain::result("0x"); },
         {"ok chain id: 31337", "ok block latest: 64, 0 s old",
          "FAIL " + kContract + ": no contract at address"}},
        {"another contract",
         [](CheckWorld& w) { w.chain.gateway = FakeChain::result("0x01"); },
         {"ok chain id: 31337", "ok block latest: 64, 0 s old",
          "FAIL " + kContract + ": undecodable answer"}},
        {"no batches",
         [](CheckWorld& w) { w.chain.to_batches = Reply::ok("no", 400); },
         {"ok chain id: 31337", "ok block latest: 64, 0 s old", "ok " + kContract + ": answers",
          "ok gateway app id: \"gw\"",
          "ok app implementation: 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
          "ok batches: refused"}},
    };
    for (const auto& row : table) {
        INFO(row.name);
        CheckWorld world;
        row.change(world);
        CHECK(world.lines() == row.lines);
    }
}

TEST_CASE("advice names the fault, never the key") {
    CheckWorld world;
    world.client.handle([](const auto&) {
        return Reply::fault(runtime::HttpFault::cannot_connect,
                            "cannot connect to http://one.example/a-key-that-is-long");
    });
    const auto check = world.check();
    CHECK_THAT(check.steps.at(0).advice,
               Catch::StartsWith("cannot connect to http://one.example/[redacted]; check that"));
}
