#include "launcher/runtime/http_server.hpp"

#include "launcher/runtime/http2_session.hpp"
#include "launcher/runtime/http_session.hpp"
#include "launcher/runtime/log.hpp"
#include "launcher/runtime/port_owner.hpp"
#include "launcher/runtime/with_deadline.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include <arpa/inet.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace runtime {
namespace {

constexpr std::chrono::milliseconds kSweepInterval{100};
constexpr std::chrono::milliseconds kAcceptRetry{20};  ///< after the kernel refused a descriptor
constexpr std::chrono::seconds kRefusalNotice{1};      ///< between log lines that say the same
constexpr std::size_t kOtherDescriptors = 128;  ///< of the process, that are no connections of ours
constexpr std::size_t kCrowd = 512;             ///< connections whose memory is worth giving back
constexpr int kSilentShare = 10;  ///< of give_way is what a connection gets that never said a word
constexpr std::size_t kYoungLookedAt = 64;  ///< in search of such a one
constexpr std::size_t kFirstPlaces = 8;
constexpr std::size_t kPlacesAtOnce = 256;  ///< at most, and a sixteenth of the connections
constexpr std::size_t kFew = 32;            ///< connections whose memory is not
constexpr int kBacklog = 4096;
constexpr int kSendBuffer = 128 * 1024;  ///< bytes per connection, in the kernel
constexpr int kAcceptsPerTurn = 64;
constexpr std::string_view kRefused =
    "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

struct Address {
    sockaddr_storage storage{};
    socklen_t size = 0;
    std::string unix_path;
    std::uint16_t port = 0;

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Error bad_address(const std::string& text) {
    return Error{
        ErrorCode::invalid_argument,
        "'" + text +
            "' is no address to listen on; write 127.0.0.1:9180, [::1]:9180 or unix:/path"};
}

Result<Address> parse_unix(const std::string& text, const std::string& path) {
    Address address;
    auto& unix_address = reinterpret_cast<sockaddr_un&>(address.storage);
    if (path.empty() || path.size() >= sizeof unix_address.sun_path) return bad_address(text);
    unix_address.sun_family = AF_UNIX;
    path.copy(unix_address.sun_path, path.size());
    address.size = sizeof(sockaddr_un);
    address.unix_path = path;
    return address;
}

Result<Address> parse_address(const std::string& text) {
    if (text.starts_with("unix:")) return parse_unix(text, text.substr(5));
    const auto colon = text.rfind(':');
    if (colon == std::string::npos) return bad_address(text);
    Address address;
    const auto [end, bad] =
        std::from_chars(text.data() + colon + 1, text.data() + text.size(), address.port);
    if (bad != std::errc{} || end != text.data() + text.size()) return bad_address(text);
    std::string host = text.substr(0, colon);
    auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
    if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(address.port);
        address.size = sizeof(sockaddr_in);
        return address;
    }
    if (host.size() > 2 && host.front() == '[' && host.back() == ']')
        host = host.substr(1, host.size() - 2);
    if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1) return bad_address(text);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    address.size = sizeof(sockaddr_in6);
    return address;
}

Error cannot_listen(const std::string& text, const Address& address) {
    const int reason = errno;
    std::string message = "cannot listen on " + text + ": " + std::strerror(reason);
    if (reason == EADDRINUSE && address.unix_path.empty()) {
        if (const auto owner = find_port_owner(address.port); owner && owner->pid != 0)
            message +=
                "; process " + std::to_string(owner->pid) + " (" + owner->name + ") holds the port";
        message += "; stop that process or choose another port";
    }
    return Error{ErrorCode::unavailable, std::move(message)};
}

/// Removes the socket file of a server that is gone; a live one is left alone.
void remove_stale_socket(Address& address) {
    struct stat info{};
    if (::lstat(address.unix_path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return;
    const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return;
    if (::connect(probe, address.get(), address.size) != 0 && errno == ECONNREFUSED)
        ::unlink(address.unix_path.c_str());
    ::close(probe);
}

struct Peer {
    std::string address = "unix";
    std::uint16_t port = 0;
};

Peer peer_of(const sockaddr_storage& storage) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (storage.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
        return {inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size()), ntohs(v4.sin_port)};
    }
    if (storage.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
        return {inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size()), ntohs(v6.sin6_port)};
    }
    return {};
}

