/// An HTTP/2 client without a socket: bytes out, bytes in, and what came back per stream.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct nghttp2_session;

namespace test {

struct Http2Answer {
    std::map<std::string, std::string> headers;
    std::string body;
    bool complete = false;    ///< the answer has ended
    bool closed = false;      ///< the stream has
    std::uint32_t error = 0;  ///< why, as in RST_STREAM
    int informational = 0;    ///< answers with status 1xx
    const std::string& status() { return headers[":status"]; }
};

class Http2Client {
  public:
    using Fields = std::vector<std::pair<std::string, std::string>>;

    Http2Client();
    ~Http2Client();
    Http2Client(const Http2Client&) = delete;
    Http2Client& operator=(const Http2Client&) = delete;

    /// Opens a stream; `body` is sent with it unless `open_ended`, when DATA frames follow by hand.
    std::int32_t request(const std::string& method, const std::string& path,
                         const Fields& fields = {}, const std::string& body = "",
                         bool open_ended = false);
    void reset(std::int32_t stream);
    void ping();
    /// Announces how much of answers it takes; call before the first output().
    void stream_window(std::uint32_t bytes);

    /// What is to be sent now.
    std::string output();
    /// Takes what the server sent. False when it broke the protocol.
    bool input(std::string_view bytes);

    Http2Answer& answer(std::int32_t stream) { return answers_[stream]; }
    bool goaway() const { return goaway_; }
    std::uint32_t goaway_error() const { return goaway_error_; }

  private:
    struct Callbacks;
    nghttp2_session* session_ = nullptr;
    std::map<std::int32_t, Http2Answer> answers_;
    std::map<std::int32_t, std::pair<std::string, std::size_t>> bodies_;
    bool goaway_ = false;
    std::uint32_t goaway_error_ = 0;
};

/// One frame as bytes, for what no library would send (RFC 9113 section 4.1).
std::string http2_frame(std::uint8_t type, std::uint8_t flags, std::int32_t stream,
                        std::string_view payload);

}  // namespace test
