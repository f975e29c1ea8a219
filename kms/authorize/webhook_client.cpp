#include "kms/authorize/webhook_client.hpp"

#include <algorithm>

namespace kms {
namespace {

using runtime::Deadline;
using runtime::Error;
using runtime::ErrorCode;
using runtime::HttpExchange;
using runtime::HttpFault;
using runtime::Result;
using runtime::Task;

constexpr std::size_t kQuotedBody = 512;

Error no_answer(const std::string& origin, const HttpExchange& exchange) {
    ErrorCode code = ErrorCode::unavailable;
    if (exchange.fault == HttpFault::timed_out) code = ErrorCode::deadline_exceeded;
    if (exchange.fault == HttpFault::busy) code = ErrorCode::resource_exhausted;
    std::string text = "no answer from the authorisation service " + origin + ": ";
    text += to_string(exchange.fault);
    if (!exchange.fault_detail.empty()) text += " (" + exchange.fault_detail + ")";
    return {code, std::move(text)};
}

/// The beginning of a body, cut between two characters.
std::string quoted(std::string_view body) {
    std::size_t size = std::min(body.size(), kQuotedBody);
    while (size > 0 && size < body.size() &&
           (static_cast<unsigned char>(body[size]) & 0xC0) == 0x80)
        --size;
    return std::string(body.substr(0, size));
}

}  // namespace

WebhookClient::WebhookClient(runtime::HttpClient& http, runtime::Clock& clock,
                             WebhookOptions options)
    : http_(http),
      clock_(clock),
      options_(std::move(options)),
      origin_(runtime::url_origin(options_.url)) {}

runtime::HttpClientRequest WebhookClient::request() const {
    runtime::HttpClientRequest request;
    request.url = options_.url;
    request.headers.emplace_back("accept", "*/*");
    request.max_response_bytes = options_.response_bytes;
    request.connect_timeout = options_.connect_limit;
    request.use_proxy_from_environment = true;
    return request;
}

Task<Result<ChainFacts>> WebhookClient::info(Deadline deadline) {
    const auto exchange =
        co_await http_.exchange(request(), deadline.narrowed(clock_.now(), options_.info_limit));
    if (!exchange.ok()) co_return no_answer(origin_, exchange);
    // The status is not looked at, as upstream does not: an answer that holds the facts is one.
    auto facts = parse_chain_facts(exchange.body);
    if (!facts)
        co_return std::move(facts.error())
            .within("the authorisation service " + origin_ + " answered " +
                    std::to_string(exchange.status) + " without the expected facts");
    co_return std::move(*facts);
}

Task<Result<BootDecision>> WebhookClient::decide(BootKind kind, BootInfo info, Deadline deadline) {
    if (decisions_at_work_ >= options_.decisions_in_flight)
        co_return Error{ErrorCode::resource_exhausted,
                        "too many authorisations are being asked for"};
    ++decisions_at_work_;
    auto decision = co_await decide_counted(kind, std::move(info), deadline);
    --decisions_at_work_;
    co_return decision;
}

Task<Result<BootDecision>> WebhookClient::decide_counted(BootKind kind, BootInfo info,
                                                         Deadline deadline) {
    runtime::HttpClientRequest question = request();
    question.method = "POST";
    if (!question.url.ends_with('/')) question.url += '/';
    question.url += kind == BootKind::app ? "bootAuth/app" : "bootAuth/kms";
    question.headers.emplace_back("content-type", "application/json");
    question.body = boot_request_body(info);
    // A kept connection that the peer closes meanwhile would leave open whether the question was
    // asked.
    question.new_connection = true;
    const auto exchange = co_await http_.exchange(
        std::move(question), deadline.narrowed(clock_.now(), options_.decision_limit));
    if (!exchange.ok()) co_return no_answer(origin_, exchange);
    if (exchange.status < 200 || exchange.status > 299)
        co_return Error{ErrorCode::unavailable,
                        "Failed to check boot auth: " + quoted(exchange.body)};
    auto decision = parse_boot_decision(exchange.body);
    if (!decision)
        co_return std::move(decision.error())
            .within("the authorisation service " + origin_ + " gave no decision");
    co_return std::move(*decision);
}

}  // namespace kms
