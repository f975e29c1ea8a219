#include "launcher/runtime/curl_loop.hpp"

#include "launcher/runtime/curl_library.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

#include <curl/curl.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/// libcurl brings GnuTLS along for RTMP, which is never allowed here. This name is GnuTLS's way to
/// be told not to prepare itself at every start (GNUTLS_SKIP_GLOBAL_INIT in its manual), which
/// takes 0.7 MiB and a millisecond.
extern "C" int _gnutls_global_init_skip();
extern "C" int _gnutls_global_init_skip() {
    return 1;
}

namespace runtime {

namespace {

constexpr int kEventsAtOnce = 64;

/// The kernel's name of a socket, never given twice (socket(7), SO_COOKIE); 0 when there is no such
/// socket.
std::uint64_t cookie_of(int descriptor) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    if (::getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return 0;
    return cookie;
}

int make_epoll_set() {
    const int set = ::epoll_create1(EPOLL_CLOEXEC);
    if (set < 0) throw std::runtime_error("cannot make an epoll set for the HTTP client");
    return set;
}

/// One end of a socket pair whose other end is gone: whoever reads it finds the end of the stream.
int make_dead_socket() {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
        throw std::runtime_error("cannot make a socket pair for the HTTP client");
    ::close(pair[1]);
    return pair[0];
}

void global_init() {
    if (const auto loaded = load_curl(); !loaded) throw std::runtime_error(loaded.error().context);
    static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK) throw std::runtime_error("cannot initialise libcurl");
}

}  // namespace

struct CurlLoop::Callbacks {
    static curl_socket_t open(void* context, curlsocktype, curl_sockaddr* address) {
        CurlWire& wire = *static_cast<CurlWire*>(context);
        // A second attempt after the request went out would be curl's silent repetition.
        if (wire.sent) return CURL_SOCKET_BAD;
        const int number = ::socket(
            address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
        if (number < 0) {
            wire.open_errno = errno;
            return CURL_SOCKET_BAD;
        }
        CurlLoop& loop = *wire.loop;
        loop.forget(number);  // a watch of this number is that of a socket closed without a word
        Watch& watch = loop.watches_[number];
        watch = {.descriptor = number, .serial = ++loop.serials_, .cookie = cookie_of(number)};
        use(wire, watch);
        loop.unsettled_.push_back(&wire);
        wire.opened = true;
        return number;
    }
    static int close(void* context, curl_socket_t number) {
        static_cast<CurlLoop*>(context)->forget(number);
        return ::close(number);
    }
    static int before_request(void* context, char*, char*, int, int) {
        CurlWire& wire = *static_cast<CurlWire*>(context);
        if (wire.sent) return CURL_PREREQFUNC_ABORT;
        wire.sent = true;
        wire.sent_on_new = wire.opened;
        return CURL_PREREQFUNC_OK;
    }
    static int socket(CURL* easy, curl_socket_t number, int what, void* context, void*) {
        CurlLoop& loop = *static_cast<CurlLoop*>(context);
        const auto found = loop.watches_.find(number);
        if (what == CURL_POLL_REMOVE) {
            if (found == loop.watches_.end()) return 0;
            Watch& watch = found->second;
            if (watch.cookie != 0) loop.unsettled_.push_back(&wire_of(easy));
            if (watch.cookie != 0 && watch.cookie == cookie_of(number))
                loop.want(watch, 0);  // may be used again
            else
                loop.forget(number);
            return 0;
        }
        Watch& watch = found != loop.watches_.end() ? found->second : loop.watches_[number];
        if (watch.serial == 0) watch = {.descriptor = number, .serial = ++loop.serials_};
        if (watch.cookie != 0) use(wire_of(easy), watch);
        loop.remove_idle(watch);
        loop.want(watch, what);
        return 0;
    }
    static void use(CurlWire& wire, const Watch& watch) {
        wire.descriptor = watch.descriptor;
        wire.serial = watch.serial;
    }
    static CurlWire& wire_of(CURL* easy) {
        void* wire = nullptr;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &wire);
        return *static_cast<CurlWire*>(wire);
    }
    static int timer(CURLM*, long milliseconds, void* context) {
        static_cast<CurlLoop*>(context)->set_timer(milliseconds);
        return 0;
    }
};

CurlLoop::CurlLoop(asio::any_io_executor executor, std::size_t kept_connections, OnDone on_done)
    : executor_(std::move(executor)),
      kept_connections_(kept_connections),
      on_done_(std::move(on_done)),
      epoll_(executor_, make_epoll_set()),
      timer_(executor_),
      alive_(std::make_shared<bool>(true)) {
    global_init();
    dead_socket_ = make_dead_socket();
    multi_ = curl_multi_init();
    if (multi_ == nullptr) {
        ::close(dead_socket_);
        throw std::runtime_error("cannot make a libcurl multi handle");
    }
    curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &Callbacks::socket);
    curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &Callbacks::timer);
    curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(multi_, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
}

