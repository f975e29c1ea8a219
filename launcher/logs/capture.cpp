#include "launcher/logs/capture.hpp"

#include "launcher/logs/sink.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace launcher::logs {
namespace {

using runtime::TimePoint;
using std::chrono::steady_clock;

constexpr int kPipeSize = 1024 * 1024;  // the unprivileged limit
constexpr std::size_t kRead = 64 * 1024;

int checked(int descriptor, const char* what) {
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), what);
    return descriptor;
}

}  // namespace

CapturedStream::CapturedStream(std::uint16_t id, int descriptor, std::size_t max_line)
    : id_(id), descriptor_(descriptor), splitter_(max_line) {
    ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    ::fcntl(descriptor, F_SETPIPE_SZ,
            kPipeSize);  // refused when the user has too many pages in pipes: stays as it is
    const int size = ::fcntl(descriptor, F_GETPIPE_SZ);
    pipe_size_ = size > 0 ? static_cast<std::size_t>(size) : kRead;
    struct stat info{};
    if (::fstat(descriptor, &info) == 0 && S_ISFIFO(info.st_mode)) inode_ = info.st_ino;
}

CapturedStream::~CapturedStream() {
    close();
}

void CapturedStream::close() {
    const std::lock_guard lock(descriptor_mutex_);
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
}

std::size_t CapturedStream::pipe_bytes() const {
    const std::lock_guard lock(descriptor_mutex_);
    int bytes = 0;
    if (descriptor_ < 0 || ::ioctl(descriptor_, FIONREAD, &bytes) != 0 || bytes < 0) return 0;
    return static_cast<std::size_t>(bytes);
}

/// Queues the lines of one stream, or counts them as lost when there is no room.
class Capture::LineOutput final : public LineSplitter::Output {
  public:
    LineOutput(Capture& capture, CapturedStream& stream, Stamp stamp)
        : capture_(capture), stream_(stream), stamp_(stamp) {}

    void line(const LineView& line) override {
        const std::size_t waiting = capture_.queue_.bytes() + capture_.block_->size();
        if (waiting + line.text.size() > RawQueue::kLimit) {
            if (stream_.beyond_bound_ < line.text.size()) {
                stream_.lines_dropped.fetch_add(1, std::memory_order_relaxed);
                stream_.bytes_dropped.fetch_add(line.text.size(), std::memory_order_relaxed);
                capture_.lost_ = true;
                return;
            }
            stream_.beyond_bound_ -= line.text.size();
        }
        const RawLine raw{stream_.id_, line.partial, line.last, false,
                          line.part,   stamp_,       line.text};
        if (capture_.block_->size() + RawBlock::cost(raw) > RawQueue::kBlock) capture_.push_block();
        capture_.block_->append(raw);
    }

  private:
    Capture& capture_;
    CapturedStream& stream_;
    Stamp stamp_;
};

Capture::Capture(RawQueue& queue)
    : queue_(queue),
      epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "cannot create an epoll descriptor")),
      wakeup_(
          checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "cannot create an event descriptor")),
      block_(queue.get_block()),
      buffer_(kRead) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wakeup_, &event);
    thread_ = std::thread([this] { run(); });
}

Capture::~Capture() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    const std::uint64_t one = 1;
    if (::write(wakeup_, &one, sizeof one) > 0) thread_.join();
    ::close(wakeup_);
    ::close(epoll_);
}

void Capture::add(std::shared_ptr<CapturedStream> stream) {
    {
        const std::lock_guard lock(mutex_);
        requests_.push_back({std::move(stream), std::nullopt});
    }
    const std::uint64_t one = 1;
    if (::write(wakeup_, &one, sizeof one) < 0) return;  // full: it is readable already
}

void Capture::end(std::shared_ptr<CapturedStream> stream, runtime::Deadline deadline) {
    {
        const std::lock_guard lock(mutex_);
        requests_.push_back({std::move(stream), deadline});
    }
    const std::uint64_t one = 1;
    if (::write(wakeup_, &one, sizeof one) < 0) return;  // full: it is readable already
}

void Capture::push_block() {
    if (block_->empty()) return;
    queue_.push(std::move(block_));
    block_ = queue_.get_block();
}

