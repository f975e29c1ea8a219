/// ProbeNoise: tells the lines that a service writes because the launcher itself probed it.
/// Source: spec "launcher" section 3.6.
#pragma once

#include "launcher/logs/record_view.hpp"
#include "launcher/runtime/deadline.hpp"

#include <cstdint>
#include <deque>
#include <mutex>
#include <string>

namespace launcher::logs {

class ProbeNoise {
  public:
    /// A probe's lines are expected for this long after it was noted; then the port may be somebody
    /// else's.
    static constexpr std::chrono::seconds kMemory{15};
    static constexpr std::size_t kMaxPorts = 256, kMaxRequests = 256;

    /// A probe runs from this local port. Any thread.
    void note_port(std::uint16_t port, runtime::TimePoint now);
    /// Whether a record is provably noise: at most info, and its loopback peer is such a port or
    /// its request was one's. One thread.
    bool is_noise(const RecordView& record, runtime::TimePoint now);

  private:
    struct Port {
        std::uint16_t number;
        runtime::TimePoint until;
    };
    struct Request {
        std::string service, id;
        runtime::TimePoint until;
    };
    bool take_port(std::uint16_t port, runtime::TimePoint now);

    std::mutex mutex_;  ///< guards ports_
    std::deque<Port> ports_;
    std::deque<Request> requests_;
};

}  // namespace launcher::logs
