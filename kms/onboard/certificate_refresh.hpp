/// CertificateRefresh: makes rpc.crt anew, with evidence, while the stored one serves. A guest
/// agent that is slow, silent or absent delays nothing but this. Source: spec "kms-protocol"
/// section 7.6.
#pragma once

#include "kms/guest/guest_agent.hpp"
#include "kms/keys/refresh.hpp"
#include "launcher/runtime/metrics.hpp"
#include "launcher/runtime/workers.hpp"

#include <chrono>
#include <functional>
#include <string>

namespace kms {

struct RefreshParts {
    keys::KeyDirectory& directory;
    const keys::KeySet& keys;
    GuestAgent& agent;
    runtime::Clock& clock;
    runtime::Workers& workers;  ///< for the disk
};
struct RefreshOptions {
    std::string configured_domain;                    ///< wins over that of rpc-domain
    std::chrono::milliseconds attempt_limit{10'000};  ///< asking the agent once
    std::chrono::milliseconds retry{5'000};           ///< a failed attempt → the next one
};

class CertificateRefresh {
  public:
    /// The parts outlive the executor's last handler.
    CertificateRefresh(RefreshParts parts, RefreshOptions options);

    /// One attempt: evidence, certificate, file. Errors: of the agent, of the disk.
    runtime::Task<runtime::Result<void>> attempt(runtime::Deadline deadline);
    /// Attempts until one succeeds, then calls `done`. Each attempt and each pause is bounded; ends
    /// early when it is cancelled. The first failure is a warning, later ones are counted.
    runtime::Task<void> run(std::function<void()> done);

    /// What is still awaited: a sentence; empty before run() and after its success.
    std::string awaited() const;
    std::uint64_t failures() const { return failures_.value(); }

  private:
    RefreshParts parts_;
    RefreshOptions options_;
    bool running_ = false;
    std::string last_error_;
    runtime::Counter failures_;
};

}  // namespace kms
