#include "auth/chain/chain_endpoint.hpp"

#include "auth/policy/public_url.hpp"
#include "launcher/runtime/log.hpp"

#include <utility>

namespace auth {
namespace {

using runtime::Deadline;
using runtime::kv;
using runtime::Task;
using Method = ChainCall::Method;

constexpr std::string_view kTarget = "auth::chain";
/// A refusal of batches may have been a passing trouble; it must not slow the service for ever.
constexpr auto kBatchesAgain = std::chrono::minutes(10);
constexpr auto kBetweenLines = std::chrono::seconds(10);

Failure failure(FailureKind kind) {
    return {kind, 0};
}

auto fail(Failure why, std::optional<std::chrono::seconds> retry_after = std::nullopt) {
    return tl::unexpected(ChainEndpoint::Fault{why, retry_after});
}

auto fail(const ExchangeFault& fault) {
    return tl::unexpected(
        ChainEndpoint::Fault{fault.failure, fault.retry_after, fault.stale_connection});
}

auto fail(const RpcError& error) {
    // Behind a balancer the next node may be further ahead.
    return fail(failure_of(error),
                is_lag(error) ? std::optional(std::chrono::seconds(0)) : std::nullopt);
}

ChainEndpoint::Attempt<std::string> text_of(const CallAnswer& answer) {
    if (const auto* error = std::get_if<RpcError>(&answer)) return fail(*error);
    if (const auto* text = std::get_if<std::string>(&answer)) return *text;
    return fail(failure(FailureKind::undecodable));
}

ChainEndpoint::Attempt<std::uint64_t> number_of(const CallAnswer& answer) {
    const auto text = text_of(answer);
    if (!text) return tl::unexpected(text.error());
    const auto number = parse_quantity(*text);
    if (!number) return fail(failure(FailureKind::undecodable));
    return *number;
}

/// The bytes of one contract call.
ChainEndpoint::Attempt<runtime::Bytes> data_of(const CallAnswer& answer) {
    const auto text = text_of(answer);
    if (!text) return tl::unexpected(text.error());
    auto bytes = parse_data(*text);
    if (!bytes) return fail(failure(FailureKind::undecodable));
    if (bytes->empty()) return fail(failure(FailureKind::no_contract));
    return std::move(*bytes);
}

ChainEndpoint::Attempt<std::uint64_t> header_number_of(const CallAnswer& answer) {
    const auto* header = std::get_if<BlockHeader>(&answer);
    if (header == nullptr) return number_of(answer);
    if (header->number.empty()) return fail(failure(FailureKind::state_not_available));
    return number_of(header->number);
}

}  // namespace

ChainEndpoint::ChainEndpoint(runtime::HttpClient& client, runtime::Clock& clock,
                             const ChainOptions& options, std::string url)
    : client_(client), clock_(clock), options_(options), url_(std::move(url)) {
    state_.label = public_url(url_);
    state_.takes_batches = options_.use_batches;
}

Task<Answer<ChainReading>> ChainEndpoint::read(const std::vector<std::string>& call_data,
                                               Deadline deadline) {
    auto attempt = co_await read_once(call_data, deadline, Connection::kept);
    if (!attempt && attempt.error().retry_after) {
        const auto again = clock_.now() + *attempt.error().retry_after;
        const auto connection =
            attempt.error().stale_connection ? Connection::fresh : Connection::kept;
        if (!deadline.expired(again)) {
            ++state_.retries;
            co_await clock_.sleep_until(again);
            attempt = co_await read_once(call_data, deadline, connection);
        }
    }
    if (!attempt) {
        note_failure(attempt.error().failure);
        co_return tl::unexpected(attempt.error().failure);
    }
    note_success();
    co_return std::move(*attempt);
}

Task<ChainEndpoint::Attempt<ChainReading>> ChainEndpoint::read_once(
    const std::vector<std::string>& call_data, Deadline deadline, Connection connection) {
    std::string block = options_.block.tag;
    // Separate calls at a tag could see two blocks: then, too, the number is resolved first.
    if (options_.block.confirmations != 0 || !may_batch()) {
        const auto number = co_await resolve_block(deadline, connection);
        if (!number) co_return tl::unexpected(number.error());
        block = quantity(*number);
    }
    std::vector<ChainCall> calls;
    calls.reserve(call_data.size() + 1);
    calls.push_back({.method = Method::chain_id});
    for (const auto& data : call_data)
        calls.push_back({.method = Method::contract_call,
                         .block = block,
                         .to = options_.contract,
                         .data = data});
    const auto answers = co_await ask(std::move(calls), deadline, connection);
    if (!answers) co_return tl::unexpected(answers.error());

    ChainReading reading;
    reading.endpoint = state_.label;
    const auto chain_id = number_of(answers->front());
    if (!chain_id) co_return tl::unexpected(chain_id.error());
    if (options_.chain_id && *options_.chain_id != *chain_id)
        co_return fail(failure(FailureKind::wrong_chain));
    reading.chain_id = *chain_id;
    for (std::size_t i = 1; i < answers->size(); ++i) {
        auto bytes = data_of((*answers)[i]);
        if (!bytes) co_return tl::unexpected(bytes.error());
        reading.answers.push_back(std::move(*bytes));
    }
    co_return reading;
}

Task<ChainEndpoint::Attempt<std::uint64_t>> ChainEndpoint::resolve_block(Deadline deadline,
                                                                         Connection connection) {
    const bool by_number = options_.block.confirmations != 0 || options_.block.tag == "latest";
    std::vector<ChainCall> calls;
    if (by_number)
        calls.push_back({.method = Method::block_number});
    else
        calls.push_back({.method = Method::block_header, .block = options_.block.tag});
    const auto answers = co_await ask(std::move(calls), deadline, connection);
    if (!answers) co_return tl::unexpected(answers.error());
    const auto number = header_number_of(answers->front());
    if (!number) co_return tl::unexpected(number.error());
    if (*number < options_.block.confirmations)
        co_return fail(failure(FailureKind::state_not_available));
    co_return *number - options_.block.confirmations;
}

bool ChainEndpoint::may_batch() {
    if (batches_again_at_ && clock_.now() >= *batches_again_at_) {
        batches_again_at_.reset();
        state_.takes_batches = true;
    }
    return state_.takes_batches;
}

Task<ChainEndpoint::Attempt<std::vector<CallAnswer>>> ChainEndpoint::ask(
    std::vector<ChainCall> calls, Deadline deadline, Connection connection) {
    if (calls.size() == 1 || !may_batch())
        co_return co_await ask_one_by_one(std::move(calls), deadline, connection);
    Posted posted = co_await post(calls, Form::batch, deadline, connection);
    if (!posted.fault && posted.answer.kind == RpcAnswer::Kind::answers)
        co_return std::move(posted.answer.answers);

    const bool refused = posted.fault ? posted.fault->refused_request
                                      : posted.answer.kind == RpcAnswer::Kind::refused;
    Fault why{failure(FailureKind::not_json_rpc), std::nullopt};
    if (posted.fault)
        why = fail(*posted.fault).value();
    else if (refused)
        why.failure = failure_of(posted.answer.error);
    if (!refused || why.failure.kind == FailureKind::rate_limited) co_return tl::unexpected(why);

    // Was it the batch that the endpoint did not take, or this question? One call will tell. The
    // calls of a read are then asked in a new attempt, at one block.
    const std::vector<ChainCall> first(1, calls.front());
    Posted alone = co_await post(first, Form::single, deadline, connection);
    const bool takes_calls = !alone.fault && alone.answer.kind == RpcAnswer::Kind::answers;
    if (!takes_calls) co_return tl::unexpected(why);
    state_.takes_batches = false;
    batches_again_at_ = clock_.now() + kBatchesAgain;
    runtime::log_info(kTarget, "the endpoint refuses batches and is asked call by call",
                      {kv("endpoint", state_.label), kv("for", kBatchesAgain)});
    co_return fail(why.failure, std::chrono::seconds(0));
}

Task<ChainEndpoint::Attempt<std::vector<CallAnswer>>> ChainEndpoint::ask_one_by_one(
    std::vector<ChainCall> calls, Deadline deadline, Connection connection) {
    std::vector<CallAnswer> answers;
    answers.reserve(calls.size());
    for (auto& call : calls) {
        const std::vector<ChainCall> one(1, std::move(call));
        Posted posted = co_await post(one, Form::single, deadline, connection);
        if (posted.fault) co_return fail(*posted.fault);
        if (posted.answer.kind == RpcAnswer::Kind::refused) co_return fail(posted.answer.error);
        if (posted.answer.kind == RpcAnswer::Kind::malformed)
            co_return fail(failure(FailureKind::not_json_rpc));
        answers.push_back(std::move(posted.answer.answers.front()));
    }
    co_return answers;
}

Task<ChainEndpoint::Posted> ChainEndpoint::post(const std::vector<ChainCall>& calls, Form form,
                                                Deadline deadline, Connection connection) {
    const std::uint64_t first_id = next_id_;
    next_id_ += calls.size();
    runtime::HttpClientRequest request;
    request.method = "POST";
    request.url = url_;
    request.headers.emplace_back("content-type", "application/json");
    request.body = form == Form::batch ? batch_request(calls, first_id)
                                       : single_request(calls.front(), first_id);
    request.max_response_bytes = options_.max_answer_bytes;
    request.connect_timeout = options_.connect_limit;
    request.tls.ca_file = options_.ca_file;
    request.new_connection = connection == Connection::fresh;
    const auto began = clock_.now();
    const runtime::HttpExchange exchange = co_await client_.exchange(
        std::move(request), deadline.narrowed(began, options_.exchange_limit));
    state_.exchange_seconds.observe(std::chrono::duration<double>(clock_.now() - began).count());

    Posted posted;
    posted.fault = judge(exchange);
    if (!posted.fault)
        posted.answer = form == Form::batch ? parse_batch(exchange.body, calls, first_id)
                                            : parse_single(exchange.body, calls.front(), first_id);
    tell(calls, exchange, posted.answer);
    co_return posted;
}

/// Shows an exchange to whoever looks on, and to the log at debug level when it went wrong.
void ChainEndpoint::tell(const std::vector<ChainCall>& calls, const runtime::HttpExchange& exchange,
                         const RpcAnswer& answer) const {
    if (observer_)
        observer_({state_.label, calls, exchange.status, exchange.fault_detail, exchange.times,
                   exchange.reused_connection, answer});
    if (!runtime::log_enabled(runtime::LogLevel::debug, kTarget)) return;
    constexpr std::size_t kMostWords = 256;
    const auto log = [&](std::string_view call, std::string_view words) {
        runtime::log_debug(
            kTarget, "an exchange failed",
            {kv("endpoint", state_.label), kv("call", call), kv("status", exchange.status),
             kv("detail", words.substr(0, kMostWords))});
    };
    if (!exchange.ok())
        log("", exchange.fault_detail);
    else if (answer.kind == RpcAnswer::Kind::refused)
        log("", answer.error.message);
    else if (answer.kind == RpcAnswer::Kind::malformed)
        log("", "the body is not the answer to these calls");
    for (std::size_t i = 0; i < answer.answers.size(); ++i)
        if (const auto* error = std::get_if<RpcError>(&answer.answers[i]))
            log(method_name(calls[i].method), error->message);
}

void ChainEndpoint::note_success() {
    ++state_.reads_ok;
    state_.failing = false;
    if (!told_failing_) return;
    told_failing_ = false;
    runtime::log_info(kTarget, "the chain endpoint answers again",
                      {kv("endpoint", state_.label), kv("failures", failures_untold_)});
    failures_untold_ = 0;
}

void ChainEndpoint::note_failure(const Failure& why) {
    ++state_.failures.at(static_cast<std::size_t>(why.kind));
    state_.failing = true;
    ++failures_untold_;
    const auto now = clock_.now();
    if (now < next_line_) return;
    next_line_ = now + kBetweenLines;
    told_failing_ = true;
    runtime::log_warn(kTarget, "the chain endpoint failed",
                      {kv("endpoint", state_.label), kv("reason", to_string(why)),
                       kv("failures", failures_untold_)});
    failures_untold_ = 0;
}

}  // namespace auth
