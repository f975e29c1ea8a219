/// A simulated TDX guest: what it was started from, what its runtime events say, and the evidence
/// that it gives of itself. Pure. Source: spec "attestation" sections 4 and 7.4.
#pragma once

#include "kms/evidence/evidence.hpp"
#include "kms/evidence/report_data.hpp"
#include "kms/simulator/mock_pki.hpp"

#include <string>
#include <vector>

namespace kms::simulator {

/// The registers of a trust domain.
struct Measurements {
    Sha384 mr_td{};
    std::array<Sha384, 4> rtmr{};
};

struct QuoteRequest {
    Measurements measurements;
    ReportData report_data{};
    std::uint16_t version = 4;  ///< or 5 (TD report 1.5); a service TD makes it 5
};
/// A quote of the platform, signed by the PKI of the seed.
Bytes make_quote(const Seed& seed, const Platform& platform, const Faults& faults,
                 const QuoteRequest& request);

/// What a machine is, beyond its hardware.
struct MachineText {
    std::string name = "simulated-app";  ///< makes the compose file, and so the application id
    std::string key_provider = R"({"name":"none","id":""})";
};

class Machine {
  public:
    Machine(const Seed& seed, const MachineText& text);

    const Seed& seed() const { return seed_; }
    /// Of the platform that it runs on, in its usual state.
    Platform platform(const Faults& faults) const;

    const std::string& app_compose() const { return app_compose_; }
    const std::string& name() const { return name_; }
    Bytes app_id(const Faults& faults) const;
    Bytes compose_hash(const Faults& faults) const;
    Bytes instance_id(const Faults& faults) const;
    const Bytes& os_image_hash() const { return os_image_hash_; }
    const std::string& key_provider() const { return key_provider_; }
    std::string vm_config() const;

    /// Another event in RTMR3. At most 256 of at most 4 KiB. Errors (invalid_argument): more.
    Result<void> emit(std::string name, Bytes payload);

    std::vector<RuntimeEvent> runtime_events(const Faults& faults) const;
    Measurements measurements(const Faults& faults) const;
    /// Boot events and runtime events, with digests.
    std::vector<TdxEvent> event_log(const Faults& faults) const;
    Attestation attest(const ReportData& report_data, const Faults& faults) const;

  private:
    Seed seed_;
    std::string name_, app_compose_, key_provider_;
    Bytes os_image_hash_;
    std::vector<RuntimeEvent> emitted_;
};

}  // namespace kms::simulator
