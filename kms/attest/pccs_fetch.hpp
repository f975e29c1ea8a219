/// Fetches collateral from a PCCS or from Intel's PCS, one request after the other. Source: spec
/// "attestation" sections 2.2 to 2.4.
///
/// Errors of all functions: unavailable, deadline_exceeded, resource_exhausted; the text names the
/// request and the server, and never holds more than the first bytes of what was served.
#pragma once

#include "kms/attest/collateral_query.hpp"
#include "kms/verify/collateral.hpp"
#include "launcher/runtime/http_client.hpp"

namespace kms {

struct CollateralServer {
    std::string base_url;  ///< as collateral_base_url() gives it
    std::string ca_file;   ///< whom its TLS certificate is trusted by; empty = the system's roots
};

/// What belongs to a kind of platform: four requests.
runtime::Task<Result<Collateral>> fetch_collateral(runtime::HttpClient& http,
                                                   CollateralServer server, CollateralQuery query,
                                                   runtime::Deadline deadline);

/// The PEM chain of one platform, for a quote that only names it: one request. Errors also
/// (unauthenticated): the platform is not registered at the TCB that the quote was made with.
runtime::Task<Result<std::string>> fetch_pck_chain(runtime::HttpClient& http,
                                                   CollateralServer server, PckRequest request,
                                                   runtime::Deadline deadline);

/// All that this quote is judged by, its PCK chain included. Errors also (invalid_argument): as
/// pck_request() and collateral_query().
runtime::Task<Result<Collateral>> fetch_for_quote(runtime::HttpClient& http,
                                                  CollateralServer server, Bytes quote,
                                                  runtime::Deadline deadline);

}  // namespace kms
