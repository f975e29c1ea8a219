/// The `eth` backend: the authority is a contract on a chain.
///
/// Allowed only when chain id, verdict and gateway id were all read from one endpoint at one block
/// and understood. Source: spec "auth-api" sections 2 and 5.3.
#pragma once

#include "auth/chain/chain_reader.hpp"
#include "auth/webhook/backend.hpp"

namespace auth {

class EthBackend final : public Backend {
  public:
    /// `contract_text` is shown by GET / as it was configured. `client` and `clock` must outlive
    /// this object.
    EthBackend(runtime::HttpClient& client, runtime::Clock& clock, ChainOptions options,
               std::string contract_text);

    std::string_view name() const override { return "eth"; }
    runtime::Task<Answer<Info>> info(runtime::Deadline deadline) override;
    runtime::Task<Answer<Decision>> decide(BootKind kind, BootRequest request,
                                           runtime::Deadline deadline) override;
    void add_metrics(runtime::MetricsText& metrics) const override;

    ChainReader& reader() { return reader_; }

  private:
    ChainReader reader_;
    std::string contract_text_;
};

/// The decision in the contract's two answers. Pure.
Answer<Decision> decision_from(const ChainReading& reading);

}  // namespace auth
