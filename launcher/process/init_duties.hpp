/// What the launcher does to itself before it starts anything, in the order of spec "launcher"
/// section 1.1. All of it runs on the main thread before other threads exist.
#pragma once

#include "launcher/process/descriptor.hpp"
#include "launcher/runtime/result.hpp"

#include <cstdint>

namespace launcher {

/// Blocks all signals except those that report faults, ignores SIGPIPE, and opens a signalfd for
/// the blocked ones. Threads made later inherit the mask. Errors: internal.
runtime::Result<Descriptor> take_over_signals();
/// Opens /dev/null on descriptors 0, 1 and 2 where they are closed, so that no file of ours ever
/// gets these numbers.
void open_standard_descriptors();
/// Orphans of the services come to this process even when it is not PID 1. False when the kernel
/// refused.
bool become_subreaper();
/// Raises the soft limit of descriptors to the hard one, and returns the soft limit that was in
/// force.
std::uint64_t raise_descriptor_limit();
/// The launcher itself gets SIGKILL when the thread that started it ends.
void die_with_parent();

}  // namespace launcher
