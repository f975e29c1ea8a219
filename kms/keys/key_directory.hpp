/// KeyDirectory: the key set on disk (`core.cert_dir`). It promises: never half a key set in use,
/// never a key replaced, never two key sets, whatever is interrupted and wherever.
///
/// A new set is written in three stages, and what a crash leaves behind belongs to exactly one of
/// them:
///
///   1. `.key-set.new/`        files are being written and synced here. Nobody has seen these keys.
///   After a crash the
///                             directory is removed and the set is forgotten.
///   2. `.key-set.committed/`  the same directory, renamed: from this instant the set exists. After
///   a crash the next
///                             start goes on with stage 3.
///   3. flat files             each file is moved to its place under the name that every KMS uses,
///   never over a file
///                             that exists; then the empty directory goes.
///
/// A directory with some key files and nothing committed was not left behind by this program: it is
/// refused, because completing it would mean new keys beside old ones. Writing holds a lock on the
/// directory, so that two processes started at once do not both write.
#pragma once

#include "kms/keys/file_system.hpp"
#include "kms/keys/key_set.hpp"

#include <string>
#include <vector>

namespace kms::keys {

enum class DirectoryState {
    empty,        ///< no key file; the directory itself may be missing
    complete,     ///< all seven key files
    interrupted,  ///< a committed set is not yet fully in place: finish() completes it
    partial,      ///< some key files, or signs of an earlier set: refused
};

/// What was found, and for `partial` a sentence that says what and what to do about it.
struct DirectoryReport {
    DirectoryState state = DirectoryState::empty;
    std::string problem;
};

/// Borrows the file system. Errors: unavailable for what the disk answers, invalid_argument for
/// what is found; the text names directory and file and says what to do.
class KeyDirectory {
  public:
    /// `path` need not exist yet. Not empty.
    KeyDirectory(FileSystem& files, std::string path);

    const std::string& path() const { return path_; }

    Result<DirectoryReport> inspect() const;
    /// Writes a new set into an empty directory (made if missing). Fails unless inspect() would say
    /// `empty`.
    Result<void> store(const KeyFiles& new_set);
    /// Completes an interrupted store(). Does nothing when there is none.
    Result<void> finish();
    /// Reads a complete set.
    Result<KeySet> load() const;

    /// Replaces one certificate, atomically; keys cannot be replaced (invalid_argument).
    Result<void> replace_certificate(KeyFile file, std::string_view pem);
    /// The text of bootstrap-info.json; not_found when there is none.
    Result<std::string> bootstrap_info() const;

  private:
    std::string path_of(std::string_view name) const;
    Result<std::vector<std::string>> names_in(const std::string& directory) const;
    Result<void> make_directories();
    Result<void> write_file(const std::string& path, FileSystem::Access access, ByteView content);
    Result<void> write_uncommitted(const KeyFiles& new_set);
    Result<void> forget_uncommitted();
    Result<void> publish_committed();
    Result<void> publish_all();
    Result<bool> is_published(KeyFile file) const;
    Result<void> publish(KeyFile file);

    FileSystem& files_;
    std::string path_;
};

}  // namespace kms::keys
