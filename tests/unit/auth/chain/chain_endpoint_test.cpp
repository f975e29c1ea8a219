// One endpoint: batches, blocks, the retry rule, and what is remembered.
#include "tests/unit/auth/chain/reading.hpp"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using auth::FailureKind;
using runtime::HttpFault;
using test::FakeChain;
using test::ReaderWorld;
using Reply = test::FakeHttpClient::Reply;

namespace {

auth::ChainOptions with_block(std::string tag, std::uint64_t confirmations = 0) {
    auto options = test::chain_options();
    options.block = {std::move(tag), confirmations};
    return options;
}

auth::ChainOptions one_by_one(std::string tag = "latest", std::uint64_t confirmations = 0) {
    auto options = with_block(std::move(tag), confirmations);
    options.use_batches = false;
    return options;
}

Reply refusal() {
    return Reply::ok(
        R"({"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no batches"}})");
}

}  // namespace

TEST_CASE("a read is one batch of three calls, at one tag, to the contract") {
    const auto tag = GENERATE(values<std::string>({"latest", "safe", "finalized"}));
    ReaderWorld world(with_block(tag));
    const auto reading = world.start();
    REQUIRE(reading.outcome() == "ok");
    CHECK(reading.value().chain_id == 31337);
    CHECK(reading.value().endpoint == "http://one.example");
    REQUIRE(reading.value().answers.size() == 2);
    CHECK(reading.value().answers[0] == *runtime::from_hex(test::verdict(true).substr(2)));
    CHECK(reading.value().answers[1] == *runtime::from_hex(test::text_answer("gw").substr(2)));

    CHECK(world.client.asked().size() == 1);
    const auto& asked = world.client.asked().front();
    CHECK(asked.request.method == "POST");
    CHECK(asked.request.url == "http://one.example/key-of-the-first");
    CHECK(asked.request.headers.front() ==
          std::pair<std::string, std::string>("content-type", "application/json"));
    CHECK(asked.deadline == runtime::Deadline::after(world.clock.now(), 3s));
    CHECK(asked.request.connect_timeout == 2s);
    CHECK(asked.request.max_response_bytes == 1024 * 1024);
    CHECK(world.chain.methods() == "eth_call eth_call eth_chainId");  // answered in reverse
    for (const auto& call : world.chain.asked) {
        CHECK(call.in_batch);
        if (call.method != "eth_call") continue;
        CHECK(call.block == tag);
        CHECK(call.to == "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0");
    }
}

TEST_CASE("no two requests of a process share an id") {
    ReaderWorld world;
    CHECK(world.outcome() == "ok");
    const auto first = world.client.asked().front().request.body;
    CHECK(world.outcome() == "ok");
    CHECK(world.client.asked().back().request.body != first);
    // The answer to the first request does not answer the third.
    std::string old_answer;
    world.client.handle([&](const runtime::HttpClientRequest& request) {
        auto reply = world.chain(request);
        if (old_answer.empty()) old_answer = reply.exchange.body;
        return Reply::ok(old_answer);
    });
    CHECK(world.outcome() == "ok");
    CHECK(world.outcome() == "not JSON-RPC");
}

TEST_CASE("head minus N is resolved once per read, never from memory") {
    ReaderWorld world(with_block("latest", 2));
    CHECK(world.outcome() == "ok");
    CHECK(world.chain.methods() == "eth_blockNumber eth_call eth_call eth_chainId");
    CHECK(world.chain.asked[1].block == "0x62");
    CHECK(world.chain.asked[2].block == "0x62");
    world.chain.asked.clear();
    world.chain.head = FakeChain::result("0x65");
    CHECK(world.outcome() == "ok");
    CHECK(world.chain.asked[1].block == "0x63");

    SECTION("a head that cannot be had or is too young is a failure, and over at once") {
        for (const auto& [head, category] : std::vector<std::pair<std::string, std::string>>{
                 {FakeChain::result("0x1"), "state not available"},
                 {FakeChain::error(-32000, "no"), "RPC error -32000"},
                 {FakeChain::result("zz"), "undecodable answer"},
                 {R"("result":{})", "not JSON-RPC"}}) {
            INFO(head);
            world.chain.head = head;
            CHECK(world.outcome() == category);
            world.chain.head = FakeChain::result("0x64");
            CHECK(world.outcome() == "ok");
        }
    }
    SECTION("head equal to N reads the first block") {
        world.chain.head = FakeChain::result("0x2");
        world.chain.asked.clear();
        CHECK(world.outcome() == "ok");
        CHECK(world.chain.asked[1].block == "0x0");
    }
}

