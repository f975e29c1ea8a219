/// The kernel's socket tables by NETLINK_SOCK_DIAG: quicker than /proc/net/tcp and with the limits
/// of listeners. Source: sock_diag(7); spec "launcher" section 6.1 step 6.
#pragma once

#include "launcher/evidence/facts.hpp"
#include "launcher/runtime/deadline.hpp"
#include "launcher/runtime/result.hpp"

#include <vector>

namespace launcher::evidence {

/// TCP and unix sockets of this network namespace, without those in TIME_WAIT; at most 20,000.
/// Errors (unavailable): the kernel or a sandbox does not allow it.
runtime::Result<std::vector<SocketFacts>> dump_sockets(runtime::Deadline deadline);

}  // namespace launcher::evidence
