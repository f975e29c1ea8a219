/// `kms-launcher run`: builds the parts bottom up, joins them, and turns signals into calls.
#pragma once

#include "launcher/plan/plan_loader.hpp"

namespace launcher {

struct RunOptions {
    bool die_with_parent = false;  ///< --pdeathsig
};

/// Runs to the end and returns the exit status. `loaded` has no errors; `sources` is read again on
/// SIGHUP. Call on the main thread before any other thread exists.
int run_launcher(LoadedPlan loaded, PlanSources sources, RunOptions options);

}  // namespace launcher
