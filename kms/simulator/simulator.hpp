/// The simulator without its sockets: a machine, its faults, and the answers of the guest agent, of
/// the collateral server (PCCS) and of the switchboard that tests turn faults on with. Pure.
/// Source: spec "attestation" sections 2.3 and 7.1 to 7.5.
#pragma once

#include "kms/simulator/exchange.hpp"
#include "kms/simulator/machine.hpp"
#include "kms/verify/unix_time.hpp"

#include <string>

namespace kms::simulator {

/// Everything that can be switched while the simulator runs.
struct Switches {
    Faults faults;
    WireFault agent = WireFault::none;  ///< of the guest agent's socket
    WireFault pccs = WireFault::none;   ///< of the collateral server
    bool v1 = false;                    ///< attestations in the form V1 (MessagePack)
};
/// {"faults": ["pck-revoked"], "agent": "silent", "pccs": "none", "form": "v0"}; what is absent is
/// off. Errors (invalid_argument): another member, or a name nobody knows.
Result<Switches> parse_switches(std::string_view json);

class Simulator {
  public:
    Simulator(const Seed& seed, const MachineText& text) : machine_(seed, text) {}

    Switches& switches() { return switches_; }
    const Machine& machine() const { return machine_; }
    std::string root_pem() const;

    /// POST or GET /Attest, /GetQuote, /Info, /EmitEvent, /Version.
    Reply agent(const Request& request);
    /// GET of Intel's paths below /sgx/ and /tdx/.
    Reply pccs(const Request& request, UnixSeconds now);
    /// /simulator/switches (GET, PUT), /simulator/root.pem, /simulator/machine,
    /// /simulator/requests. Nothing when the path is another one.
    std::optional<Reply> switchboard(const Request& request);

  private:
    Reply attest(const Request& request, bool whole_quote) const;
    std::string machine_json() const;

    Machine machine_;
    Switches switches_;
    std::size_t agent_requests_ = 0, pccs_requests_ = 0;
};

}  // namespace kms::simulator