TEST_CASE("without batches every call is at the same resolved block") {
    struct Row {
        auth::ChainOptions options;
        std::string methods;
        std::string block;
    };
    const std::vector<Row> table = {
        {one_by_one(), "eth_blockNumber eth_chainId eth_call eth_call", "0x64"},
        {one_by_one("safe"), "eth_getBlockByNumber eth_chainId eth_call eth_call", "0x40"},
        {one_by_one("latest", 4), "eth_blockNumber eth_chainId eth_call eth_call", "0x60"},
    };
    for (const auto& row : table) {
        INFO(row.methods);
        ReaderWorld world(row.options);
        CHECK(world.outcome() == "ok");
        CHECK(world.chain.methods() == row.methods);
        for (const auto& call : world.chain.asked) {
            CHECK_FALSE(call.in_batch);
            if (call.method == "eth_call") CHECK(call.block == row.block);
        }
        CHECK_FALSE(world.state().takes_batches);
    }
    ReaderWorld world(one_by_one("finalized"));
    world.chain.header = R"("result":null)";
    CHECK(world.outcome() == "state not available");
}

TEST_CASE("an endpoint that refuses batches is asked call by call, and remembered for a while") {
    ReaderWorld world;
    world.chain.to_batches = GENERATE(values<Reply>(
        {refusal(), Reply::ok("no batches", 400), Reply::ok("", 413), Reply::ok("{}", 403)}));
    CHECK(world.outcome() == "ok");
    CHECK_FALSE(world.state().takes_batches);
    CHECK(world.chain.methods() ==
          "eth_chainId eth_blockNumber eth_chainId eth_call eth_call");  // the first: one try
    world.chain.asked.clear();
    CHECK(world.outcome() == "ok");
    CHECK(world.chain.methods() == "eth_blockNumber eth_chainId eth_call eth_call");

    // After the pause a batch is tried again, so a passing refusal does not slow us for ever.
    world.chain.to_batches.reset();
    world.chain.asked.clear();
    world.advance(10min);
    CHECK(world.outcome() == "ok");
    CHECK(world.state().takes_batches);
    CHECK(world.chain.asked.size() == 3);
}

TEST_CASE("an endpoint that refuses everything is not taken for one that refuses batches") {
    ReaderWorld world;
    world.client.handle([](const auto&) { return Reply::ok("Forbidden", 403); });
    CHECK(world.outcome() == "HTTP 403");
    CHECK(world.client.asked().size() == 2);  // the batch, and one call
    CHECK(world.state().takes_batches);
    world.client.handle([&](const auto&) {
        return Reply::ok(R"({"error":{"code":-32005,"message":"slow down"}})");
    });
    CHECK(world.outcome() == "rate limited");
    CHECK(world.client.asked().size() == 3);  // a rate limit is no refusal of batches
    CHECK(world.state().takes_batches);
}

