/// A listener of the simulator: takes one request per connection and answers it the way it was told
/// to, rightly or with a fault of the wire. Every connection ends within a bound.
#pragma once

#include "kms/simulator/exchange.hpp"
#include "launcher/runtime/clock.hpp"

#include <functional>
#include <string>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

namespace kms::simulator {

struct Answer {
    Reply reply;
    WireFault fault = WireFault::none;
};
using Answerer = std::function<Answer(const Request&)>;

struct ListenerBounds {
    std::chrono::milliseconds request{10'000};      ///< connection → complete request
    std::chrono::milliseconds connection{600'000};  ///< also of one that is answered with silence
    std::size_t connections = 1024;                 ///< beyond: closed at once
};

class Listener {
  public:
    /// Everything runs on `io`, which is one thread. Both must outlive it.
    Listener(boost::asio::io_context& io, runtime::Clock& clock, Answerer answerer,
             ListenerBounds bounds = {});
    ~Listener();

    /// "unix:/path" (mode 0777 as the guest agent's; a stale socket is replaced) or
    /// "127.0.0.1:port"; port 0 takes a free one. Errors (unavailable): a sentence.
    runtime::Result<void> listen(const std::string& address);
    std::uint16_t port() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace kms::simulator
