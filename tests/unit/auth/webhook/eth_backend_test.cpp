// The whole way of a request through the eth backend, with a chain that says what was recorded.
#include "auth/webhook/eth_backend.hpp"

#include "auth/policy/public_url.hpp"
#include "auth/webhook/handlers.hpp"
#include "tests/support/manual_clock.hpp"
#include "tests/unit/auth/boot_bodies.hpp"
#include "tests/unit/auth/chain/fake_chain.hpp"
#include "tests/unit/auth/recorded.hpp"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using test::FakeChain;
using test::Recorded;
using Reply = test::FakeHttpClient::Reply;

namespace {

const std::string kContract = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0";

auth::ChainOptions options_for(const std::string& url, const std::string& contract) {
    auth::ChainOptions options;
    options.endpoints = {url};
    options.contract = contract;
    return options;
}

struct Service {
    explicit Service(const std::string& url = "http://127.0.0.1:8545",
                     const std::string& contract = kContract)
        : Service(options_for(url, contract)) {}
    explicit Service(const auth::ChainOptions& options)
        : backend(client, clock, options, options.contract) {
        client.handle([this](const runtime::HttpClientRequest& request) { return chain(request); });
    }

    runtime::HttpServerReply ask(const std::string& method, const std::string& target,
                                 const std::string& body = "") {
        runtime::HttpServerRequest request;
        request.method = method;
        request.target = target;
        request.path = target.substr(0, target.find('?'));
        request.body = body;
        request.headers.push_back({"content-type", "application/json"});
        return test::run(io, handlers.handle(request, runtime::Deadline::after(clock.now(), 5s)));
    }
    std::string decide(const std::string& target = "/bootAuth/app") {
        return ask("POST", target, test::boot_body()).body;
    }
    std::string metrics() { return ask("GET", "/metrics").body; }

    boost::asio::io_context io;
    test::ManualClock clock;
    test::FakeHttpClient client{clock};
    FakeChain chain;
    auth::EthBackend backend;
    auth::Handlers handlers{clock, backend, {.full_lengths = auth::FullLengths::never}};
};

/// Answers exactly the recorded calls; anything else is an error that no recorded reply shows.
void teach(FakeChain& chain, const Recorded& vector) {
    chain.chain_id = vector.chain_id_outcome();
    chain.instead = [&vector](const std::string& method, const std::string& data,
                              const std::string&) -> std::string {
        if (method != "eth_call") return "";
        const auto* call = vector.call_of(data);
        return call != nullptr ? call->outcome : FakeChain::error(-32000, "not recorded");
    };
}

/// The body with what may follow "authorization backend unavailable" taken out.
std::string without_category(std::string body) {
    const std::string sentence = "authorization backend unavailable";
    const auto start = body.find(sentence + ": ");
    if (start == std::string::npos) return body;
    const auto end = body.find('"', start);
    return body.erase(start + sentence.size(), end - start - sentence.size());
}

std::string decision(bool allowed, const std::string& reason, const std::string& gateway) {
    return to_json(auth::Decision{allowed, reason, gateway});
}
std::string unavailable(const std::string& category) {
    return decision(false, "authorization backend unavailable: " + category, "");
}

}  // namespace

TEST_CASE("recorded exchanges that reach the chain, byte for byte") {
    std::size_t compared = 0;
    for (const auto& vector : test::recorded_exchanges()) {
        if (vector.era != "2026-08" || !vector.reaches_chain() || vector.quirk) continue;
        INFO(vector.name);
        Service service(vector.rpc_url, vector.contract);
        teach(service.chain, vector);
        const auto reply = service.ask(vector.method, vector.path, vector.body);
        CHECK(reply.status == vector.reply_status);
        CHECK(without_category(reply.body) == vector.reply_body);
        // One batch; a second one where the endpoint may be behind.
        CHECK(service.client.asked().size() ==
              (vector.name == "answer-gateway-error-denies" ? 2 : 1));
        for (const auto& call : service.chain.asked) {
            if (call.method != "eth_call") continue;
            CHECK(call.to == vector.contract);
            CHECK(call.block == "latest");
        }
        ++compared;
    }
    CHECK(compared >= 80);
}

