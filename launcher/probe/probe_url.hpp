/// Addresses of probes: what a URL names, as plain values. Pure. Source: RFC 3986 section 3; spec
/// "launcher" section 2.3.
#pragma once

#include "launcher/plan/plan.hpp"
#include "launcher/runtime/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace launcher {

/// The parts of "scheme://host:port/path?query".
struct ProbeTarget {
    std::string scheme;      ///< lower case
    std::string host;        ///< without the brackets of an IPv6 address
    std::uint16_t port = 0;  ///< 0 when the URL names none
    std::string authority;   ///< as a Host header wants it: "host", "host:port", "[::1]:9100"
    std::string target;      ///< path and query, at least "/"; the fragment is left out
};

/// Errors (invalid_argument): no scheme, no host, user info, a port that is no port, blanks or
/// bytes that are not ASCII.
runtime::Result<ProbeTarget> parse_target(std::string_view url);

/// The probe that a person asks for by URL: http://, https://, http-auto://, tcp://host:port,
/// tls://host:port, unix:/path. Everything else of the plan keeps its defaults. Errors: as
/// parse_target, and unknown schemes.
runtime::Result<ProbePlan> probe_plan_from_url(std::string_view url);

}  // namespace launcher
