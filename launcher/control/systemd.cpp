#include "launcher/control/systemd.hpp"

#include "launcher/logs/systemd_library.hpp"

#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

namespace launcher {

bool SystemdNotifier::send(const std::string& state) {
    if (std::getenv("NOTIFY_SOCKET") == nullptr) return true;
    const auto library = systemd_library();
    // 0: keep the variable; services never see it
    const int sent = library ? (*library)->notify(0, state.c_str()) : 0;
    if (library && sent >= 0) return true;
    if (!failed_)
        failure_ = "cannot notify systemd: " +
                   (library ? std::string(std::strerror(-sent)) : library.error().context);
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
    if (std::getenv("WATCHDOG_USEC") == nullptr) return false;
    const auto library = systemd_library();
    // Without the library nobody can tell whom the variable is meant for: assume the worse.
    return !library || (*library)->watchdog_enabled(0, nullptr) > 0;
}

}  // namespace launcher
