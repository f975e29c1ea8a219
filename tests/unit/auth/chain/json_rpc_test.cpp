#include "auth/chain/json_rpc.hpp"

#include <catch2/catch.hpp>

using auth::BlockHeader;
using auth::CallAnswer;
using auth::ChainCall;
using auth::FailureKind;
using auth::RpcAnswer;
using auth::RpcError;
using Kind = RpcAnswer::Kind;
using Method = ChainCall::Method;

namespace {

const std::vector<ChainCall> kTwo = {
    {.method = Method::chain_id},
    {.method = Method::contract_call, .block = "latest", .to = "0xaa", .data = "0x95f51931"}};

std::string text(const CallAnswer& answer) {
    if (const auto* error = std::get_if<RpcError>(&answer))
        return "error " + std::to_string(error->code) + " " + error->message;
    if (const auto* header = std::get_if<BlockHeader>(&answer))
        return header->number + " at " + header->timestamp;
    return std::get<std::string>(answer);
}

}  // namespace

TEST_CASE("requests") {
    CHECK(
        auth::batch_request(kTwo, 7) ==
        R"([{"jsonrpc":"2.0","id":7,"method":"eth_chainId","params":[]},)"
        R"({"jsonrpc":"2.0","id":8,"method":"eth_call","params":[{"to":"0xaa","data":"0x95f51931"},"latest"]}])");
    CHECK(auth::single_request({.method = Method::block_number}, 1) ==
          R"({"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]})");
    CHECK(auth::single_request({.method = Method::block_header, .block = "safe"}, 2) ==
          R"({"jsonrpc":"2.0","id":2,"method":"eth_getBlockByNumber","params":["safe",false]})");
}

TEST_CASE("answers to a batch, in any order") {
    const auto answer = auth::parse_batch(
        R"([{"jsonrpc":"2.0","id":8,"result":"0x01"},{"id":7,"result":"0x7a69","error":null,"x":1}])",
        kTwo, 7);
    REQUIRE(answer.kind == Kind::answers);
    REQUIRE(answer.answers.size() == 2);
    CHECK(text(answer.answers[0]) == "0x7a69");
    CHECK(text(answer.answers[1]) == "0x01");
}

TEST_CASE("an error of one call is that call's answer") {
    const auto answer = auth::parse_batch(
        R"([{"id":1,"result":"0x1"},{"id":2,"error":{"code":3,"message":"execution reverted","data":"0x"}}])",
        kTwo, 1);
    REQUIRE(answer.kind == Kind::answers);
    CHECK(text(answer.answers[1]) == "error 3 execution reverted");
    for (const std::string error : {R"("text")", "7", "{}", "[]", R"({"code":"3","message":4})",
                                    R"({"code":1.5})", R"({"code":99999999999999999999})"}) {
        INFO(error);
        const auto odd = auth::parse_single(R"({"id":1,"error":)" + error + "}", kTwo[0], 1);
        REQUIRE(odd.kind == Kind::answers);
        CHECK(text(odd.answers[0]) == "error 0 ");
    }
}

TEST_CASE("bodies that are not the answers to a batch") {
    const std::string good = R"({"id":1,"result":"0x1"})";
    const auto body = GENERATE_COPY(values<std::string>({
        "",
        "null",
        "1",
        "\"x\"",
        "[]",
        "<html></html>",
        "[" + good + "]",                                                     // half a batch
        "[" + good + "," + good + "]",                                        // the same twice
        "[" + good + R"(,{"id":2,"result":"0x1"},{"id":3,"result":"0x1"}])",  // one too many
        "[" + good + R"(,{"id":3,"result":"0x1"}])",                          // another id
        "[" + good + R"(,{"id":0,"result":"0x1"}])",
        "[" + good + R"(,{"id":-2,"result":"0x1"}])",
        "[" + good + R"(,{"id":"2","result":"0x1"}])",  // id as text
        "[" + good + R"(,{"id":2.0,"result":"0x1"}])",
        "[" + good + R"(,{"id":null,"result":"0x1"}])",
        "[" + good + R"(,{"result":"0x1"}])",
        "[" + good + R"(,{"id":2}])",  // no result
        "[" + good + R"(,{"id":2,"result":null}])",
        "[" + good + R"(,{"id":2,"result":1}])",
        "[" + good + R"(,{"id":2,"result":["0x1"]}])",
        "[" + good +
            R"(,{"id":2,"result":{"number":"0x1","timestamp":"0x1"}}])",  // of another method
        "[" + good + R"(,{"id":2,"result":"0x1","error":{"code":1}}])",   // both
        "[" + good + ",7]",
        "[" + good + R"(,{"id":2,"result":"0x1"}]x)",  // more after the end
        "[" + good + R"(,{"id":2,"result":"0x1")",     // cut
        "[" + good + R"(,{"id":2,"result":"0x1","y":[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]}])",
        R"({"id":1,"result":"0x1"})",  // not a batch
        R"({"error":null})",
    }));
    INFO(body);
    CHECK(auth::parse_batch(body, kTwo, 1).kind == Kind::malformed);
}

