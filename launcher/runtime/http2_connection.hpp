/// HTTP/2 without a socket: bytes in, requests out; answers in, bytes out. nghttp2 knows the
/// frames, this class the bounds. Internal to the HTTP server. Source: RFC 9113.
#pragma once

#include "launcher/runtime/frame_budget.hpp"
#include "launcher/runtime/http_session.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <boost/asio/cancellation_signal.hpp>

struct nghttp2_session;

namespace runtime {

/// One request and its answer. Owned by its connection while open, and by whoever works on it.
struct Http2Stream {
    enum class Stage {
        head,     ///< header fields are coming
        body,     ///< DATA is coming
        at_work,  ///< complete, the handler has it
        answer,   ///< the answer is on its way
        closed,   ///< answered, reset by either side, or the connection is gone
    };

    std::int32_t id = 0;
    Stage stage = Stage::head;
    TimePoint limit = TimePoint::max();  ///< when the stage has taken too long
    TimePoint body_since{};
    HttpServerRequest request;
    std::size_t head_size = 0;   ///< as RFC 9113 section 6.5.2 counts it
    std::size_t dropped = 0;     ///< bytes of the body that came after the answer was decided
    std::size_t body_limit = 0;  ///< bytes
    unsigned refused_with = 0;   ///< status, when the head broke a bound
    bool request_ended = false;  ///< the peer has sent all of it
    HttpServerReply reply{};     ///< nghttp2 borrows from it until the stream is closed
    std::string status_text{};   ///< likewise
    std::string length_text{};   ///< likewise
    std::string date_text{};     ///< likewise
    bool has_handler = false;    ///< a handler is at work on it, whatever its stage
    std::size_t body_sent = 0;   ///< bytes of the answer's body
    asio::cancellation_signal
        abandon{};  ///< ends the handler; its completion handler keeps this alive
};

class Http2Connection {
  public:
    using StreamPtr = std::shared_ptr<Http2Stream>;

    /// `context` must outlive it. `peer` is copied into each request: the fields that tell who
    /// asks.
    Http2Connection(HttpSessionContext& context, HttpServerRequest peer);
    ~Http2Connection();
    Http2Connection(const Http2Connection&) = delete;
    Http2Connection& operator=(const Http2Connection&) = delete;

    /// Takes what the peer sent, the preface first. False when the peer broke the protocol or a
    /// bound: write what produce() still gives, then close.
    bool receive(std::string_view bytes);
    /// Requests that became complete since the last call; each is to be answered once.
    std::vector<StreamPtr> take_complete();
    /// Submits the answer; nothing happens when the stream is closed by now.
    void answer(const StreamPtr& stream, HttpServerReply reply);
    /// Appends frames to be sent until `into` has at least `enough` bytes or none are left.
    void produce(std::string& into, std::size_t enough);

    /// Resets streams whose stage has taken too long at `now`, and counts them. True when there is
    /// something to send.
    bool expire_streams(TimePoint now);
    /// Announces that no further stream is served; those open are. May be called again.
    void shut_down();
    /// No stream is open and none will be.
    bool finished() const;
    bool is_idle() const { return open_.empty(); }
    const std::unordered_map<std::int32_t, StreamPtr>& open() const { return open_; }
    /// Closes all streams: their handlers' answers go nowhere.
    void disconnect();

    std::vector<StreamPtr> with_handler{};  ///< whose handlers are at work; kept by the session

  private:
    struct Callbacks;  ///< nghttp2's, in the .cpp

    Http2Stream* stream_of(std::int32_t id) const;
    void begin_stream(std::int32_t id);
    void add_field(Http2Stream& stream, std::string_view name, std::string_view value);
    void end_head(Http2Stream& stream, bool last_frame);
    void add_body(Http2Stream& stream, std::string_view piece);
    void complete(Http2Stream& stream);
    void refuse(Http2Stream& stream);
    void close_stream(std::int32_t id);
    void submit(Http2Stream& stream);
    void drop_body(Http2Stream& stream);
    void set_limit(Http2Stream& stream, TimePoint limit);
    /// Counts a frame against a budget; ends the connection when it is used up.
    void charge(FrameBudget& budget);

    HttpSessionContext& context_;
    HttpServerRequest peer_;
    nghttp2_session* session_ = nullptr;
    std::unordered_map<std::int32_t, StreamPtr> open_;
    std::vector<StreamPtr> complete_;
    FrameBudget resets_;
    FrameBudget control_frames_;
    TimePoint next_limit_ = TimePoint::max();  ///< no stream's limit comes earlier
    bool shutting_down_ = false;
    bool flooded_ = false;
};

}  // namespace runtime
