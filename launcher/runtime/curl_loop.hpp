/// CurlLoop: libcurl's multi interface on an Asio executor. Knows sockets and timers, nothing of
/// HTTP; http_client.cpp is its only user.
///
/// curl owns its descriptors. They are watched by an epoll set of this class, and Asio watches that
/// set: libcurl 7.88 closes sockets on which no connection came about without a word, and a number
/// that then belongs to somebody else must not be touched in Asio's own set. Four more habits of
/// it are corrected here, because they break what HttpClient promises:
/// - An idle connection on which bytes arrived unasked counts as usable, and those bytes would be
///   taken for the answer to the next request. Such connections are cut before every start.
/// - A request that finds its kept connection closed is silently sent again, up to five times.
///   Here it is sent once.
/// - The bound on kept connections counts those at work too. Here it counts idle ones.
/// - When the first address of a host fails, the next one is not tried before some timer runs out.
///   Here it is, at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <poll.h>

namespace runtime {

namespace asio = boost::asio;

/// What happened on the wire for one transfer. Owned by the transfer, filled in by the loop.
struct CurlWire {
    class CurlLoop* loop = nullptr;
    void* easy = nullptr;
    int descriptor = -1;       ///< the last socket that curl used for this transfer
    std::uint64_t serial = 0;  ///< of its watch; descriptors are used again
    int open_errno = 0;        ///< why no socket could be opened
    bool opened = false;       ///< a new connection was begun
    bool sent = false;         ///< curl was connected and began to send
    bool sent_on_new = false;  ///< … on a connection opened for this transfer
};

class CurlLoop {
  public:
    /// Called when a transfer has ended by itself, with its CURLcode. The callee calls finish().
    using OnDone = std::function<void(CurlWire& wire, int code)>;

    /// Everything runs on `executor`: one thread, or a strand.
    CurlLoop(asio::any_io_executor executor, std::size_t kept_connections, OnDone on_done);
    /// Closes all connections. The owner has finished or aborted every transfer before.
    ~CurlLoop();
    CurlLoop(const CurlLoop&) = delete;
    CurlLoop& operator=(const CurlLoop&) = delete;

    /// Sets the callbacks of a new easy handle. `wire` must live as long as the handle.
    void adopt(void* easy, CurlWire& wire);
    /// Starts a transfer and does at once what needs no waiting; may call OnDone, for this transfer
    /// too. False when curl refuses the handle.
    bool add(CurlWire& wire);
    /// Takes a transfer that has ended out of the loop; its connection is kept if curl kept it.
    void finish(const CurlWire& wire);
    /// Ends a transfer that is under way. Its connection is closed, so that a late answer reaches
    /// nobody.
    void abort(const CurlWire& wire);
    std::size_t size() const { return transfers_; }

  private:
    struct Watch {
        int descriptor = -1;
        std::uint64_t serial = 0;
        /// The kernel's name of the socket; 0 for curl's own wake-up socket of a lookup.
        std::uint64_t cookie = 0;
        int wanted = 0;  ///< CURL_POLL_* bits
        bool in_set = false;
        bool armed = false;  ///< one event will be reported
        std::size_t idle_place = kNotIdle;
    };
    struct Callbacks;
    static constexpr std::size_t kNotIdle = static_cast<std::size_t>(-1);

    Watch* find(int descriptor, std::uint64_t serial);
    void want(Watch& watch, int what);
    void arm(Watch& watch);
    void forget(int descriptor);
    void wait_for_events();
    void take_events();
    void act(int descriptor, int events);
    void nudge(const CurlWire& wire);
    void report_finished();
    void remove(const CurlWire& wire);
    void set_timer(long milliseconds);
    void arm_timer();
    void transfer_ended();

    void add_idle(Watch& watch);
    void remove_idle(Watch& watch);
    void cut_soiled_connections();

    asio::any_io_executor executor_;
    std::size_t kept_connections_;
    OnDone on_done_;
    void* multi_ = nullptr;
    std::size_t transfers_ = 0;
    std::vector<const CurlWire*> unsettled_;  ///< whose sockets changed before they were connected
    std::uint64_t serials_ = 0;               ///< given to watches so far
    asio::posix::stream_descriptor epoll_;    ///< the set of all descriptors that curl waits for
    bool waiting_ = false;                    ///< … is being waited for
    std::size_t armed_ = 0;                   ///< descriptors whose next event is awaited
    std::unordered_map<int, Watch> watches_;
    std::vector<pollfd> idle_;  ///< connections that no transfer uses, ready for poll(2)
    int dead_socket_ = -1;      ///< takes the place of a connection that was cut
    asio::steady_timer timer_;
    using TimerPoint = asio::steady_timer::time_point;
    TimerPoint timer_due_ = TimerPoint::max();  ///< when curl wants to be called
    bool timer_held_ = false;  ///< within a call of curl, which may move its time-out several times
    TimerPoint timer_armed_ =
        TimerPoint::max();         ///< when timer_ will fire; not later than timer_due_
    std::shared_ptr<bool> alive_;  ///< false once destroyed; handlers that come late look at it
};

}  // namespace runtime
