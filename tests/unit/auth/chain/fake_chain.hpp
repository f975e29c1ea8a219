/// A chain for tests, behind FakeHttpClient: answers JSON-RPC as it is told, and remembers what it
/// was asked.
#pragma once

#include "tests/support/fake_http_client.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace test {

namespace json = boost::json;

/// Words of 32 bytes as "0x…": numbers in hex are padded on the left.
inline std::string answer_words(const std::vector<std::string>& words) {
    std::string out = "0x";
    for (const auto& word : words) out += std::string(64 - word.size(), '0') + word;
    return out;
}
/// The word of a short text, padded on the right.
inline std::string text_word(std::string_view text) {
    auto digits = runtime::to_hex(runtime::as_bytes(text));
    digits.resize(64, '0');
    return digits;
}
inline std::string number_word(std::size_t number) {
    return runtime::to_hex(runtime::Bytes{static_cast<std::uint8_t>(number)});
}
inline std::string verdict(bool allowed, std::string_view reason = "") {
    if (reason.empty()) return answer_words({allowed ? "1" : "0", "40", "0"});
    return answer_words({allowed ? "1" : "0", "40", number_word(reason.size()), text_word(reason)});
}
inline std::string text_answer(std::string_view text) {
    if (text.empty()) return answer_words({"20", "0"});
    return answer_words({"20", number_word(text.size()), text_word(text)});
}

struct FakeChain {
    // The members `"result":…` or `"error":…` of each answer.
    std::string chain_id = R"("result":"0x7a69")";
    std::string head = R"("result":"0x64")";
    std::string header = R"("result":{"number":"0x40","timestamp":"0x6955b900","hash":"0x11"})";
    std::string decision = "\"result\":\"" + verdict(true) + "\"";
    std::string gateway = "\"result\":\"" + text_answer("gw") + "\"";
    std::string implementation =
        "\"result\":\"" + answer_words({"5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"}) + "\"";
    /// What is said to a batch instead of answers; nothing: batches are taken.
    std::optional<FakeHttpClient::Reply> to_batches;
    /// Instead of the above, if it gives something: by method, data and block.
    std::function<std::string(const std::string&, const std::string&, const std::string&)> instead;

    struct Asked {
        std::string method, to, data, block;
        bool in_batch = false;
    };
    std::vector<Asked> asked;

    static std::string error(int code, std::string_view message) {
        return "\"error\":{\"code\":" + std::to_string(code) + ",\"message\":\"" +
               std::string(message) + "\"}";
    }
    static std::string result(std::string_view text) {
        return "\"result\":\"" + std::string(text) + "\"";
    }

    /// Answers one HTTP request.
    FakeHttpClient::Reply operator()(const runtime::HttpClientRequest& request) {
        const json::value body = json::parse(request.body);
        if (!body.is_array()) return FakeHttpClient::Reply::ok(answer(body, false));
        if (to_batches) return *to_batches;
        std::string out = "[";
        // In reverse: the order is nobody's promise.
        const auto& calls = body.as_array();
        for (std::size_t i = calls.size(); i-- > 0;)
            out.append(out.size() > 1 ? "," : "").append(answer(calls[i], true));
        return FakeHttpClient::Reply::ok(out + "]");
    }

    std::string answer(const json::value& call, bool in_batch) {
        Asked one;
        one.method = call.at("method").as_string().c_str();
        one.in_batch = in_batch;
        const auto& params = call.at("params").as_array();
        if (one.method == "eth_call") {
            one.to = params.at(0).at("to").as_string().c_str();
            one.data = params.at(0).at("data").as_string().c_str();
            one.block = params.at(1).as_string().c_str();
        } else if (!params.empty()) {
            one.block = params.at(0).as_string().c_str();
        }
        asked.push_back(one);
        return "{\"jsonrpc\":\"2.0\",\"id\":" + json::serialize(call.at("id")) + "," +
               outcome(one) + "}";
    }

    std::string outcome(const Asked& call) const {
        if (instead)
            if (auto text = instead(call.method, call.data, call.block); !text.empty()) return text;
        if (call.method == "eth_chainId") return chain_id;
        if (call.method == "eth_blockNumber") return head;
        if (call.method == "eth_getBlockByNumber") return header;
        if (call.data.starts_with("0x95f51931")) return gateway;
        if (call.data.starts_with("0x25a992da")) return implementation;
        return decision;
    }

    std::string methods() const {
        std::string out;
        for (const auto& one : asked) out.append(out.empty() ? "" : " ").append(one.method);
        return out;
    }
};

}  // namespace test
