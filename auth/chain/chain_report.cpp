#include "auth/chain/chain_report.hpp"

#include "auth/abi/abi.hpp"
#include "auth/policy/json_text.hpp"
#include "auth/policy/public_url.hpp"

#include <algorithm>
#include <cstdio>

namespace auth {
namespace {

constexpr std::size_t kMostShown = 512;  // bytes of a text that somebody else wrote

std::string quoted(std::string text, const std::vector<std::string>& secrets) {
    text = without_secrets(std::move(text), secrets);
    if (text.size() <= kMostShown) return json_text(text);
    std::size_t end = kMostShown;  // not within a character
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return json_text(text.substr(0, end)) + "… (" + std::to_string(text.size()) + " bytes)";
}

/// What the bytes of a contract call mean, or what is wrong with them.
std::string meaning(std::string_view function, const std::string& result,
                    const std::vector<std::string>& secrets) {
    const auto bytes = parse_data(result);
    if (!bytes) return "not hexadecimal data";
    if (bytes->empty()) return "nothing: there is no contract at the address";
    if (function == "isAppAllowed" || function == "isKmsAllowed") {
        const auto verdict = abi::decode_verdict(*bytes);
        if (!verdict) return "undecodable: " + verdict.error().context;
        return (verdict->is_allowed ? "allowed" : "not allowed") + std::string(", reason ") +
               quoted(verdict->reason, secrets);
    }
    const auto text =
        function == "gatewayAppId" ? abi::decode_text(*bytes) : abi::decode_address(*bytes);
    if (!text) return "undecodable: " + text.error().context;
    return quoted(*text, secrets);
}

std::string name_of(const ChainCall& call) {
    std::string name(method_name(call.method));
    if (call.method == ChainCall::Method::contract_call) {
        const auto data = parse_data(call.data);
        name.append(" ").append(abi::called_function(data ? *data : runtime::Bytes{}));
    }
    if (!call.block.empty()) name.append(" at ").append(call.block);
    return name;
}

std::string result_text(const ChainCall& call, const CallAnswer& answer,
                        const std::vector<std::string>& secrets) {
    if (const auto* error = std::get_if<RpcError>(&answer))
        return to_string(failure_of(*error)) + ": error " + std::to_string(error->code) + " " +
               quoted(error->message, secrets);
    if (const auto* header = std::get_if<BlockHeader>(&answer))
        return header->number.empty() ? "no such block" : quoted(header->number, secrets);
    const auto& text = std::get<std::string>(answer);
    std::string out = quoted(text, secrets);
    if (call.method == ChainCall::Method::contract_call) {
        const auto data = parse_data(call.data);
        const auto function = abi::called_function(data ? *data : runtime::Bytes{});
        return out + "\n      = " + meaning(function, text, secrets);
    }
    const auto number = parse_quantity(text);
    return out + " = " + (number ? std::to_string(*number) : "not a number");
}

std::string padded(std::string text, std::size_t width) {
    // Columns count characters, not bytes.
    const auto characters =
        static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
            return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
        }));
    return characters < width ? text.append(width - characters, ' ') : text;
}

}  // namespace

bool EndpointCheck::good() const {
    return !steps.empty() &&
           std::all_of(steps.begin(), steps.end(), [](const CheckStep& step) { return step.good; });
}

std::string span_text(std::chrono::microseconds span) {
    std::string text(32, '\0');
    const double milliseconds = static_cast<double>(span.count()) / 1000.0;
    const bool long_one = milliseconds >= 1000.0;
    const int size =
        std::snprintf(text.data(), text.size(), "%.3f %s",
                      long_one ? milliseconds / 1000.0 : milliseconds, long_one ? "s" : "ms");
    text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    return text;
}

