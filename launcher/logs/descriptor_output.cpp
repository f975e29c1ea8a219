#include "launcher/logs/sink_output.hpp"

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdint>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace launcher::logs {
namespace {

constexpr std::size_t kFileGroup = 64 * 1024;

class DescriptorOutput final : public SinkOutput {
  public:
    explicit DescriptorOutput(int descriptor)
        : descriptor_(descriptor), cancel_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        struct stat status{};
        regular_ = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
    }
    ~DescriptorOutput() override {
        if (cancel_ >= 0) ::close(cancel_);
    }
    DescriptorOutput(const DescriptorOutput&) = delete;
    DescriptorOutput& operator=(const DescriptorOutput&) = delete;

    std::size_t group_limit() const override { return regular_ ? kFileGroup : PIPE_BUF; }

    long write(std::string_view bytes, bool) override {
        while (true) {
            if (!regular_) {
                // Room for PIPE_BUF bytes is what POLLOUT promises for a pipe, so the write does
                // not wait.
                pollfd ready[2] = {{descriptor_, POLLOUT, 0}, {cancel_, POLLIN, 0}};
                if (::poll(ready, 2, -1) < 0 && errno != EINTR) return -errno;
                if (ready[1].revents != 0) return -ECANCELED;
                if (ready[0].revents == 0) continue;
                if ((ready[0].revents & POLLNVAL) != 0) return -EBADF;
            }
            const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
            if (written >= 0) return written;
            // EAGAIN: somebody else made the shared description non-blocking; poll tells when to go
            // on.
            if (errno != EINTR && errno != EAGAIN) return -errno;
        }
    }

    void cancel() override {
        const std::uint64_t one = 1;
        if (::write(cancel_, &one, sizeof one) < 0) return;  // full: it is readable already
    }

  private:
    int descriptor_;
    int cancel_;
    bool regular_ = false;
};

}  // namespace

bool closes_sink(int error) {
    return error == EPIPE || error == EBADF || error == ECONNRESET || error == ENOTCONN ||
           error == ESHUTDOWN;
}

std::unique_ptr<SinkOutput> make_descriptor_output(int descriptor) {
    return std::make_unique<DescriptorOutput>(descriptor);
}

bool is_journal_stream(std::string_view journal_stream, int descriptor) {
    const std::size_t colon = journal_stream.find(':');
    struct stat status{};
    if (colon == std::string_view::npos || ::fstat(descriptor, &status) != 0) return false;
    const auto number = [](std::string_view text) {
        std::uint64_t value = 0;
        const char* const end = text.data() + text.size();
        const auto parsed = std::from_chars(text.data(), end, value);
        return parsed.ec == std::errc() && parsed.ptr == end ? value : UINT64_MAX;
    };
    return number(journal_stream.substr(0, colon)) == status.st_dev &&
           number(journal_stream.substr(colon + 1)) == status.st_ino;
}

}  // namespace launcher::logs