TEST_CASE("the older era, where failures are told in a library's words") {
    std::size_t compared = 0;
    for (const auto& vector : test::recorded_exchanges()) {
        if (vector.era != "2025-12" || !vector.reaches_chain() || vector.quirk) continue;
        // It had no limits on lengths; the newer era, whose rules are ours, refuses such a request.
        if (vector.group == "validation") continue;
        INFO(vector.name);
        Service service(vector.rpc_url, vector.contract);
        teach(service.chain, vector);
        const auto reply = service.ask(vector.method, vector.path, vector.body);
        CHECK(reply.status == vector.reply_status);
        const auto wanted = test::json::parse(vector.reply_body);
        const auto got = test::json::parse(reply.body);
        if (const auto* allowed = wanted.as_object().if_contains("isAllowed"))
            CHECK(got.at("isAllowed") == *allowed);
        ++compared;
    }
    CHECK(compared >= 9);
}

TEST_CASE("accidents of the original that reach the chain") {
    for (const auto& vector : test::recorded_exchanges()) {
        if (vector.era != "2026-08" || !vector.reaches_chain() || !vector.quirk) continue;
        INFO(vector.name);
        Service service(vector.rpc_url, vector.contract);
        teach(service.chain, vector);
        const auto reply = service.ask(vector.method, vector.path, vector.body);
        if (vector.name == "answer-bool-two") {
            CHECK(reply.body == unavailable("undecodable answer"));
        } else if (vector.group == "coercion") {
            CHECK(reply.status == 400);
            CHECK(service.client.asked().empty());
        } else {
            CHECK(reply.body ==
                  vector.reply_body);  // padding on the left, as long as it is allowed
        }
    }
}

TEST_CASE("dstack's own cases of its service on a chain, with two confirmations") {
    auto options = options_for("http://127.0.0.1:8545", kContract);
    options.chain_id = 1337;
    options.block.confirmations = 2;
    Service service(options);
    service.chain.chain_id = FakeChain::result("0x539");

    SECTION("facts") {
        CHECK(service.ask("GET", "/").body ==
              R"({"status":"ok","kmsContractAddr":")" + kContract +
                  R"(","ethRpcUrl":"http://127.0.0.1:8545","gatewayAppId":"gw","chainId":1337,)"
                  R"("appAuthImplementation":"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",)"
                  R"("appImplementation":"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"})");
    }
    SECTION("facts, chain failing") {
        service.client.handle([](const auto&) { return Reply::ok("", 500); });
        const auto reply = service.ask("GET", "/");
        CHECK(reply.status == 500);
        CHECK(reply.body ==
              R"({"status":"error","message":"authorization backend unavailable: HTTP 500"})");
    }
    SECTION("the contract's flag and reason, for both questions") {
        CHECK(service.decide("/bootAuth/app") == decision(true, "", "gw"));
        CHECK(service.decide("/bootAuth/kms") == decision(true, "", "gw"));
        service.chain.decision = FakeChain::result(test::verdict(false, "not today"));
        CHECK(service.decide("/bootAuth/kms") == decision(false, "not today", "gw"));
    }
    SECTION("each question calls its own function") {
        service.decide("/bootAuth/app");
        CHECK_THAT(service.chain.asked.at(2).data, Catch::StartsWith("0x1e079198"));
        service.chain.asked.clear();
        service.decide("/bootAuth/kms");
        CHECK_THAT(service.chain.asked.at(2).data, Catch::StartsWith("0xe067ec9d"));
    }
    SECTION("a bad request does not ask the chain") {
        const auto reply = service.ask("POST", "/bootAuth/app",
                                       test::boot_body({{"mrAggregated", "\"not-hex\""}}));
        CHECK(reply.status == 400);
        CHECK(service.client.asked().empty());
    }
    SECTION("no decision is remembered") {
        CHECK(service.decide() == decision(true, "", "gw"));
        service.chain.decision = FakeChain::result(test::verdict(false, "revoked"));
        CHECK(service.decide() == decision(false, "revoked", "gw"));
    }
    SECTION("fails once, then works") {
        service.client.add(Reply::ok("", 500));
        CHECK(service.decide() == unavailable("HTTP 500"));
        CHECK(service.decide() == decision(true, "", "gw"));
    }
    SECTION("both reads at head minus two, which follows the head") {
        CHECK(service.decide() == decision(true, "", "gw"));
        CHECK(service.chain.asked.at(1).block == "0x62");
        CHECK(service.chain.asked.at(2).block == "0x62");
        service.chain.asked.clear();
        service.chain.head = FakeChain::result("0x65");
        service.chain.decision = FakeChain::result(test::verdict(false, "other fork"));
        CHECK(service.decide() == decision(false, "other fork", "gw"));
        CHECK(service.chain.asked.at(1).block == "0x63");
        CHECK(service.chain.methods() == "eth_blockNumber eth_call eth_call eth_chainId");
    }
    SECTION("wrong chain, young head, failing head: not allowed, and over at once") {
        service.chain.chain_id = FakeChain::result("0x1");
        CHECK(service.decide() == unavailable("wrong chain"));
        service.chain.chain_id = FakeChain::result("0x539");
        CHECK(service.decide() == decision(true, "", "gw"));
        service.chain.head = FakeChain::result("0x1");
        CHECK(service.decide() == unavailable("state not available"));
        service.chain.head = FakeChain::error(-32000, "Test backend error");
        CHECK(service.decide() == unavailable("RPC error -32000"));
        service.chain.head = FakeChain::result("0x64");
        CHECK(service.decide() == decision(true, "", "gw"));
    }
}

