/// libsystemd, loaded when something is to be said to systemd and not before: with it come six more
/// libraries, which would cost a launcher in a container a fifth of its start and a megabyte.
#pragma once

#include "launcher/runtime/result.hpp"

struct iovec;

namespace launcher {

struct SystemdLibrary {
    int (*notify)(int unset_environment, const char* state);  ///< sd_notify(3)
    int (*watchdog_enabled)(int unset_environment,
                            unsigned long* microseconds);  ///< sd_watchdog_enabled(3)
    int (*journal_sendv)(const iovec* fields, int count);  ///< sd_journal_sendv(3)
};

/// Stays loaded to the end of the process. Any thread. Errors (unavailable): the library is not
/// there.
runtime::Result<const SystemdLibrary*> systemd_library();

}  // namespace launcher
