/// One session of the server: the story of a connection from handshake to close. HTTP/2 leaves for
/// http2_session.hpp once the protocol is known. Internal to the HTTP server.
#pragma once

#include "launcher/runtime/http_connection.hpp"
#include "launcher/runtime/http_server.hpp"

#include <ctime>
#include <optional>
#include <string>

#include <boost/asio/cancellation_signal.hpp>

namespace runtime {

/// What a session waits for; each phase has its own bound and counter.
enum class HttpPhase { handshake, first_byte, head, body, handler, write, idle };

class Http2Connection;

/// State that the sweep looks at. Belongs to the server's strand.
struct HttpSession {
    HttpSession(HttpConnection accepted, std::string address, std::uint16_t port)
        : connection(std::move(accepted)), peer_address(std::move(address)), peer_port(port) {}

    HttpConnection connection;
    std::string peer_address;
    std::uint16_t peer_port;
    std::optional<unsigned> peer_uid{};
    HttpPhase phase = HttpPhase::handshake;
    TimePoint phase_limit = TimePoint::max();  ///< when the phase has taken too long
    TimePoint connection_limit = TimePoint::max();
    TimePoint accepted_at{};
    std::size_t served = 0;             ///< requests so far; HTTP/1 only
    bool rest_due = false;              ///< its coroutine is to end, see SessionEnd::rests
    bool at_rest = false;               ///< it has no coroutine until the peer speaks
    bool guest = false;                 ///< beyond HttpBounds::connections: one request, then close
    bool expired = false;               ///< a limit fired; the session is on its way out
    asio::cancellation_signal abandon;  ///< ends a handler at the end of a drain
    std::shared_ptr<Http2Connection> http2{};  ///< once the peer has chosen HTTP/2
    bool waits_for_input = false;              ///< HTTP/2: idle until the peer or a handler speaks
};

/// What a session needs of its server; outlives every session.
struct HttpSessionContext {
    Clock& clock;
    const HttpServerOptions& options;
    HttpServerCounters& counters;
    bool stopping = false;  ///< no further request is read
    std::string date{};     ///< value of the Date header
    std::time_t date_second = 0;
};

enum class SessionEnd {
    closed,
    /// The peer has been silent for a while. The coroutine ends to give its memory back; the
    /// connection stays, and serve() goes on with it when it has become readable.
    rests,
};

/// Serves requests until the connection ends or rests. Never throws.
Task<SessionEnd> serve(HttpSessionContext& context, HttpSession& session);

/// Asks a session to rest that has waited a while for its peer.
void rest_if_due(HttpSessionContext& context, HttpSession& session, TimePoint now);

/// Tells a guest that has sent no request that there is no room, and ends it.
void turn_away(HttpSessionContext& context, HttpSession& session);

/// Whether a limit of the session has passed at `now`; then its counter was increased and the
/// session told to end.
bool expire_if_due(HttpSessionContext& context, HttpSession& session, TimePoint now);

}  // namespace runtime
