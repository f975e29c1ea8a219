#include "launcher/control/systemd.hpp"

#include <cstring>
#include <ctime>

#include <systemd/sd-daemon.h>

namespace launcher {

bool SystemdNotifier::send(const std::string& state) {
    const int sent = sd_notify(0, state.c_str());  // 0: keep the variable; services never see it
    if (sent >= 0) return true;
    if (!failed_) failure_ = std::string("cannot notify systemd: ") + std::strerror(-sent);
    failed_ = true;
    return false;
}

std::string SystemdNotifier::take_failure() {
    return std::exchange(failure_, {});
}

void SystemdNotifier::reloading() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const auto microseconds = static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
    send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
}

bool watchdog_expected() {
    return sd_watchdog_enabled(0, nullptr) > 0;
}

}  // namespace launcher
