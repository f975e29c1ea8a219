/// The recorded exchanges of tests/vectors/auth/vectors.json, as values.
#pragma once

#include "auth/policy/boot_request.hpp"
#include "launcher/runtime/config.hpp"

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace test {

namespace json = boost::json;

inline std::string text_of(const json::value& object, std::string_view name) {
    const auto* found = object.as_object().if_contains(name);
    return found == nullptr ? ""
                            : std::string(found->as_string().data(), found->as_string().size());
}

/// One JSON-RPC call as it was answered.
struct RecordedCall {
    std::string method;
    std::string to;
    std::string data;
    std::string outcome;  ///< the members `"result":…` or `"error":…` of the answer
};

struct Recorded {
    std::string name, era, group;
    std::string contract, rpc_url;
    std::string method, path, body;
    std::string reply_body;
    unsigned reply_status = 0;
    bool quirk = false;
    std::vector<RecordedCall> calls;

    bool reaches_chain() const {
        for (const auto& call : calls)
            if (call.method == "eth_call") return true;
        return false;
    }
    const RecordedCall* call_of(std::string_view data) const {
        for (const auto& call : calls)
            if (call.method == "eth_call" && call.data == data) return &call;
        return nullptr;
    }
    /// Of eth_chainId.
    std::string chain_id_outcome() const {
        for (const auto& call : calls)
            if (call.method == "eth_chainId") return call.outcome;
        return R"("result":"0x7a69")";
    }
};

inline std::vector<Recorded> recorded_exchanges() {
    const auto text = runtime::read_file(TEST_VECTORS "/auth/vectors.json", 8 * 1024 * 1024);
    if (!text) throw std::runtime_error(text.error().context);
    const json::value document = json::parse(*text);
    std::vector<Recorded> out;
    for (const auto& vector : document.as_array()) {
        Recorded one;
        one.name = text_of(vector, "name");
        one.era = text_of(vector, "era");
        one.group = text_of(vector, "group");
        one.contract = text_of(vector.at("env"), "KMS_CONTRACT_ADDR");
        one.rpc_url = text_of(vector.at("env"), "ETH_RPC_URL");
        one.method = text_of(vector.at("request"), "method");
        one.path = text_of(vector.at("request"), "path");
        one.body = text_of(vector.at("request"), "body");
        one.reply_body = text_of(vector.at("response"), "body");
        one.reply_status = vector.at("response").at("status").to_number<unsigned>();
        one.quirk = vector.as_object().contains("quirk");
        for (const auto& call : vector.at("rpc").as_array()) {
            const bool failed = call.as_object().contains("error");
            const char* member = failed ? "error" : "result";
            one.calls.push_back(
                {text_of(call, "method"), text_of(call, "to"), text_of(call, "data"),
                 std::string("\"") + member + "\":" + json::serialize(call.at(member))});
        }
        out.push_back(std::move(one));
    }
    return out;
}

}  // namespace test