CurlLoop::~CurlLoop() {
    *alive_ = false;
    timer_.cancel();
    curl_multi_cleanup(multi_);  // closes the kept connections through Callbacks::close
    ::close(dead_socket_);
}

void CurlLoop::adopt(void* easy, CurlWire& wire) {
    wire.loop = this;
    wire.easy = easy;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, &wire);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &Callbacks::open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &wire);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, &Callbacks::close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, this);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, &Callbacks::before_request);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, &wire);
    // A lookup that hangs must not hold up whoever ends the transfer: its thread is left to end by
    // itself.
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

bool CurlLoop::add(CurlWire& wire) {
    wire = CurlWire{.loop = this, .easy = wire.easy};
    cut_soiled_connections();
    ++transfers_;
    // curl asks to be called at once, which act() does: no timer is needed for that.
    timer_held_ = true;
    const bool taken = curl_multi_add_handle(multi_, wire.easy) == CURLM_OK;
    timer_held_ = false;
    if (!taken) {
        transfer_ended();
        return false;
    }
    act(CURL_SOCKET_TIMEOUT, 0);
    return true;
}

void CurlLoop::finish(const CurlWire& wire) {
    remove(wire);
    if (Watch* watch = find(wire.descriptor, wire.serial); watch != nullptr && watch->wanted == 0)
        add_idle(*watch);
    transfer_ended();
}

void CurlLoop::abort(const CurlWire& wire) {
    remove(wire);
    transfer_ended();
}

void CurlLoop::remove(const CurlWire& wire) {
    curl_multi_remove_handle(multi_, wire.easy);
    std::erase(unsettled_, &wire);
}

void CurlLoop::transfer_ended() {
    --transfers_;
    // An armed timer would keep an otherwise finished program running.
    if (transfers_ == 0 && timer_armed_ != TimerPoint::max()) {
        timer_armed_ = TimerPoint::max();
        timer_.cancel();
    }
}

CurlLoop::Watch* CurlLoop::find(int descriptor, std::uint64_t serial) {
    const auto found = watches_.find(descriptor);
    return found != watches_.end() && found->second.serial == serial ? &found->second : nullptr;
}

/// Ends the watch; the descriptor stays as it is.
void CurlLoop::forget(int descriptor) {
    const auto found = watches_.find(descriptor);
    if (found == watches_.end()) return;
    remove_idle(found->second);
    want(found->second, 0);
    // The kernel may have forgotten it before, when it was closed.
    if (found->second.in_set)
        ::epoll_ctl(epoll_.native_handle(), EPOLL_CTL_DEL, descriptor, nullptr);
    watches_.erase(found);
}

void CurlLoop::want(Watch& watch, int what) {
    watch.wanted = what;
    if (what != 0) return arm(watch);
    if (!watch.armed) return;
    watch.armed = false;  // an event that comes all the same is ignored
    // A wait left behind would keep an otherwise finished program running.
    if (--armed_ == 0 && waiting_) epoll_.cancel();
}

/// Asks for one event of what is wanted. Without a place in the set (no memory in the kernel) the
/// transfer ends by its deadline.
void CurlLoop::arm(Watch& watch) {
    epoll_event event{};
    event.events = EPOLLONESHOT;
    if ((watch.wanted & CURL_POLL_IN) != 0) event.events |= EPOLLIN;
    if ((watch.wanted & CURL_POLL_OUT) != 0) event.events |= EPOLLOUT;
    event.data.u64 = watch.serial << 32 | static_cast<std::uint32_t>(watch.descriptor);
    const int set = epoll_.native_handle();
    const int operation = watch.in_set ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    watch.in_set = ::epoll_ctl(set, operation, watch.descriptor, &event) == 0;
    if (!watch.armed) {
        watch.armed = true;
        ++armed_;
    }
    wait_for_events();
}

void CurlLoop::wait_for_events() {
    if (waiting_ || armed_ == 0) return;
    waiting_ = true;
    epoll_.async_wait(asio::posix::descriptor_base::wait_read,
                      [this, alive = alive_](const boost::system::error_code& error) {
                          if (!*alive) return;
                          waiting_ = false;
                          if (!error) take_events();
                          // A wait that was cancelled when nobody needed it may be needed again by
                          // now.
                          wait_for_events();
                      });
}

