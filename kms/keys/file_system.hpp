/// FileSystem: the seam between the key directory and the disk.
///
/// Each method is one step that can fail or be interrupted, no more: what a crash between any two
/// of them leaves behind is what tests/unit/kms/keys_crash_test.cpp looks at.
#pragma once

#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/secret.hpp"

#include <memory>
#include <string>
#include <vector>

namespace kms::keys {

/// Errors of all methods: not_found (no such file or directory), unavailable (the disk is full, the
/// file exists already, permission is denied, ...). The text holds the path and the system's
/// reason.
class FileSystem {
  public:
    /// A file that is being written; closed when it goes.
    class File {
      public:
        virtual ~File() = default;
        virtual runtime::Result<void> write(runtime::ByteView bytes) = 0;  ///< all of them
        virtual runtime::Result<void> sync() = 0;
    };
    /// Held until it goes, or the process ends.
    class Lock {
      public:
        virtual ~Lock() = default;
    };
    enum class Access {
        owner_only,
        world_readable
    };  ///< modes 0600 and 0644; directories 0700 and 0755

    virtual ~FileSystem() = default;

    /// Names in a directory, sorted, without . and .. .
    virtual runtime::Result<std::vector<std::string>> list(const std::string& directory) = 0;
    /// A file of at most 1 MiB; symbolic links are followed.
    virtual runtime::Result<runtime::SecretBytes> read(const std::string& path) = 0;

    /// One directory; fails when it exists.
    virtual runtime::Result<void> make_directory(const std::string& path, Access access) = 0;
    /// A new file; fails when the name exists.
    virtual runtime::Result<std::unique_ptr<File>> create(const std::string& path,
                                                          Access access) = 0;
    /// Replaces `to`, atomically.
    virtual runtime::Result<void> rename(const std::string& from, const std::string& to) = 0;
    /// As rename, but fails when `to` exists (unless it is an empty directory and `from` is a
    /// directory).
    virtual runtime::Result<void> rename_new(const std::string& from, const std::string& to) = 0;
    virtual runtime::Result<void> remove_file(const std::string& path) = 0;
    virtual runtime::Result<void> remove_directory(const std::string& path) = 0;
    /// Makes the names in a directory durable.
    virtual runtime::Result<void> sync_directory(const std::string& path) = 0;

    /// An exclusive lock on a directory, among processes. Does not wait: unavailable when another
    /// process holds it.
    virtual runtime::Result<std::unique_ptr<Lock>> lock(const std::string& directory) = 0;
};

/// The real one.
class PosixFileSystem final : public FileSystem {
  public:
    runtime::Result<std::vector<std::string>> list(const std::string& directory) override;
    runtime::Result<runtime::SecretBytes> read(const std::string& path) override;
    runtime::Result<void> make_directory(const std::string& path, Access access) override;
    runtime::Result<std::unique_ptr<File>> create(const std::string& path, Access access) override;
    runtime::Result<void> rename(const std::string& from, const std::string& to) override;
    runtime::Result<void> rename_new(const std::string& from, const std::string& to) override;
    runtime::Result<void> remove_file(const std::string& path) override;
    runtime::Result<void> remove_directory(const std::string& path) override;
    runtime::Result<void> sync_directory(const std::string& path) override;
    runtime::Result<std::unique_ptr<Lock>> lock(const std::string& directory) override;
};

}  // namespace kms::keys
