/// Backend: who decides. The webhook's routes ask one; a policy file, a chain and a mock are the
/// ones there are.
#pragma once

#include "auth/policy/boot_request.hpp"
#include "auth/policy/decision.hpp"
#include "launcher/runtime/clock.hpp"
#include "launcher/runtime/metrics.hpp"

#include <string_view>

namespace auth {

class Backend {
  public:
    virtual ~Backend() = default;

    /// "simple", "eth", "mock": for logs and metrics.
    virtual std::string_view name() const = 0;
    /// How strictly the members of a request are read before this backend sees it.
    virtual RequestRules request_rules() const { return {}; }

    /// Facts for GET /. Neither this nor decide() waits past `deadline`, whatever the authority
    /// does.
    virtual runtime::Task<Answer<Info>> info(runtime::Deadline deadline) = 0;
    /// The decision, made anew for every request: nothing decided is ever remembered. "Allowed"
    /// only when everything it rests on was read and understood.
    virtual runtime::Task<Answer<Decision>> decide(BootKind kind, BootRequest request,
                                                   runtime::Deadline deadline) = 0;

    /// Adds this backend's families to an exposition.
    virtual void add_metrics(runtime::MetricsText& metrics) const = 0;
};

}  // namespace auth
