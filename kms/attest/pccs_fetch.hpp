/// Fetches one set of collateral: four requests, one after the other. Source: spec "attestation"
/// section 2.3.
#pragma once

#include "kms/attest/collateral_query.hpp"
#include "kms/verify/collateral.hpp"
#include "launcher/runtime/http_client.hpp"

namespace kms {

/// `base_url` as collateral_base_url() gives it. Errors: unavailable, deadline_exceeded,
/// resource_exhausted; the text names the request and the server, and never holds more than the
/// first bytes of what was served.
runtime::Task<Result<Collateral>> fetch_collateral(runtime::HttpClient& http, std::string base_url,
                                                   CollateralQuery query,
                                                   runtime::Deadline deadline);

}  // namespace kms
