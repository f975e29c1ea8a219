#include "launcher/logs/systemd_library.hpp"

#include <cstdint>
#include <string>
#include <type_traits>

#include <dlfcn.h>
#include <sys/uio.h>

// Only for their types: the functions are looked up at run time. No place in a file is to be sent.
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-daemon.h>
#include <systemd/sd-journal.h>

namespace launcher {
namespace {

constexpr const char* kLibrary = "libsystemd.so.0";

static_assert(std::is_same_v<decltype(&sd_notify), decltype(SystemdLibrary::notify)>);
static_assert(std::is_same_v<decltype(&sd_journal_sendv), decltype(SystemdLibrary::journal_sendv)>);
static_assert(sizeof(std::uint64_t) == sizeof(unsigned long));

template <class Function>
bool look_up(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    return function != nullptr;
}

runtime::Result<SystemdLibrary> load() {
    void* library = ::dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    SystemdLibrary functions{};
    if (library != nullptr && look_up(library, "sd_notify", functions.notify) &&
        look_up(library, "sd_watchdog_enabled", functions.watchdog_enabled) &&
        look_up(library, "sd_journal_sendv", functions.journal_sendv))
        return functions;
    const char* reason = ::dlerror();
    return runtime::Error{runtime::ErrorCode::unavailable,
                          std::string("cannot load ") + kLibrary + ": " +
                              (reason != nullptr ? reason : "a function is missing") +
                              "; install libsystemd0"};
}

}  // namespace

runtime::Result<const SystemdLibrary*> systemd_library() {
    static const runtime::Result<SystemdLibrary> loaded = load();
    if (!loaded) return loaded.error();
    return &*loaded;
}

}  // namespace launcher
