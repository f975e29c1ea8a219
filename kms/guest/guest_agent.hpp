/// The guest agent's client: the only thing on the machine that can make a quote. It may be slow,
/// absent or silent, so every exchange has a time limit, a size limit and a bound on how many run.
/// Source: spec "kms-protocol" section 9.
#pragma once

#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/http_client.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace kms {

/// Where the agent listens when nobody says otherwise: the first path that exists, else the first.
/// `exists` is asked about paths.
std::string default_guest_agent_address(const std::function<bool(const std::string&)>& exists);

/// Where a call goes. Forms: "unix:/path", "http://…" or "https://…", and
/// "vsock://<cid>:<port>[/prefix]".
struct GuestAgentTarget {
    std::string base_url;     ///< without a slash at its end
    std::string unix_socket;  ///< path; empty for the other forms
    std::uint32_t vsock_cid = 0;
    std::uint32_t vsock_port = 0;  ///< 0 = no vsock
};
/// Errors (invalid_argument): none of the forms.
runtime::Result<GuestAgentTarget> guest_agent_target(std::string_view address);

struct GuestAgentOptions {
    std::string address;
    std::chrono::milliseconds limit{10'000};         ///< one exchange
    std::chrono::milliseconds connect_limit{1'000};  ///< its connection
    std::size_t in_flight = 8;                       ///< beyond: resource_exhausted, at once
    std::size_t response_bytes = 32 * 1024 * 1024;   ///< an attestation in hex is twice its size
};

class GuestAgent {
  public:
    /// Both must outlive it. To be used from the HTTP client's thread. An address of no known form
    /// shows as an error of each call.
    GuestAgent(runtime::HttpClient& http, runtime::Clock& clock, GuestAgentOptions options);

    const std::string& address() const { return options_.address; }

    /// Evidence of this machine that binds `report_data`: the bytes of a versioned attestation.
    /// Errors: deadline_exceeded, unavailable, resource_exhausted, invalid_argument (an answer of
    /// another form); the text names the address. An agent that does not know the method Attest is
    /// asked for a quote in the older form (GetQuote), of which the attestation is made.
    runtime::Task<runtime::Result<runtime::Bytes>> attest(std::array<std::uint8_t, 64> report_data,
                                                          runtime::Deadline deadline);
    /// The VM's configuration as the agent tells it; errors as attest().
    runtime::Task<runtime::Result<std::string>> vm_config(runtime::Deadline deadline);

  private:
    struct Answer {
        unsigned status = 0;
        std::string body;
    };
    runtime::Task<runtime::Result<Answer>> ask(std::string method, std::string body,
                                               runtime::Deadline deadline);
    runtime::Task<runtime::Result<runtime::Bytes>> quote_as_attestation(std::string arguments,
                                                                        runtime::Deadline deadline);
    runtime::Error refusal(const std::string& method, unsigned status) const;

    runtime::HttpClient& http_;
    runtime::Clock& clock_;
    GuestAgentOptions options_;
    runtime::Result<GuestAgentTarget> target_;
    std::size_t at_work_ = 0;
};

}  // namespace kms
