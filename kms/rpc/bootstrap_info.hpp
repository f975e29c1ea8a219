/// bootstrap-info.json as GetMeta shows it. Source: spec "kms-protocol" sections 6.2 and 7.1.
#pragma once

#include "kms/keys/key_directory.hpp"
#include "launcher/runtime/clock.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>
#include <time.h>

namespace kms {

/// Raw bytes.
struct BootstrapInfo {
    std::string ca_pubkey;
    std::string k256_pubkey;
    std::string
        attestation;  ///< empty in the files of releases that stored quote and event log instead

    friend bool operator==(const BootstrapInfo&, const BootstrapInfo&) = default;
};

/// Reads the file's text; nothing when it is not a JSON object with hexadecimal members. Absent
/// members are empty.
std::optional<BootstrapInfo> parse_bootstrap_info(std::string_view text);

/// The file behind a cache: it is looked at with one stat(2), and read again when that says it
/// changed.
class BootstrapInfoFile {
  public:
    /// `directory` must outlive it.
    explicit BootstrapInfoFile(const keys::KeyDirectory& directory);

    /// Looks at the file, once a millisecond at most. Whether current() has changed since the last
    /// call.
    bool refresh(runtime::WallTime now);
    /// Nothing when the file is absent or unreadable.
    const std::optional<BootstrapInfo>& current() const { return info_; }

  private:
    struct Version {
        ino_t inode = 0;
        off_t size = -1;  ///< -1 = no file
        std::int64_t modified_ns = 0;
        friend bool operator==(const Version&, const Version&) = default;
    };
    Version version_now() const;

    const keys::KeyDirectory& directory_;
    std::string path_;
    runtime::WallTime looked_at_ = runtime::WallTime::min();  ///< whole milliseconds
    std::optional<Version> read_version_;
    std::optional<BootstrapInfo> info_;
};

}  // namespace kms
