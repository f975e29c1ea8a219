/// What the launcher tells systemd, through libsystemd. Source: sd_notify(3); spec "launcher"
/// section 7.1.
#pragma once

#include <string>

namespace launcher {

/// Remembers NOTIFY_SOCKET's presence. Sending never blocks for long (a datagram) and is never
/// fatal.
class SystemdNotifier {
  public:
    /// Sends the state; false when sending failed. The first failure is told by `failure`, later
    /// ones are silent.
    bool send(const std::string& state);
    /// A sentence about the first failed send, once; then empty.
    std::string take_failure();
    /// RELOADING=1 with the time that Type=notify-reload wants; READY=1 ends it.
    void reloading();

  private:
    std::string failure_;
    bool failed_ = false;
};

/// Whether systemd expects this process to feed a watchdog, which it never does.
bool watchdog_expected();

}  // namespace launcher
