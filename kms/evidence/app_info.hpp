/// Who an attested machine is: the identities and measurements that the authorisation service is
/// asked about. Source: spec "attestation" section 4.10, spec "kms-protocol" section 4.7.
#pragma once

#include "kms/evidence/evidence.hpp"

#include <optional>

namespace kms {

/// As of when: of the whole boot (keys), or of the state at "boot-mr-done" (certificates), when no
/// key provider is known.
enum class AppInfoAt { run_time, boot_time };

struct AppInfo {
    Bytes app_id;  ///< any length; whoever releases keys checks it
    Bytes compose_hash;
    Bytes instance_id;
    crypto::Hash device_id{};
    crypto::Hash mr_system{};
    crypto::Hash mr_aggregated{};
    Bytes os_image_hash;
    Bytes key_provider_info;
    std::vector<Bytes> init_script_hashes;
};

/// What is told of a machine. `device` names the hardware: the verified PPID (TDX, GCP), empty when
/// nothing was verified. `vm_config` wins over the attestation's own when it is not empty. Only for
/// TDX and GCP TDX. Errors (invalid_argument): "Failed to decode os image hash: Failed to parse vm
/// config: ..." and evidence that cannot be parsed; (unavailable): a platform whose evidence is not
/// read here.
Result<AppInfo> decode_app_info(const Attestation& attestation, AppInfoAt at, ByteView device,
                                std::string_view vm_config);

/// The member `os_image_hash` of a VM configuration; empty when it has none. Errors
/// (invalid_argument): "Failed to parse vm config: ..." with the position.
Result<Bytes> os_image_hash_of(std::string_view vm_config_json);

/// Compact JSON, hex members, with `init_script_hashes`.
std::string to_json(const AppInfo& info);

}  // namespace kms
