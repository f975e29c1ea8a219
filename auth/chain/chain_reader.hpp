/// ChainReader: consistent reads of a contract from one of several endpoints, within one limit.
///
/// When an endpoint fails, the next is asked from the beginning, so no answer mixes two of them.
/// One that hangs uses up half of the time that is left; the last one gets all of it. Who answered
/// last is asked first; after a read that failed everywhere the next read begins with another one.
/// Source: spec "auth-api" section 5.3.
#pragma once

#include "auth/chain/chain_endpoint.hpp"

#include <deque>
#include <memory>

namespace auth {

class ChainReader {
  public:
    /// `client` and `clock` must outlive the reader. At least one endpoint.
    ChainReader(runtime::HttpClient& client, runtime::Clock& clock, ChainOptions options);
    ChainReader(const ChainReader&) = delete;
    ChainReader& operator=(const ChainReader&) = delete;

    /// Reads the chain id and the contract's answers to `call_data` (each ABI-encoded). Never waits
    /// past `deadline`. When every endpoint failed, the failure told is that of the one which
    /// stands first in the configuration.
    runtime::Task<Answer<ChainReading>> read(const std::vector<runtime::Bytes>& call_data,
                                             runtime::Deadline deadline);

    void observe(const ExchangeObserver& observer);
    const ChainOptions& options() const { return options_; }
    const std::deque<ChainEndpoint>& endpoints() const { return endpoints_; }
    std::size_t reads_at_work() const { return *at_work_; }
    std::uint64_t refused_reads() const { return refused_; }

  private:
    runtime::Task<Answer<ChainReading>> read_any(std::vector<std::string> call_data,
                                                 runtime::Deadline deadline);
    void compare_chain(const ChainReading& reading);

    runtime::Clock& clock_;
    const ChainOptions options_;
    std::deque<ChainEndpoint> endpoints_;
    std::size_t preferred_ = 0;
    /// Shared with the reads, whose coroutines may end after the reader when a program exits.
    std::shared_ptr<std::size_t> at_work_ = std::make_shared<std::size_t>(0);
    std::uint64_t refused_ = 0;
    std::optional<std::uint64_t> last_chain_id_;
    runtime::TimePoint next_chain_line_{};
};

}  // namespace auth
