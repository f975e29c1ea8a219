#include "kms/rpc/bootstrap_info.hpp"

#include "kms/rpc/decode.hpp"
#include "kms/rpc/kms.pb.h"

#include <sys/stat.h>

namespace kms {

std::optional<BootstrapInfo> parse_bootstrap_info(std::string_view text) {
    wire::BootstrapResponse message;
    if (text.empty() || !decode_json(kBootstrapResponseSchema, text, message)) return std::nullopt;
    return BootstrapInfo{message.ca_pubkey(), message.k256_pubkey(), message.attestation()};
}

BootstrapInfoFile::BootstrapInfoFile(const keys::KeyDirectory& directory)
    : directory_(directory),
      path_(directory.path() + "/" + std::string(keys::file_name(keys::KeyFile::bootstrap_info))) {}

BootstrapInfoFile::Version BootstrapInfoFile::version_now() const {
    struct stat status{};
    if (::stat(path_.c_str(), &status) != 0) return {};
    return {status.st_ino, status.st_size,
            std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

bool BootstrapInfoFile::refresh(runtime::WallTime now) {
    const auto millisecond = std::chrono::floor<std::chrono::milliseconds>(now);
    if (millisecond == looked_at_) return false;
    looked_at_ = millisecond;
    const Version version = version_now();
    if (read_version_ == version) return false;
    read_version_ = version;
    info_.reset();
    if (version.size < 0) return true;
    if (const auto text = directory_.bootstrap_info()) info_ = parse_bootstrap_info(*text);
    return true;
}

}  // namespace kms
