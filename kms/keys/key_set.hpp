/// KeySet: everything the key directory holds, in memory, and its form as a set of files. No file
/// is touched here. Source: spec "kms-protocol" section 7.1.
#pragma once

#include "kms/keys/root_keys.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace kms::keys {

/// The files of a key directory, in the order in which they are published. The first seven make a
/// key set; the other two may be absent.
enum class KeyFile : std::size_t {
    temp_ca_key,
    root_ca_key,
    rpc_key,
    root_k256_key,
    temp_ca_certificate,
    root_ca_certificate,
    rpc_certificate,
    rpc_domain,
    bootstrap_info,
};
inline constexpr std::size_t kKeyFileCount = 9;
inline constexpr std::size_t kRequiredKeyFileCount = 7;
inline constexpr std::array<KeyFile, kKeyFileCount> kKeyFiles{
    KeyFile::temp_ca_key,     KeyFile::root_ca_key,         KeyFile::rpc_key,
    KeyFile::root_k256_key,   KeyFile::temp_ca_certificate, KeyFile::root_ca_certificate,
    KeyFile::rpc_certificate, KeyFile::rpc_domain,          KeyFile::bootstrap_info,
};

/// "root-ca.key" and so on.
std::string_view file_name(KeyFile file);
/// Whether a key set is incomplete without it.
constexpr bool is_required(KeyFile file) {
    return static_cast<std::size_t>(file) < kRequiredKeyFileCount;
}
/// Whether only the owner may read it.
constexpr bool is_secret(KeyFile file) {
    return static_cast<std::size_t>(file) <= 3;
}

/// The contents of the files; nullopt for a file that is not there.
class KeyFiles {
  public:
    std::optional<SecretBytes>& operator[](KeyFile file) {
        return contents_[static_cast<std::size_t>(file)];
    }
    const std::optional<SecretBytes>& operator[](KeyFile file) const {
        return contents_[static_cast<std::size_t>(file)];
    }

  private:
    std::array<std::optional<SecretBytes>, kKeyFileCount> contents_;
};

/// PEM texts.
struct Certificates {
    std::string temp_ca;
    std::string root_ca;
    std::string rpc;
};

/// A key set that is consistent: each CA certificate belongs to its key. Move-only.
struct KeySet {
    RootKeys root;
    crypto::P256Key temp_ca_key;
    crypto::P256Key rpc_key;
    SecretBytes temp_ca_key_text;  ///< the file's text; every client gets it (GetTempCaCert), so it
                                   ///< protects nothing
    Certificates certificates;
    std::optional<std::string> domain;  ///< of rpc-domain, trimmed
    /// Why the stored rpc.crt cannot be served: a sentence. It is no reason to refuse the set,
    /// because rpc.crt is made anew at each start (refresh.hpp). Not set = the stored one is fine.
    std::optional<std::string> rpc_certificate_problem;
};

/// Reads the files of a complete set. Errors (invalid_argument) name the file, what is wrong and
/// what to do; they never hold a part of a key.
Result<KeySet> parse(const KeyFiles& files);
/// The files of `keys`; `bootstrap_info` is the text of bootstrap-info.json, if it is to be
/// written.
KeyFiles to_files(const KeySet& keys, const std::optional<std::string>& bootstrap_info);

}  // namespace kms::keys
