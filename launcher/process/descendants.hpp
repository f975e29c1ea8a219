/// What the services leave behind: processes that outlive them. Source: spec "launcher"
/// section 1.6, step 3.
#pragma once

namespace launcher {

/// Signals everything that may be left: as PID 1 every other process of the namespace, else every
/// live descendant. Returns how many there were (as PID 1: how many children or descendants could
/// be seen).
int signal_descendants(int signal);

}  // namespace launcher