std::string to_table(const std::vector<EndpointCheck>& checks) {
    std::size_t what = 0;
    std::size_t took = 0;
    for (const auto& check : checks)
        for (const auto& step : check.steps) {
            what = std::max(what, step.what.size());
            if (step.took) took = std::max(took, span_text(*step.took).size());
        }
    std::string out;
    for (std::size_t i = 0; i < checks.size(); ++i) {
        const auto& check = checks[i];
        out.append(i == 0 ? "" : "\n").append("endpoint " + std::to_string(i + 1) + "  ");
        out.append(check.label).append("\n");
        for (const auto& step : check.steps) {
            out.append(step.good ? "  ok    " : "  FAIL  ")
                .append(padded(step.what, what))
                .append("  ");
            const auto span = step.took ? span_text(*step.took) : "";
            out.append(took - span.size(), ' ').append(span).append("  ").append(step.answer);
            out.append("\n");
        }
        for (const auto& step : check.steps)
            if (!step.advice.empty())
                out.append("  ").append(step.what).append(": ").append(step.advice).append("\n");
    }
    return out;
}

std::string to_text(const ExchangeSeen& seen, const std::vector<std::string>& secrets) {
    std::string out = seen.endpoint + ": ";
    out += seen.fault.empty() ? "HTTP " + std::to_string(seen.status)
                              : without_secrets(seen.fault, secrets);
    out += " after " + span_text(seen.times.total);
    out += seen.reused_connection ? ", on a kept connection\n" : ", on a new connection\n";
    if (seen.answer.kind == RpcAnswer::Kind::refused)
        out += "  refused: error " + std::to_string(seen.answer.error.code) + " " +
               quoted(seen.answer.error.message, secrets) + "\n";
    const bool answered = seen.answer.kind == RpcAnswer::Kind::answers;
    const bool has_body = seen.fault.empty() && seen.status >= 200 && seen.status < 300;
    if (has_body && seen.answer.kind == RpcAnswer::Kind::malformed)
        out += "  the body is not the answer to these calls:\n";
    for (std::size_t i = 0; i < seen.calls.size(); ++i) {
        out += "  " + name_of(seen.calls[i]);
        if (answered && i < seen.answer.answers.size())
            out += ": " + result_text(seen.calls[i], seen.answer.answers[i], secrets);
        out += "\n";
    }
    return out;
}

std::string advice_for(const Failure& failure) {
    switch (failure.kind) {
        case FailureKind::cannot_resolve:
            return "check the spelling of ETH_RPC_URL and the machine's DNS servers";
        case FailureKind::cannot_connect:
            return "check that the endpoint runs, that its port is right, and that no firewall is "
                   "between";
        case FailureKind::timed_out:
            return "the endpoint is silent or too slow: use a nearer one, or add a second one to "
                   "ETH_RPC_URL";
        case FailureKind::rate_limited:
            return "the endpoint limits your requests: use a plan or an endpoint of your own, or "
                   "add a second one to ETH_RPC_URL";
        case FailureKind::http_status:
            if (failure.code == 401 || failure.code == 403)
                return "the endpoint does not accept the key in ETH_RPC_URL";
            if (failure.code == 404) return "check the path in ETH_RPC_URL";
            if (failure.code >= 300 && failure.code < 400)
                return "redirects are not followed: put the final address into ETH_RPC_URL";
            return "the endpoint or a proxy before it has trouble: see its logs or status page";
        case FailureKind::not_json_rpc:
            return "something else than an Ethereum JSON-RPC endpoint answers there: check "
                   "ETH_RPC_URL";
        case FailureKind::rpc_error:
            return "the endpoint refuses the call: auth-eth decide shows its words";
        case FailureKind::reverted:
            return "the contract refuses the call: check that KMS_CONTRACT_ADDR is the KMS "
                   "contract, not another one";
        case FailureKind::no_contract:
            return "there is no contract at KMS_CONTRACT_ADDR on this chain at this block: check "
                   "the address and the chain";
        case FailureKind::undecodable:
            return "the contract at KMS_CONTRACT_ADDR answers something else: check the address";
        case FailureKind::wrong_chain:
            return "the endpoint serves another chain than ETH_CHAIN_ID says: check both";
        case FailureKind::state_not_available:
            return "the endpoint does not have the block: it lags, is not synchronised, or the "
                   "chain is younger than ETH_FINALITY_CONFIRMATIONS or AUTH_ETH_BLOCK ask for";
        case FailureKind::busy:
            return "too many questions are under way: raise eth.max_reads, or find out who asks so "
                   "much";
    }
    return "";
}

}  // namespace auth