TEST_CASE("answers that are no answers") {
    struct Row {
        std::string name;
        std::function<void(FakeChain&)> change;
        std::string category;
    };
    const auto set = [](std::string FakeChain::* member, std::string text) {
        return [member, text = std::move(text)](FakeChain& chain) { chain.*member = text; };
    };
    const std::vector<Row> table = {
        {"revert", set(&FakeChain::decision, FakeChain::error(3, "execution reverted")),
         "reverted"},
        {"no contract", set(&FakeChain::decision, FakeChain::result("0x")),
         "no contract at address"},
        {"odd digits", set(&FakeChain::decision, FakeChain::result("0x123")), "undecodable answer"},
        {"no prefix", set(&FakeChain::decision, FakeChain::result("0123")), "undecodable answer"},
        {"not hex", set(&FakeChain::decision, FakeChain::result("hello")), "undecodable answer"},
        {"null", set(&FakeChain::decision, R"("result":null)"), "not JSON-RPC"},
        {"the gateway alone fails", set(&FakeChain::gateway, FakeChain::error(-32000, "x")),
         "RPC error -32000"},
        {"no gateway", set(&FakeChain::gateway, FakeChain::result("0x")), "no contract at address"},
        {"chain id is no number", set(&FakeChain::chain_id, FakeChain::result("zz")),
         "undecodable answer"},
        {"chain id fails", set(&FakeChain::chain_id, FakeChain::error(-32601, "x")),
         "RPC error -32601"},
        {"chain id of 2^64", set(&FakeChain::chain_id, FakeChain::result("0x10000000000000000")),
         "undecodable answer"},
    };
    for (const auto& row : table) {
        INFO(row.name);
        ReaderWorld world;
        row.change(world.chain);
        CHECK(world.outcome() == row.category);
        CHECK(world.state().failing);
        world.chain = {};
        CHECK(world.outcome() == "ok");  // the first good answer is a good answer
        CHECK_FALSE(world.state().failing);
    }
}

TEST_CASE("the chain id is compared when one is configured") {
    auto options = test::chain_options();
    options.chain_id = 31337;
    ReaderWorld world(options);
    CHECK(world.outcome() == "ok");
    world.chain.chain_id = FakeChain::result("0x1");
    CHECK(world.outcome() == "wrong chain");
    world.chain.chain_id = FakeChain::result("0x007a69");
    CHECK(world.outcome() == "ok");
    ReaderWorld any;
    any.chain.chain_id = FakeChain::result("0x1");
    CHECK(any.outcome() == "ok");
}

TEST_CASE("what is tried once more, and what is not") {
    struct Row {
        std::string name;
        Reply reply;
        std::string alone;  // when both tries end so
        bool again;
    };
    const auto unsent = Reply::fault(HttpFault::cannot_connect);
    const std::vector<Row> table = {
        {"refused", unsent, "cannot connect", true},
        {"closed on a kept connection", Reply::fault(HttpFault::closed).on_reused_connection(),
         "cannot connect", true},
        {"502", Reply::ok("", 502), "HTTP 502", true},
        {"503", Reply::ok("", 503), "HTTP 503", true},
        {"504", Reply::ok("", 504), "HTTP 504", true},
        {"429 for now", Reply::ok("", 429, {{"retry-after", "0"}}), "rate limited", true},
        {"closed on a new connection", Reply::fault(HttpFault::closed), "cannot connect", false},
        {"no name", Reply::fault(HttpFault::cannot_resolve), "cannot resolve", false},
        {"timed out", Reply::fault(HttpFault::timed_out), "timed out", false},
        {"429", Reply::ok("", 429), "rate limited", false},
        {"429 for long", Reply::ok("", 429, {{"retry-after", "60"}}), "rate limited", false},
        {"500", Reply::ok("", 500), "HTTP 500", false},
        {"401", Reply::ok("", 401), "HTTP 401", false},
        {"HTML", Reply::ok("<html>"), "not JSON-RPC", false},
        {"too large", Reply::fault(HttpFault::too_large), "not JSON-RPC", false},
    };
    for (const auto& row : table) {
        INFO(row.name);
        ReaderWorld once;
        once.client.add(row.reply);
        CHECK(once.outcome() == (row.again ? "ok" : row.alone));
        CHECK(once.client.asked().size() == (row.again ? 2U : 1U));
        CHECK(once.state().retries == (row.again ? 1U : 0U));
        // Where a kept connection had ended, the others may have ended with it.
        CHECK_FALSE(once.client.asked().front().request.new_connection);
        CHECK(once.client.asked().back().request.new_connection ==
              (row.name == "closed on a kept connection"));

        ReaderWorld twice;
        twice.client.add(row.reply);
        twice.client.add(row.reply);
        twice.client.add(row.reply);
        CHECK(twice.outcome() == row.alone);
        CHECK(twice.client.asked().size() == (row.again ? 2U : 1U));  // never a third time
    }
}