TEST_CASE("one error for a whole batch is a refusal") {
    const auto answer = auth::parse_batch(
        R"({"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not allowed"}})",
        kTwo, 1);
    CHECK(answer.kind == Kind::refused);
    CHECK(answer.error == RpcError{-32600, "batches are not allowed"});
}

TEST_CASE("the answer to one call") {
    const ChainCall call = {.method = Method::chain_id};
    struct Row {
        std::string body;
        Kind kind;
    };
    const auto row = GENERATE(values<Row>({
        {R"({"id":5,"result":"0x1"})", Kind::answers},
        {R"({"id":5,"error":{"code":1}})", Kind::answers},
        {R"({"id":null,"error":{"code":1}})", Kind::refused},
        {R"({"error":{"code":1}})", Kind::refused},
        {R"({"id":4,"error":{"code":1}})", Kind::malformed},
        {R"({"id":4,"result":"0x1"})", Kind::malformed},
        {R"({"result":"0x1"})", Kind::malformed},
        {R"([{"id":5,"result":"0x1"}])", Kind::malformed},
        {R"({"id":5,"result":null})", Kind::malformed},
        {"{", Kind::malformed},
    }));
    INFO(row.body);
    CHECK(auth::parse_single(row.body, call, 5).kind == row.kind);
}

TEST_CASE("block headers") {
    const ChainCall call = {.method = Method::block_header, .block = "safe"};
    const auto parsed = [&](const std::string& result) {
        const auto answer = auth::parse_single(R"({"id":1,"result":)" + result + "}", call, 1);
        return answer.kind == Kind::answers ? text(answer.answers[0]) : "malformed";
    };
    CHECK(parsed(R"({"number":"0x40","timestamp":"0x10","hash":"0x"})") == "0x40 at 0x10");
    CHECK(parsed("null") == " at ");
    CHECK(parsed(R"({"number":64,"timestamp":"0x10"})") == "malformed");
    CHECK(parsed(R"({"number":"0x40"})") == "malformed");
    CHECK(parsed(R"("0x40")") == "malformed");
}

TEST_CASE("quantities") {
    struct Row {
        std::string text;
        std::optional<std::uint64_t> number;
    };
    const auto row = GENERATE(values<Row>({
        {"0x0", 0},
        {"0x7a69", 31337},
        {"0x7A69", 31337},
        {"0x0001", 1},
        {"0x00000000000000000000000000000001", 1},
        {"0x1fffffffffffff", 9007199254740991},
        {"0xffffffffffffffff", 18446744073709551615ULL},
        {"0x10000000000000000", {}},
        {"0x", {}},
        {"", {}},
        {"7a69", {}},
        {"0X1", {}},
        {"0x-1", {}},
        {"0x+1", {}},
        {"0x 1", {}},
        {"0x1 ", {}},
        {"0x0x1", {}},
        {"zz", {}},
    }));
    INFO(row.text);
    CHECK(auth::parse_quantity(row.text) == row.number);
    if (row.number) CHECK(auth::parse_quantity(auth::quantity(*row.number)) == row.number);
}

TEST_CASE("data") {
    CHECK(auth::parse_data("0x") == runtime::Bytes{});
    CHECK(auth::parse_data("0x00fF") == runtime::Bytes{0, 255});
    for (const char* bad : {"", "00", "0x0", "0xzz", "0X00", "hello", "0x00 "})
        CHECK_FALSE(auth::parse_data(bad).has_value());
}

TEST_CASE("what an error of a call means") {
    struct Row {
        RpcError error;
        std::string expected;
        bool lag;
    };
    const auto row = GENERATE(values<Row>({
        {{3, "execution reverted: app says no"}, "reverted", false},
        {{3, "execution reverted: header not found"}, "reverted", false},  // the contract's words
        {{3, "execution reverted: rate limit"}, "reverted", false},
        {{-32000, "execution reverted"}, "reverted", false},
        {{-32015, "VM execution error. Reverted 0x"}, "reverted", false},
        {{-32005, "daily request count exceeded, request rate limited"}, "rate limited", false},
        {{-32005, "execution reverted"}, "rate limited", false},  // the code is the endpoint's
        {{429, "Your app has exceeded its compute units"}, "rate limited", false},
        {{-32016, "over rate limit"}, "rate limited", false},
        {{-32000, "Too Many Requests"}, "rate limited", false},
        {{-32007, "50/second request limit reached"}, "rate limited", false},
        {{-32000, "header not found"}, "state not available", true},
        {{-32000, "Header Not Found"}, "state not available", true},
        {{-32001, "block not found: 0x12"}, "state not available", true},
        {{-39001, "Unknown block"}, "state not available", true},
        {{-32602, "BlockOutOfRangeError: block height is 1 but requested was 2"},
         "state not available",
         true},
        {{-32000, "missing trie node 1234"}, "state not available", false},
        {{-32000, "World state unavailable"}, "state not available", false},
        {{-32601, "the method does not exist"}, "RPC error -32601", false},
        {{-32000, "out of gas"}, "RPC error -32000", false},
        {{0, ""}, "RPC error 0", false},
    }));
    INFO(row.error.message);
    CHECK(to_string(auth::failure_of(row.error)) == row.expected);
    CHECK(auth::is_lag(row.error) == row.lag);
}
