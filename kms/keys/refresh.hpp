/// Certificate refresh at each start. Source: spec "kms-protocol" section 7.6 (form N).
#pragma once

#include "kms/keys/key_directory.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace kms::keys {

/// CA certificates that end within this span are made anew.
inline constexpr std::chrono::hours kCaRenewalSpan{365 * 24};

/// The certificates as they should be at `now`: rpc.crt made anew for `domain`, a CA certificate
/// only when it ends within kCaRenewalSpan. Keys, serials and names stay the same. Pure.
Result<Certificates> renewed_certificates(const KeySet& keys, const std::string& domain,
                                          crypto::AttestationExtension attestation, WallTime now);

/// Renews and stores them, each file atomically, and puts them into `keys`; the answer names the
/// files that changed. The domain is `configured_domain`, or else that of rpc-domain. When this
/// fails, `keys` is as before and still fit to serve with, unless keys.rpc_certificate_problem says
/// otherwise. Errors: not_found when no domain is known; otherwise as KeyDirectory.
Result<std::vector<std::string>> refresh_certificates(KeyDirectory& directory, KeySet& keys,
                                                      const std::string& configured_domain,
                                                      crypto::AttestationExtension attestation,
                                                      WallTime now);

/// The same for the CA certificates alone, which need no evidence.
Result<std::vector<std::string>> refresh_ca_certificates(KeyDirectory& directory, KeySet& keys,
                                                         WallTime now);
/// And for rpc.crt alone, while others read `keys`: only the file changes. The answer is its text.
Result<std::string> refresh_rpc_certificate(KeyDirectory& directory, const KeySet& keys,
                                            const std::string& configured_domain,
                                            crypto::AttestationExtension attestation, WallTime now);

}  // namespace kms::keys
