#include "launcher/runtime/file_system.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace runtime {
namespace {

constexpr std::size_t kMaxFileSize = std::size_t{1024} * 1024;

/// "cannot <verb> '<path>': <the system's reason>".
Error system_error(std::string_view verb, const std::string& path, int reason = errno) {
    return Error{reason == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable,
                 "cannot " + std::string(verb) + " '" + path + "': " + std::strerror(reason)};
}

Result<void> done_or(bool good, std::string_view verb, const std::string& path) {
    if (!good) return system_error(verb, path);
    return {};
}

class Descriptor {
  public:
    explicit Descriptor(int number) : number_(number) {}
    ~Descriptor() {
        if (number_ >= 0) (void)::close(number_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return number_; }
    bool open() const { return number_ >= 0; }

  private:
    int number_;
};

class PosixFile final : public FileSystem::File {
  public:
    PosixFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}
    Result<void> write(ByteView bytes) override {
        while (!bytes.empty()) {
            const ssize_t written = ::write(descriptor_.get(), bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return system_error("write", path_);
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        }
        return {};
    }
    Result<void> sync() override { return done_or(::fsync(descriptor_.get()) == 0, "sync", path_); }

  private:
    Descriptor descriptor_;
    std::string path_;
};

/// The kernel drops the lock when the descriptor is closed.
class PosixLock final : public FileSystem::Lock {
  public:
    explicit PosixLock(int descriptor) : descriptor_(descriptor) {}
    bool take() { return ::flock(descriptor_.get(), LOCK_EX | LOCK_NB) == 0; }

  private:
    Descriptor descriptor_;
};

int open_directory(const std::string& path) {
    return ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

mode_t file_mode(FileSystem::Access access) {
    return access == FileSystem::Access::owner_only ? 0600 : 0644;
}
mode_t directory_mode(FileSystem::Access access) {
    return access == FileSystem::Access::owner_only ? 0700 : 0755;
}

}  // namespace

Result<std::vector<std::string>> PosixFileSystem::list(const std::string& directory) {
    const std::unique_ptr<DIR, int (*)(DIR*)> handle(::opendir(directory.c_str()), &::closedir);
    if (handle == nullptr) return system_error("list", directory);
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        const dirent* entry = ::readdir(handle.get());
        if (entry == nullptr) break;
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return system_error("list", directory);
    std::ranges::sort(names);
    return names;
}

Result<SecretBytes> PosixFileSystem::read(const std::string& path) {
    // Not blocking: opening a pipe for reading would wait for a writer.
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    struct stat facts{};
    if (!file.open() || ::fstat(file.get(), &facts) != 0) return system_error("read", path);
    if (!S_ISREG(facts.st_mode))
        return Error{ErrorCode::unavailable, "cannot read '" + path + "': not a regular file"};
    const auto size = static_cast<std::size_t>(facts.st_size);
    if (size > kMaxFileSize)
        return Error{ErrorCode::unavailable, "cannot read '" + path + "': larger than 1 MiB"};

    SecretBytes content(size);
    std::size_t filled = 0;
    while (filled < size) {
        const ssize_t got = ::read(file.get(), content.writable().data() + filled, size - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_error("read", path);
        if (got == 0)
            return Error{ErrorCode::unavailable,
                         "cannot read '" + path + "': it shrank while it was read"};
        filled += static_cast<std::size_t>(got);
    }
    return content;
}

Result<void> PosixFileSystem::make_directory(const std::string& path, Access access) {
    return done_or(::mkdir(path.c_str(), directory_mode(access)) == 0, "make directory", path);
}

Result<std::unique_ptr<FileSystem::File>> PosixFileSystem::create(const std::string& path,
                                                                  Access access) {
    const int descriptor = ::open(
        path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, file_mode(access));
    if (descriptor < 0) return system_error("create", path);
    return std::unique_ptr<File>(std::make_unique<PosixFile>(descriptor, path));
}

Result<void> PosixFileSystem::rename(const std::string& from, const std::string& to) {
    return done_or(::rename(from.c_str(), to.c_str()) == 0, "move '" + from + "' to", to);
}

Result<void> PosixFileSystem::rename_new(const std::string& from, const std::string& to) {
    const std::string verb = "move '" + from + "' to";
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return {};
    if (errno != EINVAL && errno != ENOSYS) return system_error(verb, to);
    // A file system without RENAME_NOREPLACE. Looking first is as good among those who hold the
    // directory's lock.
    struct stat facts{};
    if (::lstat(to.c_str(), &facts) == 0) return system_error(verb, to, EEXIST);
    if (errno != ENOENT) return system_error(verb, to);
    return rename(from, to);
}

Result<void> PosixFileSystem::remove_file(const std::string& path) {
    return done_or(::unlink(path.c_str()) == 0, "remove", path);
}

Result<void> PosixFileSystem::remove_directory(const std::string& path) {
    return done_or(::rmdir(path.c_str()) == 0, "remove directory", path);
}

Result<void> PosixFileSystem::sync_directory(const std::string& path) {
    const Descriptor directory(open_directory(path));
    // EINVAL: a file system that does not sync directories, and so promises nothing more than this.
    return done_or(directory.open() && (::fsync(directory.get()) == 0 || errno == EINVAL),
                   "sync directory", path);
}

Result<std::unique_ptr<FileSystem::Lock>> PosixFileSystem::lock(const std::string& directory) {
    const int descriptor = open_directory(directory);
    if (descriptor < 0) return system_error("lock directory", directory);
    auto lock = std::make_unique<PosixLock>(descriptor);
    if (!lock->take()) {
        if (errno == EWOULDBLOCK)
            return Error{ErrorCode::unavailable,
                         "another process is writing to '" + directory +
                             "' at this moment; is a second KMS being started there?"};
        return system_error("lock directory", directory);
    }
    return std::unique_ptr<Lock>(std::move(lock));
}

}  // namespace runtime
