/// `auth-eth check`: asks one endpoint for everything that a decision rests on, once.
#pragma once

#include "auth/chain/chain_report.hpp"

namespace auth {

/// Chain id, block, contract and batches of one endpoint, in this order; ends at the first step
/// that makes the others pointless. Never waits past `deadline`. References must outlive the call.
runtime::Task<EndpointCheck> check_endpoint(runtime::HttpClient& client, runtime::Clock& clock,
                                            const ChainOptions& options, std::string url,
                                            runtime::Deadline deadline);

}  // namespace auth
