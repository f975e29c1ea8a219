// Several endpoints, one limit; bounds on what is under way.
#include "tests/unit/auth/chain/reading.hpp"

#include <set>

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using auth::FailureKind;
using runtime::HttpFault;
using test::FakeChain;
using test::ReaderWorld;
using Reply = test::FakeHttpClient::Reply;

namespace {

auth::ChainOptions endpoints(std::size_t count) {
    auto options = test::chain_options();
    options.endpoints.clear();
    for (std::size_t i = 1; i <= count; ++i)
        options.endpoints.push_back("http://e" + std::to_string(i) + ".example/");
    return options;
}

/// "1 2" for requests to e1 and e2.
std::string asked_endpoints(const test::FakeHttpClient& client, std::size_t from = 0) {
    std::string out;
    for (std::size_t i = from; i < client.asked().size(); ++i)
        out.append(out.empty() ? "" : " ") += client.asked()[i].request.url[8];
    return out;
}

/// Endpoints that answer with a fault instead of the chain, by number.
struct Several : ReaderWorld {
    explicit Several(std::size_t count) : ReaderWorld(endpoints(count)) {
        client.handle([this](const runtime::HttpClientRequest& request) {
            const char number = request.url[8];
            const auto fault = faults.find(number);
            return fault == faults.end() ? chain(request) : fault->second;
        });
    }
    std::string ask() {
        const auto before = client.asked().size();
        auto result = outcome();
        return result + " by " + asked_endpoints(client, before);
    }
    std::map<char, Reply> faults;
};

}  // namespace

TEST_CASE("the next endpoint is asked when one fails, and asked first from then on") {
    Several world(3);
    CHECK(world.ask() == "ok by 1");
    world.faults['1'] = Reply::ok("", 500);
    CHECK(world.ask() == "ok by 1 2");
    CHECK(world.ask() == "ok by 2");
    world.faults['2'] = Reply::ok("", 401);
    CHECK(world.ask() == "ok by 2 3");
    CHECK(world.ask() == "ok by 3");
    world.faults['3'] = Reply::ok("<html>");
    CHECK(world.ask() == "HTTP 500 by 3 1 2");  // told: the failure of the first one configured
    CHECK(world.ask() == "HTTP 500 by 1 2 3");
    world.faults.clear();
    CHECK(world.outcome() == "ok");
    CHECK(world.state(0).failures[static_cast<std::size_t>(FailureKind::http_status)] == 3);
}

TEST_CASE("an answer never mixes two endpoints") {
    Several world(2);
    // The first one answers all but the gateway: the second is asked for everything again.
    std::set<std::string> asked_of_second;
    world.client.handle([&](const runtime::HttpClientRequest& request) {
        world.chain.gateway = request.url[8] == '1' ? FakeChain::error(-32000, "busy")
                                                    : FakeChain::result(test::text_answer("two"));
        world.chain.decision = FakeChain::result(test::verdict(request.url[8] == '1'));
        world.chain.asked.clear();
        auto reply = world.chain(request);
        if (request.url[8] == '2')
            for (const auto& call : world.chain.asked) asked_of_second.insert(call.data);
        return reply;
    });
    const auto reading = world.start();
    REQUIRE(reading.outcome() == "ok");
    CHECK(asked_of_second == std::set<std::string>{"", "0x1e079198", "0x95f51931"});
    CHECK(reading.value().endpoint == "http://e2.example");
    CHECK(reading.value().answers[0] == *runtime::from_hex(test::verdict(false).substr(2)));
}

TEST_CASE("what the contract itself refuses is not asked elsewhere") {
    Several world(2);
    world.chain.decision = FakeChain::error(3, "execution reverted");
    CHECK(world.ask() == "reverted by 1");
    CHECK(world.ask() == "reverted by 1");
    world.chain = {};
    world.faults['1'] = Reply::fault(HttpFault::busy);
    CHECK(world.ask() == "busy by 1");
}

TEST_CASE("what another endpoint may know better is asked there") {
    const auto decision = GENERATE(values<std::string>(
        {FakeChain::result("0x"), FakeChain::result("zz"), FakeChain::error(-32005, "slow down"),
         FakeChain::error(-32000, "missing trie node")}));
    Several world(2);
    world.client.handle([&](const runtime::HttpClientRequest& request) {
        world.chain.decision =
            request.url[8] == '1' ? decision : FakeChain::result(test::verdict(true));
        return world.chain(request);
    });
    CHECK(world.ask() == "ok by 1 2");
}

TEST_CASE("a wrong chain is passed over, and refused when there is no other") {
    auto options = endpoints(2);
    options.chain_id = 31337;
    ReaderWorld world(options);
    world.client.handle([&](const runtime::HttpClientRequest& request) {
        world.chain.chain_id = FakeChain::result(request.url[8] == '1' ? "0x1" : "0x7a69");
        return world.chain(request);
    });
    CHECK(world.outcome() == "ok");
    CHECK(asked_endpoints(world.client) == "1 2");
    CHECK(world.state(0).failing);
}

TEST_CASE("endpoints that hang leave time to the others") {
    Several world(3);
    world.faults['1'] = Reply::hang();
    world.faults['2'] = Reply::hang();
    auto reading = world.start(5s);
    world.advance(2500ms);
    CHECK_FALSE(reading.done());
    CHECK(asked_endpoints(world.client) == "1 2");
    world.advance(1250ms);
    CHECK(reading.outcome() == "ok");
    CHECK(asked_endpoints(world.client) == "1 2 3");
    // Found out once; the next read goes straight there.
    CHECK(world.ask() == "ok by 3");
}

TEST_CASE("even reads that all fail find the good endpoint before long") {
    // With a limit too short for more than one try, each read moves on by one.
    Several world(3);
    world.faults['1'] = Reply::hang();
    world.faults['2'] = Reply::hang();
    world.client.handle([&](const runtime::HttpClientRequest& request) {
        const auto fault = world.faults.find(request.url[8]);
        return fault == world.faults.end() ? world.chain(request).later(400ms) : fault->second;
    });
    int reads = 0;
    std::string outcome;
    for (; reads < 5 && outcome != "ok"; ++reads) {
        auto reading = world.start(900ms);
        for (int step = 0; step < 90; ++step) world.advance(10ms);
        outcome = reading.outcome();
    }
    CHECK(outcome == "ok");
    CHECK(reads <= 3);
}

TEST_CASE("reads at work are bounded, and the bound is not used up by failures") {
    auto options = test::chain_options();
    options.max_reads = 3;
    ReaderWorld world(options);
    for (int i = 0; i < 3; ++i) world.client.add(Reply::hang());
    std::vector<test::Reading> hung;
    hung.reserve(3);
    for (int i = 0; i < 3; ++i) hung.push_back(world.start(5s));
    CHECK(world.reader.reads_at_work() == 3);
    CHECK(world.outcome() == "busy");
    CHECK(world.client.asked().size() == 3);
    CHECK(world.reader.refused_reads() == 1);
    world.advance(3s);
    for (const auto& reading : hung) CHECK(reading.outcome() == "timed out");
    CHECK(world.reader.reads_at_work() == 0);
    CHECK(world.outcome() == "ok");
}

TEST_CASE("a read that is abandoned is no longer counted") {
    auto world = std::make_unique<ReaderWorld>();
    world->client.add(Reply::hang());
    auto reading = world->start();
    CHECK(world->reader.reads_at_work() == 1);
    // The loop, and with it the coroutine, ends after the reader: as when a program exits.
    CHECK_NOTHROW(world.reset());
}