TEST_CASE("a header that is not there yet is asked for once more, a revert is not") {
    ReaderWorld world;
    int calls = 0;
    world.chain.instead = [&](const std::string& method, const std::string& data,
                              const std::string&) -> std::string {
        if (method != "eth_call" || !data.starts_with("0x1e079198")) return "";
        return ++calls == 1 ? FakeChain::error(-32000, "header not found") : "";
    };
    CHECK(world.outcome() == "ok");
    CHECK(calls == 2);
    world.chain.instead = [&](const std::string& method, const std::string&,
                              const std::string&) -> std::string {
        return method == "eth_call" ? FakeChain::error(-32000, "header not found") : "";
    };
    const auto before = world.client.asked().size();
    CHECK(world.outcome() == "state not available");
    CHECK(world.client.asked().size() == before + 2);
    world.chain.instead = [&](const std::string& method, const std::string&,
                              const std::string&) -> std::string {
        return method == "eth_call" ? FakeChain::error(3, "execution reverted: header not found")
                                    : "";
    };
    CHECK(world.outcome() == "reverted");
    CHECK(world.client.asked().size() == before + 3);
}

TEST_CASE("Retry-After is obeyed in seconds while the limit allows") {
    ReaderWorld world;
    world.client.add(Reply::ok("", 429, {{"retry-after", "2"}}));
    auto reading = world.start(5s);
    CHECK_FALSE(reading.done());
    world.advance(1999ms);
    CHECK_FALSE(reading.done());
    CHECK(world.client.asked().size() == 1);
    world.advance(1ms);
    CHECK(reading.outcome() == "ok");
    CHECK(world.client.asked().size() == 2);

    world.client.add(Reply::ok("", 429, {{"retry-after", "5"}}));
    CHECK(world.start(5s).outcome() == "rate limited");
}

TEST_CASE("an exchange has its own limit, a read the caller's") {
    ReaderWorld world;
    world.client.add(Reply::hang());
    auto hung = world.start(5s);
    world.advance(2999ms);
    CHECK_FALSE(hung.done());
    // Nobody waits for that one.
    CHECK(world.outcome() == "ok");
    world.advance(1ms);
    CHECK(hung.outcome() == "timed out");
    CHECK(world.failures(FailureKind::timed_out) == 1);

    world.client.add(Reply::hang());
    auto short_one = world.start(1s);
    world.advance(1s);
    CHECK(short_one.outcome() == "timed out");
    CHECK(world.start(0s).outcome() == "timed out");
    CHECK(world.outcome() == "ok");
}

TEST_CASE("answers later than the limit are not used") {
    ReaderWorld world;
    world.client.handle(
        [&](const runtime::HttpClientRequest& request) { return world.chain(request).later(4s); });
    auto late = world.start(5s);
    world.advance(3s);
    CHECK(late.outcome() == "timed out");
    world.advance(1s);
    CHECK(late.outcome() == "timed out");
}

TEST_CASE("an observer sees each exchange, without the key") {
    ReaderWorld world;
    std::vector<auth::ExchangeSeen> seen;
    world.reader.observe([&](const auth::ExchangeSeen& one) { seen.push_back(one); });
    CHECK(world.outcome() == "ok");
    world.client.add(Reply::fault(HttpFault::timed_out, "no answer from http://one.example"));
    CHECK(world.outcome() == "timed out");
    REQUIRE(seen.size() == 2);
    CHECK(seen[0].endpoint == "http://one.example");
    CHECK(seen[0].status == 200);
    CHECK(seen[0].calls.size() == 3);
    CHECK(seen[0].answer.kind == auth::RpcAnswer::Kind::answers);
    CHECK(seen[1].fault == "no answer from http://one.example");
    CHECK(seen[1].answer.kind == auth::RpcAnswer::Kind::malformed);
}
