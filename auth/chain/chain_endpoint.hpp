/// ChainEndpoint: the conversation with one JSON-RPC endpoint.
///
/// A read is one batch at one block. An endpoint that refuses batches is remembered for a while and
/// asked call by call, at a block number that is resolved anew for each read. A failed read is
/// tried once more where a second try may help. No answer is kept: what is remembered is counters,
/// and whether batches are taken. Source: spec "auth-api" sections 2.5 and 5.3.
#pragma once

#include "auth/chain/chain_options.hpp"
#include "auth/chain/exchange_outcome.hpp"
#include "auth/chain/json_rpc.hpp"
#include "launcher/runtime/http_client.hpp"
#include "launcher/runtime/metrics.hpp"

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace auth {

/// One HTTP exchange as it was, for the commands that show operators what happened.
struct ExchangeSeen {
    std::string endpoint;  ///< scheme, host and port
    std::vector<ChainCall> calls;
    unsigned status = 0;
    std::string fault;  ///< words, without credentials; empty when there was an answer
    runtime::HttpStageTimes times;
    bool reused_connection = false;
    RpcAnswer answer;  ///< as it was understood
};
using ExchangeObserver = std::function<void(const ExchangeSeen&)>;

struct ChainReading {
    std::uint64_t chain_id = 0;
    std::vector<runtime::Bytes> answers;  ///< of the contract calls, in their order; none is empty
    std::string endpoint;                 ///< scheme, host and port of who answered
};

/// What is told of one endpoint.
struct EndpointState {
    std::string label;  ///< scheme, host and port; never credentials
    bool takes_batches = true;
    bool failing = false;  ///< whether the last read failed
    std::uint64_t reads_ok = 0;
    std::uint64_t retries = 0;
    std::array<std::uint64_t, kFailureKinds> failures{};
    runtime::DurationHistogram exchange_seconds;
};

class ChainEndpoint {
  public:
    /// All references must outlive the endpoint.
    ChainEndpoint(runtime::HttpClient& client, runtime::Clock& clock, const ChainOptions& options,
                  std::string url);
    ChainEndpoint(const ChainEndpoint&) = delete;
    ChainEndpoint& operator=(const ChainEndpoint&) = delete;

    /// Reads the chain id and the contract's answers to `call_data` ("0x" and hex digits each).
    /// Never waits past `deadline`. The outcome is counted and, if it is news, logged.
    runtime::Task<Answer<ChainReading>> read(const std::vector<std::string>& call_data,
                                             runtime::Deadline deadline);

    struct Fault {
        Failure failure;
        std::optional<std::chrono::seconds> retry_after;  ///< nothing: a second try is pointless
        bool stale_connection = false;  ///< the second try must not use a kept one
    };
    template <class T>
    using Attempt = tl::expected<T, Fault>;
    /// Whether a kept connection may carry an exchange.
    enum class Connection { kept, fresh };
    /// One answer per call, errors of single calls among them; no retry, nothing counted as a read.
    runtime::Task<Attempt<std::vector<CallAnswer>>> ask(std::vector<ChainCall> calls,
                                                        runtime::Deadline deadline,
                                                        Connection connection = Connection::kept);
    /// The block at which the options want the chain to be read now.
    runtime::Task<Attempt<std::uint64_t>> resolve_block(runtime::Deadline deadline,
                                                        Connection connection = Connection::kept);

    void observe(ExchangeObserver observer) { observer_ = std::move(observer); }
    const EndpointState& state() const { return state_; }

  private:
    struct Posted {
        std::optional<ExchangeFault> fault;
        RpcAnswer answer;
    };
    enum class Form { batch, single };

    bool may_batch();
    runtime::Task<Attempt<ChainReading>> read_once(const std::vector<std::string>& call_data,
                                                   runtime::Deadline deadline,
                                                   Connection connection);
    runtime::Task<Attempt<std::vector<CallAnswer>>> ask_one_by_one(std::vector<ChainCall> calls,
                                                                   runtime::Deadline deadline,
                                                                   Connection connection);
    runtime::Task<Posted> post(const std::vector<ChainCall>& calls, Form form,
                               runtime::Deadline deadline, Connection connection);
    void tell(const std::vector<ChainCall>& calls, const runtime::HttpExchange& exchange,
              const RpcAnswer& answer) const;
    void note_success();
    void note_failure(const Failure& failure);

    runtime::HttpClient& client_;
    runtime::Clock& clock_;
    const ChainOptions& options_;
    std::string url_;
    EndpointState state_;
    ExchangeObserver observer_;
    std::uint64_t next_id_ = 1;
    std::optional<runtime::TimePoint> batches_again_at_;  ///< set while batches are refused

    // Log lines: an outage is told when it begins, now and then while it lasts, and when it ends.
    runtime::TimePoint next_line_{};
    std::uint64_t failures_untold_ = 0;
    bool told_failing_ = false;
};

}  // namespace auth
