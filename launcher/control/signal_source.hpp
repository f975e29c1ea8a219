/// Signals as values: from a signalfd, with what the launcher does about each. Source: spec
/// "launcher" section 1.3.
#pragma once

#include "launcher/process/descriptor.hpp"
#include "launcher/runtime/clock.hpp"

#include <memory>
#include <optional>

#include <boost/asio/any_io_executor.hpp>

namespace launcher {

struct ReceivedSignal {
    int number = 0;
    int sender_pid = 0;  ///< 0: the kernel, or a process of a namespace above
    unsigned sender_uid = 0;
};

enum class SignalReaction {
    reap,
    stop,
    stop_with_evidence,
    reload,
    evidence,
    dump_status,
    ignore,
    forward
};
/// Pure.
SignalReaction reaction_to(int signal);

class SignalSource {
  public:
    SignalSource(boost::asio::any_io_executor executor, Descriptor descriptor);
    ~SignalSource();
    /// The next signal. Waits for as long as the launcher lives; nothing when the descriptor
    /// failed.
    runtime::Task<std::optional<ReceivedSignal>> next();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace launcher
