#include "kms/authorize/chain_facts.hpp"

#include <boost/json.hpp>

namespace kms {
namespace {

namespace json = boost::json;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;

Result<std::string> text_member(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr)
        return Error{ErrorCode::invalid_argument,
                     "the member '" + std::string(name) + "' is missing"};
    const json::string* text = value->if_string();
    if (text == nullptr)
        return Error{ErrorCode::invalid_argument,
                     "the member '" + std::string(name) + "' is not a text"};
    return std::string(*text);
}

Result<std::uint64_t> natural_member(const json::object& object, std::string_view name) {
    const json::value* value = object.if_contains(name);
    if (value == nullptr)
        return Error{ErrorCode::invalid_argument,
                     "the member '" + std::string(name) + "' is missing"};
    if (value->is_uint64()) return value->get_uint64();
    if (value->is_int64() && value->get_int64() >= 0)
        return static_cast<std::uint64_t>(value->get_int64());
    return Error{ErrorCode::invalid_argument, "the member '" + std::string(name) +
                                                  "' is not a natural number of at most 64 bits"};
}

}  // namespace

Result<ChainFacts> parse_chain_facts(std::string_view body) {
    boost::system::error_code error;
    const json::value document = json::parse(json::string_view(body.data(), body.size()), error);
    if (error)
        return Error{ErrorCode::invalid_argument, "the body is not JSON: " + error.message()};
    const json::object* object = document.if_object();
    if (object == nullptr)
        return Error{ErrorCode::invalid_argument, "the body is not a JSON object"};
    ChainFacts facts;
    TRY_VOID(text_member(*object, "status"));
    TRY(facts.kms_contract_address, text_member(*object, "kmsContractAddr"));
    TRY(facts.gateway_app_id, text_member(*object, "gatewayAppId"));
    TRY(facts.app_implementation, text_member(*object, "appImplementation"));
    TRY(facts.chain_id, natural_member(*object, "chainId"));
    if (const json::value* url = object->if_contains("ethRpcUrl"); url != nullptr)
        if (const json::string* text = url->if_string()) facts.eth_rpc_url = std::string(*text);
    return facts;
}

FactsPlan plan_facts(const FactsState& state, runtime::TimePoint now, const FactsBounds& bounds) {
    const bool known = state.known_since.has_value();
    const auto age = known ? now - *state.known_since : runtime::Duration::max();
    if (age < bounds.fresh) return {false, now};

    if (!state.exchange_since && state.failed_at && now - *state.failed_at < bounds.retry)
        return {false, now};
    FactsPlan plan{!state.exchange_since, now};
    if (known && !state.failed_at && age < bounds.settled) return plan;
    const runtime::TimePoint exchange_due = state.exchange_since.value_or(now) + bounds.wait;
    plan.wait_until = exchange_due > now ? exchange_due : now + bounds.overdue_wait;
    return plan;
}

}  // namespace kms
