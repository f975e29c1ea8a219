/// The `simple` backend: decides by a policy file, without a chain.
#pragma once

#include "auth/webhook/backend.hpp"
#include "auth/webhook/policy_file.hpp"

namespace auth {

class SimpleBackend final : public Backend {
  public:
    /// Looks at the policy file at once, so that its state is in the log of the start.
    SimpleBackend(std::string policy_path, const runtime::Clock& clock);

    std::string_view name() const override { return "simple"; }
    runtime::Task<Answer<Info>> info(runtime::Deadline deadline) override;
    runtime::Task<Answer<Decision>> decide(BootKind kind, BootRequest request,
                                           runtime::Deadline deadline) override;
    void add_metrics(runtime::MetricsText& metrics) const override { file_.add_metrics(metrics); }

  private:
    PolicyFile file_;
};

}  // namespace auth
