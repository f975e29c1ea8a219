/// FileSystem: the seam between whatever must survive a crash and the disk. Blocks; for a worker,
/// or for the start of a program.
///
/// Each method is one step that can fail or be interrupted, no more: what a crash between any two
/// of them leaves behind is what the tests of the users look at.
#pragma once

#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/secret.hpp"

#include <memory>
#include <string>
#include <vector>

namespace runtime {

/// Errors of all methods: not_found (no such file or directory), unavailable (the disk is full, the
/// file exists already, permission is denied, ...). The text holds the path and the system's
/// reason.
class FileSystem {
  public:
    /// A file that is being written; closed when it goes.
    class File {
      public:
        virtual ~File() = default;
        virtual Result<void> write(ByteView bytes) = 0;  ///< all of them
        virtual Result<void> sync() = 0;
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
    virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
    /// A file of at most 1 MiB; symbolic links are followed.
    virtual Result<SecretBytes> read(const std::string& path) = 0;

    /// One directory; fails when it exists.
    virtual Result<void> make_directory(const std::string& path, Access access) = 0;
    /// A new file; fails when the name exists.
    virtual Result<std::unique_ptr<File>> create(const std::string& path, Access access) = 0;
    /// Replaces `to`, atomically.
    virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
    /// As rename, but fails when `to` exists (unless it is an empty directory and `from` is a
    /// directory).
    virtual Result<void> rename_new(const std::string& from, const std::string& to) = 0;
    virtual Result<void> remove_file(const std::string& path) = 0;
    virtual Result<void> remove_directory(const std::string& path) = 0;
    /// Makes the names in a directory durable.
    virtual Result<void> sync_directory(const std::string& path) = 0;

    /// An exclusive lock on a directory, among processes. Does not wait: unavailable when another
    /// process holds it.
    virtual Result<std::unique_ptr<Lock>> lock(const std::string& directory) = 0;
};

/// The real one.
class PosixFileSystem final : public FileSystem {
  public:
    Result<std::vector<std::string>> list(const std::string& directory) override;
    Result<SecretBytes> read(const std::string& path) override;
    Result<void> make_directory(const std::string& path, Access access) override;
    Result<std::unique_ptr<File>> create(const std::string& path, Access access) override;
    Result<void> rename(const std::string& from, const std::string& to) override;
    Result<void> rename_new(const std::string& from, const std::string& to) override;
    Result<void> remove_file(const std::string& path) override;
    Result<void> remove_directory(const std::string& path) override;
    Result<void> sync_directory(const std::string& path) override;
    Result<std::unique_ptr<Lock>> lock(const std::string& directory) override;
};

}  // namespace runtime
