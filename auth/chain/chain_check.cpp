#include "auth/chain/chain_check.hpp"

#include "auth/abi/abi.hpp"
#include "auth/policy/json_text.hpp"
#include "auth/policy/public_url.hpp"

#include <utility>

namespace auth {
namespace {

using runtime::Deadline;
using runtime::Task;
using Method = ChainCall::Method;
using std::chrono::microseconds;

constexpr std::chrono::seconds kOldBlock{300};
constexpr microseconds kSlow{1'000'000};
constexpr std::size_t kMostShown = 80;

/// Runs the steps against one endpoint and keeps what the last exchange looked like.
class Check {
  public:
    Check(runtime::HttpClient& client, runtime::Clock& clock, const ChainOptions& options,
          std::string url, Deadline deadline)
        : clock_(clock),
          options_(options),
          secrets_(url_secrets(url)),
          endpoint_(client, clock, options, std::move(url)),
          deadline_(deadline) {
        endpoint_.observe([this](const ExchangeSeen& seen) {
            took_ += seen.times.total;
            last_ = seen;
        });
    }

    Task<EndpointCheck> run() {
        out_.label = endpoint_.state().label;
        bool good = co_await chain_id();
        if (good) good = co_await block();
        if (good) good = co_await contract();
        if (good) batches();
        co_return std::move(out_);
    }

  private:
    Task<bool> chain_id() {
        const ChainCall call{.method = Method::chain_id};
        const auto answers = co_await ask(call);
        if (!answers) co_return failed("chain id", answers.error().failure);
        const auto* text = std::get_if<std::string>(&answers->front());
        const auto number = text == nullptr ? std::nullopt : parse_quantity(*text);
        if (!number) co_return failed("chain id", error_in(answers->front()));
        if (options_.chain_id && *options_.chain_id != *number) {
            failed("chain id", {FailureKind::wrong_chain, 0});
            out_.steps.back().answer +=
                ": " + std::to_string(*number) + ", not " + std::to_string(*options_.chain_id);
            co_return true;  // the rest tells which chain it is
        }
        std::string advice;
        if (!options_.chain_id)
            advice = "any chain is accepted; set ETH_CHAIN_ID=" + std::to_string(*number) +
                     " to accept this one only";
        co_return good("chain id", std::to_string(*number), std::move(advice));
    }

    Task<bool> block() {
        const std::string what = options_.block.confirmations != 0
                                     ? "block head-" + std::to_string(options_.block.confirmations)
                                     : "block " + options_.block.tag;
        std::string name = options_.block.tag;
        if (options_.block.confirmations != 0) {
            took_ = microseconds(0);
            const auto number = co_await endpoint_.resolve_block(deadline_);
            if (!number) co_return failed(what, number.error().failure);
            name = quantity(*number);
        }
        const ChainCall call{.method = Method::block_header, .block = std::move(name)};
        const auto answers = co_await ask(call);
        if (!answers) co_return failed(what, answers.error().failure);
        const auto* header = std::get_if<BlockHeader>(&answers->front());
        const auto number = header == nullptr ? std::nullopt : parse_quantity(header->number);
        const auto made = header == nullptr ? std::nullopt : parse_quantity(header->timestamp);
        if (!number || !made) co_return failed(what, error_in(answers->front()));
        const auto now =
            std::chrono::duration_cast<std::chrono::seconds>(clock_.wall_now().time_since_epoch());
        const auto age = now - std::chrono::seconds(*made);
        std::string advice;
        if (age > kOldBlock)
            advice =
                "the block is old: the endpoint may lag, or be a light client that is not "
                "ready; a test chain makes blocks only when it is used";
        co_return good(what,
                       std::to_string(*number) + ", " + std::to_string(age.count()) + " s old",
                       std::move(advice));
    }

    Task<bool> contract() {
        std::vector<std::string> calls;
        calls.push_back("0x" + runtime::to_hex(abi::encode_gateway_app_id_call()));
        calls.push_back("0x" + runtime::to_hex(abi::encode_app_implementation_call()));
        took_ = microseconds(0);
        const auto reading = co_await endpoint_.read(calls, deadline_);
        const std::string what = "contract " + options_.contract;
        if (!reading) {
            // The chain's number has had its own line.
            if (reading.error().kind == FailureKind::wrong_chain) co_return true;
            co_return failed(what, reading.error());
        }
        const auto gateway = abi::decode_text(reading->answers.at(0));
        const auto implementation = abi::decode_address(reading->answers.at(1));
        if (!gateway || !implementation) co_return failed(what, {FailureKind::undecodable, 0});
        good(what, "answers", took_ > kSlow ? "the endpoint is slow: use a nearer one" : "");
        took_ = microseconds(0);
        good("gateway app id", json_text(gateway->substr(0, kMostShown)),
             gateway->empty() ? "the contract names no gateway: guests cannot set up one" : "");
        co_return good("app implementation", *implementation);
    }

    void batches() {
        const bool taken = endpoint_.state().takes_batches;
        took_ = microseconds(0);
        if (!options_.use_batches)
            good("batches", "switched off", "a decision takes four exchanges instead of one");
        else if (taken)
            good("batches", "accepted");
        else
            good("batches", "refused", "a decision takes four exchanges instead of one");
    }

    /// By reference: GCC 12 destroys an aggregate twice that is written as a coroutine's argument.
    Task<ChainEndpoint::Attempt<std::vector<CallAnswer>>> ask(const ChainCall& call) {
        took_ = microseconds(0);
        const std::vector<ChainCall> calls(1, call);
        co_return co_await endpoint_.ask(calls, deadline_);
    }

    /// Why an answer is not what was asked for.
    static Failure error_in(const CallAnswer& answer) {
        if (const auto* error = std::get_if<RpcError>(&answer)) return failure_of(*error);
        if (std::holds_alternative<BlockHeader>(answer))
            return {FailureKind::state_not_available, 0};
        return {FailureKind::undecodable, 0};
    }

    bool good(std::string what, std::string answer, std::string advice = "") {
        add(std::move(what), std::move(answer), true, std::move(advice));
        return true;
    }
    bool failed(std::string what, const Failure& failure) {
        std::string advice = advice_for(failure);
        if (!last_.fault.empty()) advice = without_secrets(last_.fault, secrets_) + "; " + advice;
        add(std::move(what), to_string(failure), false, std::move(advice));
        return false;
    }
    void add(std::string what, std::string answer, bool is_good, std::string advice) {
        CheckStep step{std::move(what), std::move(answer), std::nullopt, is_good,
                       std::move(advice)};
        if (took_.count() > 0) step.took = took_;
        out_.steps.push_back(std::move(step));
    }

    runtime::Clock& clock_;
    const ChainOptions& options_;
    std::vector<std::string> secrets_;
    ChainEndpoint endpoint_;
    Deadline deadline_;
    ExchangeSeen last_;
    microseconds took_{0};
    EndpointCheck out_;
};

}  // namespace

Task<EndpointCheck> check_endpoint(runtime::HttpClient& client, runtime::Clock& clock,
                                   const ChainOptions& options, std::string url,
                                   Deadline deadline) {
    Check check(client, clock, options, std::move(url), deadline);
    co_return co_await check.run();
}

}  // namespace auth