TEST_CASE("no answer that was changed is taken for an allowance") {
    // The honest denial and its gateway; the property: whatever happens to the bytes of the answer,
    // "allowed" comes out only of a body that holds a complete and consistent "allowed".
    const std::string denial = test::verdict(false, "no");
    Service honest;
    honest.chain.decision = FakeChain::result(denial);
    std::string body;
    honest.client.handle([&](const runtime::HttpClientRequest& request) {
        body = honest.chain(request).exchange.body;
        return Reply::ok(body);
    });
    REQUIRE(honest.decide() == decision(false, "no", "gw"));
    const auto flag = body.find(denial.substr(2)) + 63;  // the last digit of the flag's word
    REQUIRE(body[flag] == '0');

    std::size_t allowed = 0;
    const auto outcome_of = [](const std::string& changed) {
        Service service;  // whose first request has the ids of the honest one
        service.client.handle([&](const auto&) { return Reply::ok(changed); });
        return service.decide();
    };
    for (std::size_t at = 0; at < body.size(); ++at) {
        INFO("byte " << at);
        auto changed = body;
        for (const char value :
             {'0', '1', '8', 'f', '"', '{', '}', '[', ']', ',', '\\', '\x01', '\xff'}) {
            changed[at] = value;
            if (outcome_of(changed).find("\"isAllowed\":true") == std::string::npos) continue;
            ++allowed;
            CHECK(at == flag);
            CHECK(value == '1');
        }
        const auto cut = outcome_of(body.substr(0, at));
        CHECK(cut.find("\"isAllowed\":true") == std::string::npos);
        auto without = body;
        without.erase(at, 1);
        CHECK(outcome_of(without).find("\"isAllowed\":true") == std::string::npos);
    }
    CHECK(allowed == 1);
}

TEST_CASE("an allowance that lost any part is none") {
    Service honest;
    std::string body;
    honest.client.handle([&](const runtime::HttpClientRequest& request) {
        body = honest.chain(request).exchange.body;
        return Reply::ok(body);
    });
    REQUIRE(honest.decide() == decision(true, "", "gw"));
    for (std::size_t size = 0; size < body.size(); ++size) {
        INFO(size);
        Service service;
        service.client.handle([&](const auto&) { return Reply::ok(body.substr(0, size)); });
        CHECK(service.decide() == unavailable("not JSON-RPC"));
    }
    struct Row {
        std::string name;
        std::string find, replace;
    };
    const std::vector<Row> table = {
        {"another id for the decision", "\"id\":2", "\"id\":4"},
        {"the gateway's id twice", "\"id\":2", "\"id\":3"},
        {"no id", "\"id\":2,", ""},
        {"an error beside the result", "\"id\":2", R"("error":{"code":1},"id":2)"},
        {"no chain id", R"("result":"0x7a69")", R"("result":null)"},
        {"no gateway", "\"result\":\"" + test::text_answer("gw") + "\"", R"("result":"0x")"},
    };
    for (const auto& row : table) {
        INFO(row.name);
        auto changed = body;
        const auto at = changed.find(row.find);
        REQUIRE(at != std::string::npos);
        changed.replace(at, row.find.size(), row.replace);
        Service service;
        service.client.handle([&](const auto&) { return Reply::ok(changed); });
        CHECK_THAT(service.decide(), Catch::StartsWith("{\"isAllowed\":false"));
    }
}

