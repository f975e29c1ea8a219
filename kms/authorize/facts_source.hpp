/// FactsSource: what GetMeta last knew about the chain, kept fresh by at most one exchange at a
/// time, so that a webhook that hangs, refuses or lies costs a call a bounded wait and nobody else
/// anything.
#pragma once

#include "kms/authorize/chain_facts.hpp"
#include "launcher/runtime/clock.hpp"
#include "launcher/runtime/metrics.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/any_io_executor.hpp>

namespace kms {

struct FactsCounters {
    runtime::Counter exchanges, failures, answered_from_memory;
};

class FactsSource {
  public:
    /// Asks for the facts once; must end by itself within a bounded time, whatever the peer does.
    using Ask = std::function<runtime::Task<runtime::Result<ChainFacts>>()>;
    using Facts = std::shared_ptr<const ChainFacts>;  ///< immutable, replaced whole

    /// Runs on `executor`, which must be one thread (or a strand), and is used from it. `clock`
    /// must outlive it, and what `ask` refers to must outlive the executor's last handler. `peer`
    /// names the service in log lines.
    FactsSource(boost::asio::any_io_executor executor, runtime::Clock& clock, FactsBounds bounds,
                std::string peer, Ask ask);
    ~FactsSource();

    /// The facts to answer with if no wait is called for; starts an exchange when one is due.
    /// Nothing inside = wait().
    std::optional<Facts> now();
    /// The facts after a wait of at most FactsBounds::wait, never past `deadline`; null when none
    /// were ever known.
    runtime::Task<Facts> wait(runtime::Deadline deadline);

    /// Since when the facts at hand are known to be true; nothing before the first success.
    std::optional<runtime::Duration> age() const;
    const FactsCounters& counters() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;  // shared with the exchange at work
};

}  // namespace kms
