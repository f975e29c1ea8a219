/// NotifySocket: the receiving end of sd_notify for one service. Source: spec "launcher"
/// section 2.3 (notify); systemd's sd_notify(3) for the form of the messages.
#pragma once

#include "launcher/runtime/result.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>

namespace launcher {

/// What a service has said about itself.
struct NotifyState {
    bool ready = false;     ///< READY=1 has come
    bool stopping = false;  ///< STOPPING=1 has come
    std::string status;     ///< the last STATUS=, at most 256 bytes, printable
};
/// Pure: one datagram of "KEY=value" lines. Keys that ask for something (WATCHDOG, MAINPID,
/// FDSTORE, …) are ignored.
void apply_notification(NotifyState& state, std::string_view message);

class NotifySocket {
  public:
    /// Binds an abstract unix datagram socket and listens on `executor` (one thread or a strand;
    /// the state is read there too). `belongs` says whether a process is part of the service;
    /// messages of others are counted and ignored. Errors (unavailable): the system's words.
    static runtime::Result<std::unique_ptr<NotifySocket>> create(
        boost::asio::any_io_executor executor, std::function<bool(int pid)> belongs);
    /// Stops listening; nothing of it runs afterwards but the end of one cancelled wait.
    ~NotifySocket();

    /// The value for the service's NOTIFY_SOCKET variable: "@…".
    const std::string& address() const;
    const NotifyState& state() const;
    bool ready() const { return state().ready; }
    unsigned strangers() const;  ///< messages that came from processes of nobody's

  private:
    struct Impl;
    explicit NotifySocket(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

}  // namespace launcher
