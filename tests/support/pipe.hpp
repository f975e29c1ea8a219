/// A pipe for tests: reads are bounded by a timeout, so a test that waits for something that never
/// comes fails.
#pragma once

#include <string>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace test {

class Pipe {
  public:
    Pipe() {
        int ends[2] = {-1, -1};
        if (::pipe2(ends, O_CLOEXEC) == 0) {
            read_ = ends[0];
            write_ = ends[1];
        }
    }
    ~Pipe() {
        close_read();
        close_write();
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    int read_end() const { return read_; }
    int write_end() const { return write_; }
    void close_read() { close(read_); }
    void close_write() { close(write_); }
    /// In bytes; the kernel rounds up to a page.
    void set_capacity(int bytes) const { (void)::fcntl(write_, F_SETPIPE_SZ, bytes); }

    /// What comes until the end of file, or until nothing has come for 5 s.
    std::string read_all() const {
        std::string all;
        char buffer[64 * 1024];
        for (;;) {
            pollfd ready{read_, POLLIN, 0};
            if (::poll(&ready, 1, 5000) <= 0) return all;
            const ssize_t n = ::read(read_, buffer, sizeof buffer);
            if (n <= 0) return all;
            all.append(buffer, static_cast<std::size_t>(n));
        }
    }

  private:
    static void close(int& fd) {
        if (fd >= 0) ::close(std::exchange(fd, -1));
    }
    int read_ = -1;
    int write_ = -1;
};

}  // namespace test
