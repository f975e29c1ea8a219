/// The `mock` backend: answers of a fixed kind, for tests of others. Never for a machine whose keys
/// matter.
#pragma once

#include "auth/policy/mock_policy.hpp"
#include "auth/webhook/backend.hpp"

namespace auth {

class MockBackend final : public Backend {
  public:
    /// Logs what this backend is, as a warning.
    explicit MockBackend(MockPolicy policy);

    std::string_view name() const override { return "mock"; }
    RequestRules request_rules() const override {
        return {.check_hex = false, .full_lengths = false};
    }
    runtime::Task<Answer<Info>> info(runtime::Deadline deadline) override;
    runtime::Task<Answer<Decision>> decide(BootKind kind, BootRequest request,
                                           runtime::Deadline deadline) override;
    void add_metrics(runtime::MetricsText& metrics) const override;

  private:
    MockPolicy policy_;
};

}  // namespace auth
