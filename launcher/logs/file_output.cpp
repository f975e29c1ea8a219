#include "launcher/logs/sink_output.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace launcher::logs {
namespace {

constexpr std::size_t kFileGroup = 64 * 1024;
constexpr mode_t kMode = 0640;

class FileOutput final : public SinkOutput {
  public:
    explicit FileOutput(const SinkPlan& plan)
        : path_(plan.path),
          max_size_(plan.max_size),
          max_files_(std::max(plan.max_files, 1u)),
          max_age_(plan.max_age) {}
    ~FileOutput() override { close(); }
    FileOutput(const FileOutput&) = delete;
    FileOutput& operator=(const FileOutput&) = delete;

    std::size_t group_limit() const override { return kFileGroup; }

    bool reopen() override {
        close();
        descriptor_ =
            ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
                   kMode);
        if (descriptor_ < 0) return false;
        struct stat status{};
        if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
            close();
            errno = EINVAL;
            return false;
        }
        size_ = static_cast<std::uint64_t>(status.st_size);
        opened_ = std::time(nullptr);
        char last = '\n';
        // Whoever wrote before us may have been killed in the middle of a line.
        broken_line_ =
            size_ > 0 && ::pread(descriptor_, &last, 1, status.st_size - 1) == 1 && last != '\n';
        return true;
    }

    long write(std::string_view bytes, bool new_record) override {
        if (descriptor_ < 0 && !reopen()) return -errno;
        if (new_record && is_due(bytes.size())) {
            rotate();
            if (descriptor_ < 0) return -errno;
        }
        if (broken_line_) {
            if (::write(descriptor_, "\n", 1) != 1) return -errno;
            ++size_;
            broken_line_ = false;
        }
        ssize_t written = 0;
        do {
            written = ::write(descriptor_, bytes.data(), bytes.size());
        } while (written < 0 && errno == EINTR);
        if (written < 0) return -errno;
        size_ += static_cast<std::uint64_t>(written);
        return written;
    }

    void sync() override {
        if (descriptor_ >= 0) ::fsync(descriptor_);
    }

  private:
    void close() {
        if (descriptor_ >= 0) ::close(descriptor_);
        descriptor_ = -1;
    }
    bool is_due(std::size_t more) const {
        if (size_ == 0) return false;
        if (max_size_ != 0 && size_ + more > max_size_) return true;
        return max_age_.count() > 0 && std::time(nullptr) - opened_ >= max_age_.count() / 1000;
    }
    std::string numbered(unsigned number) const { return path_ + "." + std::to_string(number); }
    /// path.N-1 → path.N … path → path.1. What cannot be renamed stays; then the current file goes
    /// on growing.
    void rotate() {
        if (max_files_ == 1) {
            if (::unlink(path_.c_str()) == 0) reopen();
            return;
        }
        for (unsigned number = max_files_ - 1; number > 1; --number) {
            std::rename(numbered(number - 1).c_str(), numbered(number).c_str());
        }
        if (std::rename(path_.c_str(), numbered(1).c_str()) == 0) {
            reopen();
        } else {
            opened_ = std::time(nullptr);
        }
    }

    std::string path_;
    std::uint64_t max_size_;
    unsigned max_files_;
    std::chrono::milliseconds max_age_;
    int descriptor_ = -1;
    std::uint64_t size_ = 0;
    std::time_t opened_ = 0;
    bool broken_line_ = false;
};

}  // namespace

runtime::Result<std::unique_ptr<SinkOutput>> make_file_output(const SinkPlan& plan) {
    auto output = std::make_unique<FileOutput>(plan);
    if (!output->reopen()) {
        return runtime::Error{runtime::ErrorCode::invalid_argument,
                              "cannot open log file '" + plan.path + "': " + std::strerror(errno)};
    }
    return std::unique_ptr<SinkOutput>(std::move(output));
}

}  // namespace launcher::logs