void Capture::take_requests() {
    std::vector<Request> requests;
    {
        const std::lock_guard lock(mutex_);
        requests.swap(requests_);
    }
    for (Request& request : requests) {
        CapturedStream& stream = *request.stream;
        if (request.end) {
            stream.ending_ = true;
            stream.end_at_ = request.end->at();
            stream.beyond_bound_ = stream.pipe_size_;
            continue;
        }
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.ptr = &stream;
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, stream.descriptor_, &event) == 0) {
            streams_.push_back(std::move(request.stream));
        } else {
            close_stream(stream, false);
        }
    }
}

void Capture::turn(CapturedStream& stream) {
    std::size_t taken = 0;
    while (taken < kTurn) {
        const ssize_t size = ::read(stream.descriptor_, buffer_.data(), buffer_.size());
        if (size < 0 && errno == EINTR) continue;
        if (size < 0 && errno == EAGAIN) return;
        if (size <= 0) {  // EIO is how a terminal says that its other side is gone
            close_stream(stream, false);
            return;
        }
        const Stamp stamp{std::chrono::system_clock::now(), steady_clock::now()};
        LineOutput output(*this, stream, stamp);
        const std::uint64_t empty_before = stream.splitter_.empty_lines();
        stream.splitter_.feed({buffer_.data(), static_cast<std::size_t>(size)}, stamp.steady,
                              output);
        stream.empty_lines.fetch_add(stream.splitter_.empty_lines() - empty_before,
                                     std::memory_order_relaxed);
        stream.last_line.store(stamp.wall.time_since_epoch().count(), std::memory_order_relaxed);
        taken += static_cast<std::size_t>(size);
        // A pipe that gave less than was asked for is empty; asking again would cost a call for
        // nothing.
        if (static_cast<std::size_t>(size) < buffer_.size() && !stream.ending_) return;
    }
}

void Capture::close_stream(CapturedStream& stream, bool held) {
    if (stream.descriptor_ < 0) return;
    if (held) stream.held_by_descendant.fetch_add(1, std::memory_order_relaxed);
    const Stamp stamp{std::chrono::system_clock::now(), steady_clock::now()};
    LineOutput output(*this, stream, stamp);
    stream.splitter_.finish(output);
    block_->append({stream.id_, false, true, true, 0, stamp, {}});
    ::epoll_ctl(epoll_, EPOLL_CTL_DEL, stream.descriptor_, nullptr);
    stream.close();
}

/// Until the next thing that happens by itself.
int Capture::wait_milliseconds(TimePoint now) const {
    std::optional<TimePoint> next;
    const auto consider = [&next](TimePoint at) { next = next ? std::min(*next, at) : at; };
    for (const auto& stream : streams_) {
        if (const auto at = stream->splitter_.expires_at()) consider(*at);
        if (stream->ending_) consider(stream->end_at_);
    }
    if (!next) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - now).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void Capture::run() {
    block_signals();
    epoll_event events[16];
    while (true) {
        const int count = ::epoll_wait(epoll_, events, 16, wait_milliseconds(steady_clock::now()));
        bool woken = false;
        for (int i = 0; i < count; ++i) {
            if (events[i].data.ptr == nullptr) {
                woken = true;
            } else {
                turn(*static_cast<CapturedStream*>(events[i].data.ptr));
            }
        }
        if (woken) {
            std::uint64_t rings = 0;
            if (::read(wakeup_, &rings, sizeof rings) < 0)
                rings = 0;  // somebody else's read is impossible; go on
            take_requests();
        }
        const TimePoint now = steady_clock::now();
        for (const auto& stream : streams_) {
            const auto expires = stream->splitter_.expires_at();
            if (expires && now >= *expires) {
                LineOutput output(*this, *stream, {std::chrono::system_clock::now(), now});
                stream->splitter_.expire(now, output);
            }
            if (!stream->ending_ || stream->descriptor_ < 0) continue;
            turn(*stream);
            if (now < stream->end_at_) continue;
            // What is in the pipe was written before: all of it is read, but no more than fits
            // there, as a descendant may go on writing.
            for (std::size_t read = 0; read < stream->pipe_size_; read += kTurn) turn(*stream);
            close_stream(*stream, true);
        }
        std::erase_if(streams_, [](const auto& stream) { return stream->descriptor_ < 0; });
        push_block();
        // Losses of the last lines of a turn would otherwise be seen only when more lines come.
        if (std::exchange(lost_, false)) queue_.ring();
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
    }
}

}  // namespace launcher::logs