std::optional<unsigned> user_at(int unix_socket) {
    ucred other{};
    socklen_t size = sizeof other;
    if (::getsockopt(unix_socket, SOL_SOCKET, SO_PEERCRED, &other, &size) != 0) return std::nullopt;
    return other.uid;
}

/// HttpBounds::connections, or what the limit on descriptors leaves for them.
std::size_t affordable_connections(const HttpServerOptions& options) {
    const std::size_t wanted = options.bounds.connections;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
    const std::size_t most = limit.rlim_cur;
    const std::size_t left = most > 2 * kOtherDescriptors ? most - kOtherDescriptors : most / 2;
    if (left >= wanted) return wanted;
    log_warn(options.log_target, "the limit on descriptors leaves room for fewer connections",
             {kv("wanted", wanted), kv("connections", left), kv("descriptors", most)});
    return left;
}

}  // namespace

struct HttpServer::Impl : std::enable_shared_from_this<HttpServer::Impl> {
    struct Listener {
        asio::posix::stream_descriptor descriptor;
        std::string unix_path;
        std::uint16_t port = 0;
    };
    using Sessions = std::list<std::shared_ptr<HttpSession>>;

    Impl(asio::any_io_executor on, Clock& time, HttpServerOptions given)
        : executor(std::move(on)),
          clock(time),
          options(std::move(given)),
          context{clock, options, counters},
          drained(executor, asio::steady_timer::time_point::max()) {
        options.bounds.connections = affordable_connections(options);
        reserve = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    ~Impl() {
        if (reserve >= 0) ::close(reserve);
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Result<void> listen(const std::string& text);
    void start();
    void close_listeners();
    static Task<void> accept_loop(std::shared_ptr<Impl> self, std::size_t index);
    /// Takes one connection; false when none is waiting or the kernel refuses (then errno tells).
    bool accept_one(int listener);
    void refuse_without_descriptor(int listener);
    void begin_session(int descriptor, const Peer& peer, bool guest);
    bool has_room_for(const Peer& peer) const;
    /// Ends the oldest connection that has waited too long for a request. False when all have their
    /// reason to be here.
    bool make_room();
    /// The same among those beyond the bound, which have not long to stay.
    bool make_room_for_guest();
    static void start_session(const std::shared_ptr<Impl>& self, Sessions::iterator place);
    static Task<void> run_session(std::shared_ptr<Impl> self, Sessions::iterator place);
    static void rest(const std::shared_ptr<Impl>& self, Sessions::iterator place);
    void end_session(Sessions::iterator place);
    void prepare_places();
    static Task<void> sweep(std::shared_ptr<Impl> self);
    void trim_heap();
    Task<Result<void>> wait_until_drained();
    void abandon_all();

    asio::any_io_executor executor;
    Clock& clock;
    HttpServerOptions options;
    HttpServerCounters counters;
    HttpSessionContext context;
    std::vector<Listener> listeners;
    Sessions sessions;
    std::unordered_map<std::string, std::size_t> per_address;
    asio::steady_timer drained;
    asio::cancellation_signal stop_sweep;
    std::size_t guests = 0;  ///< of the sessions
    bool sweeping = false;
    TimePoint next_refusal_notice{};
    std::size_t places = 0;   ///< sessions that Asio has its own record for
    std::size_t trim_at = 0;  ///< sessions left when the heap is to be trimmed; 0 = not at all
    int reserve = -1;         ///< given up to accept and close one caller when descriptors run out
};

Result<void> HttpServer::Impl::listen(const std::string& text) {
    TRY(Address address, parse_address(text));
    const int family = address.storage.ss_family;
    asio::posix::stream_descriptor descriptor(executor);
    const int raw = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (raw < 0) return cannot_listen(text, address);
    descriptor.assign(raw);
    const int on = 1;
    if (family == AF_UNIX) {
        remove_stale_socket(address);
    } else {
        ::setsockopt(raw, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        ::setsockopt(raw, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // inherited by connections
        if (family == AF_INET6) ::setsockopt(raw, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    // Inherited by connections: what a client does not read waits in here, and no more than that.
    ::setsockopt(raw, SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof kSendBuffer);
    // The file must never be reachable with wider rights, not even between bind and chmod.
    const mode_t old_mask = ::umask(0177);
    const int bound = ::bind(raw, address.get(), address.size);
    const int bind_errno = errno;
    ::umask(old_mask);
    errno = bind_errno;
    if (bound != 0 || ::listen(raw, kBacklog) != 0) return cannot_listen(text, address);
    sockaddr_storage actual{};
    socklen_t size = sizeof actual;
    ::getsockname(raw, reinterpret_cast<sockaddr*>(&actual), &size);
    listeners.push_back({std::move(descriptor), address.unix_path,
                         family == AF_UNIX ? std::uint16_t{0} : peer_of(actual).port});
    return {};
}

void HttpServer::Impl::start() {
    for (std::size_t index = 0; index < listeners.size(); ++index)
        asio::co_spawn(executor, accept_loop(shared_from_this(), index), asio::detached);
}

void HttpServer::Impl::close_listeners() {
    for (auto& listener : listeners) {
        boost::system::error_code ignored;
        listener.descriptor.close(ignored);
        if (!listener.unix_path.empty()) ::unlink(listener.unix_path.c_str());
    }
}

Task<void> HttpServer::Impl::accept_loop(std::shared_ptr<Impl> self, std::size_t index) {
    auto& descriptor = self->listeners[index].descriptor;
    while (true) {
        auto [error] = co_await descriptor.async_wait(asio::posix::descriptor_base::wait_read,
                                                      asio::as_tuple(asio::use_awaitable));
        if (error || !descriptor.is_open()) co_return;
        int taken = 0;
        while (taken < kAcceptsPerTurn && self->accept_one(descriptor.native_handle())) ++taken;
        if (taken == 0 &&
            (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
            self->refuse_without_descriptor(descriptor.native_handle());
            co_await self->clock.sleep_until(self->clock.now() + kAcceptRetry);
            if (!descriptor.is_open()) co_return;
        }
    }
}

bool HttpServer::Impl::accept_one(int listener) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const int raw = ::accept4(listener, reinterpret_cast<sockaddr*>(&from), &size,
                              SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (raw < 0) return errno == ECONNABORTED || errno == EINTR;
    counters.connections_accepted.add();
    const Peer peer = peer_of(from);
    const bool guest = !has_room_for(peer) && !make_room();
    if (guest && !make_room_for_guest()) {
        counters.connections_refused.add();
        if (!options.tls)
            (void)::send(raw, kRefused.data(), kRefused.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        ::close(raw);
        return true;
    }
    begin_session(raw, peer, guest);
    return true;
}

/// Out of descriptors: the callers that wait are closed at once instead of being left in silence.
void HttpServer::Impl::refuse_without_descriptor(int listener) {
    if (const TimePoint now = clock.now(); now >= next_refusal_notice) {
        next_refusal_notice = now + kRefusalNotice;
        log_warn(options.log_target, "out of file descriptors, callers are refused",
                 {kv("open", sessions.size())});
    }
    for (int turn = 0; turn < kAcceptsPerTurn && reserve >= 0; ++turn) {
        ::close(reserve);
        const int raw = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (raw >= 0) {
            counters.connections_refused.add();
            if (!options.tls)
                (void)::send(raw, kRefused.data(), kRefused.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            ::close(raw);
        }
        reserve = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (raw < 0) return;
    }
}

bool HttpServer::Impl::has_room_for(const Peer& peer) const {
    if (sessions.size() - guests >= options.bounds.connections) return false;
    if (options.bounds.connections_per_address == 0) return true;
    const auto found = per_address.find(peer.address);
    return found == per_address.end() || found->second < options.bounds.connections_per_address;
}

bool HttpServer::Impl::make_room() {
    const auto& bounds = options.bounds;
    if (bounds.give_way.count() == 0 || bounds.connections_per_address != 0) return false;
    const TimePoint latest = clock.now() - bounds.give_way;
    const TimePoint latest_silent = clock.now() - bounds.give_way / kSilentShare;
    // Those on their way out come first, as they are the oldest; so the walk is short.
    std::size_t leaving = 0, young = 0;
    for (const auto& session : sessions) {
        if (session->guest) continue;
        if (session->expired) {
            if (sessions.size() - guests - ++leaving < bounds.connections) return true;
            continue;
        }
        if (session->accepted_at > latest) {
            if (session->accepted_at > latest_silent || ++young > kYoungLookedAt) return false;
            if (session->connection.has_spoken()) continue;
        }
        const bool waits = session->phase == HttpPhase::handshake ||
                           session->phase == HttpPhase::first_byte ||
                           session->phase == HttpPhase::head || session->phase == HttpPhase::idle;
        if (!waits) continue;
        counters.connections_given_way.add();
        session->expired = true;
        session->connection.cancel();
        return true;
    }
    return false;
}

/// Asio keeps a record per descriptor and never gives one back. Made one by one, each would pin a
/// page between the memory of sessions that are long gone; so they are made side by side.
void HttpServer::Impl::prepare_places() {
    // As many again as there are: a large table of descriptors at once would make the kernel pause
    // the whole process for milliseconds, and the first connection waits for this.
    const std::size_t most = std::min(options.bounds.connections / 16, kPlacesAtOnce) + 1;
    const std::size_t wanted = std::clamp(places, std::min(kFirstPlaces, most), most);
    std::vector<asio::posix::stream_descriptor> together;
    together.reserve(wanted);
    while (together.size() < wanted) {
        const int descriptor = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (descriptor < 0) break;
        together.emplace_back(executor, descriptor);
    }
    places += wanted;
}

bool HttpServer::Impl::make_room_for_guest() {
    if (options.bounds.guests == 0 || options.tls) return false;
    if (guests < options.bounds.guests) return true;
    std::size_t staying = 0;
    std::shared_ptr<HttpSession> oldest;
    for (const auto& session : sessions) {
        if (session->expired || !session->guest) continue;
        ++staying;
        const bool asks_nothing =
            session->phase == HttpPhase::first_byte || session->phase == HttpPhase::head;
        if (!oldest && asks_nothing) oldest = session;
    }
    if (staying < options.bounds.guests) return true;
    if (!oldest) return false;
    turn_away(context, *oldest);
    return true;
}

void HttpServer::Impl::begin_session(int raw, const Peer& peer, bool guest) {
    if (sessions.size() >= places) prepare_places();
    auto session = std::make_shared<HttpSession>(
        HttpConnection(asio::posix::stream_descriptor(executor, raw), options.tls), peer.address,
        peer.port);
    session->accepted_at = clock.now();
    if (peer.address == "unix") session->peer_uid = user_at(raw);
    session->guest = guest;
    if (guest) ++guests;
    if (options.bounds.connection.count() != 0)
        session->connection_limit = clock.now() + options.bounds.connection;
    const auto place = sessions.insert(sessions.end(), session);
    if (sessions.size() >= kCrowd) trim_at = std::max(trim_at, sessions.size() / 4);
    if (options.bounds.connections_per_address != 0) ++per_address[peer.address];
    counters.connections_open.fetch_add(1);
    start_session(shared_from_this(), place);
    // A session that had all it needed is over by now. A sweep without a session would end within
    // this call, but would be completed by a posted handler only; until then stop_sweep is its own.
    if (!sweeping && !sessions.empty()) {
        sweeping = true;
        asio::co_spawn(executor, sweep(shared_from_this()),
                       asio::bind_cancellation_slot(
                           stop_sweep.slot(), [self = shared_from_this()](std::exception_ptr) {}));
    }
}

void HttpServer::Impl::start_session(const std::shared_ptr<Impl>& self, Sessions::iterator place) {
    // The completion handlers own what holds the cancellation signals, which must outlive the
    // coroutines.
    asio::co_spawn(self->executor, run_session(self, place),
                   asio::bind_cancellation_slot((*place)->abandon.slot(),
                                                [session = *place](std::exception_ptr) {}));
}

Task<void> HttpServer::Impl::run_session(std::shared_ptr<Impl> self, Sessions::iterator place) {
    const auto session = *place;
    if (co_await serve(self->context, *session) == SessionEnd::rests)
        rest(self, place);
    else
        self->end_session(place);
}

/// An idle connection needs no coroutine; five thousand of them would hold nine megabytes.
void HttpServer::Impl::rest(const std::shared_ptr<Impl>& self, Sessions::iterator place) {
    HttpSession& session = **place;
    session.at_rest = true;
    session.connection.when_readable([self, place] {
        (*place)->at_rest = false;
        if (!(*place)->expired) return start_session(self, place);
        (*place)->connection.close();
        self->end_session(place);
    });
}

void HttpServer::Impl::end_session(Sessions::iterator place) {
    if (options.bounds.connections_per_address != 0) {
        const auto found = per_address.find((*place)->peer_address);
        if (--found->second == 0) per_address.erase(found);
    }
    if ((*place)->guest) --guests;
    sessions.erase(place);
    counters.connections_open.fetch_sub(1);
    if (sessions.empty()) {
        drained.cancel();
        stop_sweep.emit(asio::cancellation_type::terminal);
    }
}

Task<void> HttpServer::Impl::sweep(std::shared_ptr<Impl> self) {
    co_await asio::this_coro::throw_if_cancelled(false);
    while (!self->sessions.empty()) {
        co_await self->clock.sleep_until(self->clock.now() + kSweepInterval);
        co_await asio::this_coro::reset_cancellation_state();
        const TimePoint now = self->clock.now();
        for (const auto& session : self->sessions)
            if (!expire_if_due(self->context, *session, now))
                rest_if_due(self->context, *session, now);
        self->trim_heap();
    }
    self->trim_heap();
    self->sweeping = false;
}

/// While a crowd leaves, its memory goes back to the kernel; malloc keeps it otherwise. Costs
/// milliseconds, so only a few times per crowd.
void HttpServer::Impl::trim_heap() {
    if (trim_at == 0 || sessions.size() > trim_at) return;
    trim_at = sessions.size() > kFew ? sessions.size() / 4 : 0;
    ::malloc_trim(0);
}

Task<Result<void>> HttpServer::Impl::wait_until_drained() {
    while (!sessions.empty()) {
        // Ends by cancellation either way: by the last session, or by the deadline.
        [[maybe_unused]] const auto outcome =
            co_await drained.async_wait(asio::as_tuple(asio::use_awaitable));
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none)
            co_return Error{ErrorCode::deadline_exceeded, "sessions are still at work"};
    }
    co_return Result<void>{};
}

void HttpServer::Impl::abandon_all() {
    const Sessions copy = sessions;  // a session that ends at once takes itself off the list
    for (const auto& session : copy) {
        session->expired = true;
        session->connection.cancel();
        // On the executor, where the signal is passed on at once; from elsewhere Asio would post
        // it, and the session could be gone by then.
        asio::post(executor,
                   [session] { session->abandon.emit(asio::cancellation_type::terminal); });
    }
}

HttpServer::HttpServer(asio::any_io_executor executor, Clock& clock, HttpServerOptions options)
    : impl_(std::make_shared<Impl>(std::move(executor), clock, std::move(options))) {}

HttpServer::~HttpServer() {
    impl_->context.stopping = true;
    impl_->close_listeners();
    impl_->abandon_all();
}

Result<void> HttpServer::listen(const std::string& address) {
    return impl_->listen(address);
}

std::uint16_t HttpServer::port() const {
    for (const auto& listener : impl_->listeners)
        if (listener.port != 0) return listener.port;
    return 0;
}

void HttpServer::start() {
    impl_->start();
}

void HttpServer::use_tls(std::shared_ptr<const TlsServerContext> context) {
    impl_->options.tls = std::move(context);
}

Task<void> HttpServer::stop(Deadline deadline) {
    const auto self = impl_;
    self->context.stopping = true;
    self->close_listeners();
    const Impl::Sessions copy = self->sessions;
    for (const auto& session : copy) {
        const bool at_work =
            session->phase == HttpPhase::body || session->phase == HttpPhase::handler ||
            session->phase == HttpPhase::write || session->phase == HttpPhase::head;
        if (!at_work) {
            session->expired = true;
            session->connection.cancel();
        } else {
            wake_http2(*session);  // to say GOAWAY
        }
    }
    auto outcome =
        co_await with_deadline(self->clock, deadline, "drain", self->wait_until_drained());
    if (!outcome) {
        log_warn(self->options.log_target, "requests were cut off at the end of the drain",
                 {kv("connections", self->sessions.size())});
        self->abandon_all();
    }
}

const HttpServerCounters& HttpServer::counters() const {
    return impl_->counters;
}

std::string percent_decode(std::string_view text, bool plus_is_space) {
    const auto digit = [](char c) -> int {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        if (c >= 'A' && c <= 'F') return c - 'A' + 10;
        return -1;
    };
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
            digit(text[i + 2]) >= 0) {
            decoded += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
            i += 2;
        } else {
            decoded += plus_is_space && text[i] == '+' ? ' ' : text[i];
        }
    }
    return decoded;
}

}  // namespace runtime