TEST_CASE("every failure is told by its category, and by nothing else") {
    struct Row {
        Reply reply;
        std::string category;
    };
    const std::string secret = "https://user:topsecret@one.example/hiddenkey";
    const std::vector<Row> table = {
        {Reply::fault(runtime::HttpFault::cannot_resolve, secret), "cannot resolve"},
        {Reply::fault(runtime::HttpFault::cannot_connect, secret), "cannot connect"},
        {Reply::fault(runtime::HttpFault::timed_out, secret), "timed out"},
        {Reply::ok(secret, 429), "rate limited"},
        {Reply::ok(secret, 418), "HTTP 418"},
        {Reply::ok(secret), "not JSON-RPC"},
        {Reply::ok(R"({"error":{"code":-32601,"message":")" + secret + "\"}}"), "RPC error -32601"},
        {Reply::fault(runtime::HttpFault::busy, secret), "busy"},
    };
    for (const auto& row : table) {
        INFO(row.category);
        Service service(secret);
        service.client.handle([&](const auto&) { return row.reply; });
        CHECK(service.decide() == unavailable(row.category));
        const auto facts = service.ask("GET", "/");
        CHECK(facts.status == (row.category == "busy" ? 503 : 500));
        CHECK(facts.body == R"({"status":"error","message":"authorization backend unavailable: )" +
                                row.category + "\"}");
        for (const auto& text : {service.metrics(), facts.body}) {
            CHECK(text.find("topsecret") == std::string::npos);
            CHECK(text.find("hiddenkey") == std::string::npos);
        }
    }
}

TEST_CASE("answers for GET / that cannot be used") {
    const auto row = GENERATE(values<std::pair<std::string, std::string>>({
        {FakeChain::result("0x"), "no contract at address"},
        {FakeChain::result(test::answer_words({"1" + std::string(40, '0')})), "undecodable answer"},
        {FakeChain::result("0x" + std::string(40, '0')), "undecodable answer"},
        {FakeChain::error(3, "execution reverted"), "reverted"},
    }));
    Service service;
    service.chain.implementation = row.first;
    CHECK_THAT(service.ask("GET", "/").body, Catch::Contains(": " + row.second + "\""));
}

TEST_CASE("the metrics of a chain") {
    auto options = options_for("http://one.example/key", kContract);
    options.endpoints.push_back("http://one.example/other-key");
    Service service(options);
    service.client.add(Reply::ok("", 500));
    service.decide();
    const auto text = service.metrics();
    for (const std::string line :
         {R"(auth_chain_endpoint_up{endpoint="1",url="http://one.example"} 0)",
          R"(auth_chain_endpoint_up{endpoint="2",url="http://one.example"} 1)",
          R"(auth_chain_reads_total{endpoint="1",result="http_status"} 1)",
          R"(auth_chain_reads_total{endpoint="2",result="ok"} 1)",
          R"(auth_chain_endpoint_takes_batches{endpoint="1",url="http://one.example"} 1)",
          R"(auth_chain_exchange_duration_seconds_count{endpoint="1"} 1)",
          R"(auth_chain_retries_total{endpoint="1"} 0)", R"(auth_chain_reads_at_work 0)",
          R"(auth_chain_reads_refused_total 0)",
          R"(auth_requests_total{route="app",outcome="allowed"} 1)"}) {
        INFO(text);
        CHECK_THAT(text, Catch::Contains(line + "\n"));
    }
    CHECK(text.find("key") == std::string::npos);
}
