/// CollateralDirectory: fetched collateral on disk, one file for each kind of platform, so that a
/// KMS that starts anew waits for nobody. What it reads is as little trusted as what comes from the
/// network.
#pragma once

#include "kms/attest/collateral_query.hpp"
#include "kms/verify/collateral.hpp"
#include "kms/verify/unix_time.hpp"
#include "launcher/runtime/file_system.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kms {

struct StoredCollateral {
    CollateralQuery query;
    UnixSeconds fetched_at = 0;
    Collateral collateral;
};

/// "tdx-00906ED50000-platform.json", and back; nothing for any other name.
std::string file_name(const CollateralQuery& query);
std::optional<CollateralQuery> query_of_file_name(std::string_view name);

/// Its functions block on the disk: they are for workers. Different kinds may be stored from
/// different threads at a time.
class CollateralDirectory {
  public:
    /// `source`: the base URL of the server; files from another one are not used. Only its hash is
    /// written, because a URL may hold a password.
    CollateralDirectory(std::unique_ptr<runtime::FileSystem> files, std::string path,
                        std::string_view source);

    const std::string& path() const { return path_; }
    /// Kinds that have a file; half-written ones of an earlier process are removed. A directory
    /// that does not exist has none. Errors: the disk's.
    Result<std::vector<CollateralQuery>> list();
    /// Errors: invalid_argument (not what store() wrote, or from another server), or the disk's.
    Result<StoredCollateral> load(const CollateralQuery& query);
    /// Replaces the kind's file as a whole: a crash leaves the old or the new one. Errors: the
    /// disk's.
    Result<void> store(const StoredCollateral& stored);
    Result<void> remove(const CollateralQuery& query);

  private:
    std::string path_of(std::string_view name) const { return path_ + "/" + std::string(name); }

    std::unique_ptr<runtime::FileSystem> files_;
    std::string path_;
    std::string source_;
};

}  // namespace kms