void CurlLoop::take_events() {
    std::array<epoll_event, kEventsAtOnce> events;
    const int count = ::epoll_wait(epoll_.native_handle(), events.data(), kEventsAtOnce, 0);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        const int number = static_cast<int>(event.data.u64 & 0xffffffff);
        // What was done for the events before may have ended this watch, or what it waits for.
        const auto found = watches_.find(number);
        if (found == watches_.end() || !found->second.armed) continue;
        const std::uint64_t serial = found->second.serial;
        if ((serial << 32) != (event.data.u64 & ~std::uint64_t{0xffffffff})) continue;
        found->second.armed = false;
        --armed_;
        const bool broken =
            (event.events & (EPOLLERR | EPOLLHUP)) != 0;  // both reading and writing will tell
        int ready = 0;
        if (broken || (event.events & EPOLLIN) != 0) ready |= found->second.wanted & CURL_POLL_IN;
        if (broken || (event.events & EPOLLOUT) != 0) ready |= found->second.wanted & CURL_POLL_OUT;
        static_assert(CURL_POLL_IN == CURL_CSELECT_IN && CURL_POLL_OUT == CURL_CSELECT_OUT);
        act(number, ready);
        if (Watch* watch = find(number, serial);
            watch != nullptr && watch->wanted != 0 && !watch->armed)
            arm(*watch);
    }
}

void CurlLoop::act(int descriptor, int events) {
    // curl's limit also counts connections at work, so it follows their number; the one that
    // becomes idle is not at work any more.
    const std::size_t others = transfers_ > 0 ? transfers_ - 1 : 0;
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(kept_connections_ + others));
    int running = 0;
    timer_held_ = true;
    curl_multi_socket_action(multi_, descriptor, events, &running);
    while (!unsettled_.empty()) {
        for (const CurlWire* wire : std::exchange(unsettled_, {})) nudge(*wire);
        curl_multi_socket_action(multi_, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    report_finished();
    timer_held_ = false;
    if (transfers_ > 0 && timer_armed_ > timer_due_) arm_timer();
}

/// When an address fails, curl prepares the next one and then waits for an event of the socket that
/// it has not opened yet. This makes it look again at once: the end of a pause is the only way to
/// ask for that.
void CurlLoop::nudge(const CurlWire& wire) {
    if (wire.sent) return;
    curl_easy_pause(wire.easy, CURLPAUSE_RECV);
    curl_easy_pause(wire.easy, CURLPAUSE_CONT);
}

void CurlLoop::report_finished() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left))
        if (message->msg == CURLMSG_DONE)
            on_done_(Callbacks::wire_of(message->easy_handle), message->data.result);
}

/// curl moves its time-out with every request. timer_ is only touched when it would fire too late;
/// when it fires too early it is set again.
void CurlLoop::set_timer(long milliseconds) {
    if (milliseconds < 0) {
        timer_due_ = TimerPoint::max();
        return;
    }
    timer_due_ = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
    if (!timer_held_ && timer_armed_ > timer_due_) arm_timer();
}

void CurlLoop::arm_timer() {
    timer_armed_ = timer_due_;
    timer_.expires_at(timer_due_);
    timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
        if (error || !*alive) return;
        timer_armed_ = TimerPoint::max();
        if (timer_due_ == TimerPoint::max()) return;
        if (timer_due_ > std::chrono::steady_clock::now()) return arm_timer();
        timer_due_ = TimerPoint::max();
        act(CURL_SOCKET_TIMEOUT, 0);
    });
}

void CurlLoop::add_idle(Watch& watch) {
    if (watch.idle_place != kNotIdle) return;
    watch.idle_place = idle_.size();
    idle_.push_back({.fd = watch.descriptor, .events = POLLIN, .revents = 0});
}

void CurlLoop::remove_idle(Watch& watch) {
    if (watch.idle_place == kNotIdle) return;
    idle_[watch.idle_place] = idle_.back();
    watches_.at(idle_.back().fd).idle_place = watch.idle_place;
    idle_.pop_back();
    watch.idle_place = kNotIdle;
}

/// Bytes on an idle connection are the end of the stream, or an answer nobody asked for. The
/// connection is replaced under its number by a dead socket, which curl recognises as such before
/// it would use it.
void CurlLoop::cut_soiled_connections() {
    if (idle_.empty() || ::poll(idle_.data(), idle_.size(), 0) <= 0) return;
    for (std::size_t i = idle_.size(); i-- > 0;) {
        if (idle_[i].revents == 0) continue;
        const int number = idle_[i].fd;
        const std::uint64_t cookie = watches_.at(number).cookie;
        forget(number);
        if (cookie_of(number) != cookie) continue;
        ::dup3(dead_socket_, number, O_CLOEXEC);
    }
}

}  // namespace runtime
