/// Making a key set, and what a start does with the key directory. Source: spec "kms-protocol"
/// sections 7.2 and 7.3.
#pragma once

#include "kms/keys/key_directory.hpp"

#include <string>

namespace kms::keys {

/// Private keys before there are certificates. The attestation of rpc.crt binds the RPC key, so it
/// is asked for in between.
struct NewKeys {
    RootKeys root;
    crypto::P256Key temp_ca_key;
    crypto::P256Key rpc_key;

    /// All of them new and random.
    static Result<NewKeys> generate();
};

/// Whether this can be the name in rpc.crt: 1 to 253 printable ASCII characters without spaces.
/// Errors (invalid_argument): it cannot.
Result<void> check_domain(std::string_view domain);

/// Makes the three certificates. `domain` becomes the name in rpc.crt: 1 to 253 printable ASCII
/// characters without spaces; `attestation` goes into rpc.crt.
Result<KeySet> make_key_set(NewKeys keys, const std::string& domain,
                            crypto::AttestationExtension attestation, WallTime now);

/// How a start came to its keys.
enum class KeyOrigin {
    loaded,    ///< they were there
    finished,  ///< an interrupted bootstrap was completed first
    created,   ///< new keys were made and stored
};
struct OpenedKeys {
    KeySet keys;
    KeyOrigin origin;
};

/// The keys to serve with: loads a complete set, completes an interrupted one, or, when the
/// directory is empty and `auto_bootstrap_domain` is not, makes a new set without attestation.
/// Never waits for anything but the disk. Errors: not_found when there are no keys and none are to
/// be made; otherwise as KeyDirectory.
Result<OpenedKeys> open_keys(KeyDirectory& directory, const std::string& auto_bootstrap_domain,
                             WallTime now);

}  // namespace kms::keys
