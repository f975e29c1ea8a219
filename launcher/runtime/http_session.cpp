#include "launcher/runtime/http_session.hpp"

#include "launcher/runtime/http2_connection.hpp"
#include "launcher/runtime/http2_session.hpp"
#include "launcher/runtime/http_exchange.hpp"
#include "launcher/runtime/log.hpp"
#include "launcher/runtime/secret.hpp"

#include <array>
#include <ctime>
#include <exception>
#include <optional>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace runtime {
namespace {

namespace http = boost::beast::http;
using Parser = http::request_parser<http::string_body>;

constexpr std::uint64_t kDiscardBytes = 64ULL * 1024 * 1024;  ///< of a body that is too large
constexpr std::chrono::milliseconds kRestAfter{250};
constexpr std::size_t kHeadRoom = 512;  ///< the head of most answers is shorter
constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

void enter(HttpSessionContext& context, HttpSession& session, HttpPhase phase,
           std::chrono::milliseconds limit) {
    session.phase = phase;
    session.phase_limit = context.clock.now() + limit;
}

struct Framing {
    bool head_only = false;
    bool keep_alive = true;
    bool http_1_0 = false;
};

std::string serialize(HttpSessionContext& context, const HttpServerReply& reply, Framing framing) {
    std::string text;
    text.reserve(kHeadRoom + (framing.head_only ? 0 : reply.body.size()));
    text += framing.http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ";
    text += std::to_string(reply.status);
    text += ' ';
    const auto reason = http::obsolete_reason(http::int_to_status(reply.status));
    text.append(reason.data(), reason.size());
    const auto add = [&text](std::string_view name, std::string_view value) {
        text.append("\r\n", 2).append(name).append(": ", 2).append(value);
    };
    if (!reply.content_type.empty()) add("content-type", reply.content_type);
    for (const auto& header : reply.headers) add(header.name, header.value);
    if (reply.common_headers)
        for (const auto& header : *reply.common_headers) add(header.name, header.value);
    add("content-length", std::to_string(reply.body.size()));
    if (!framing.keep_alive)
        add("connection", "close");
    else if (framing.http_1_0)
        add("connection", "keep-alive");
    add("date", date_now(context));
    text += "\r\n\r\n";
    if (!framing.head_only) text += reply.body;
    return text;
}

HttpServerRequest head_of(const Parser& parser, const HttpSession& session) {
    const auto& message = parser.get();
    HttpServerRequest request;
    request.method = std::string(message.method_string());
    request.target = std::string(message.target());
    request.headers.reserve(8);
    for (const auto& field : message)
        request.headers.push_back({std::string(field.name_string()), std::string(field.value())});
    split_target(request);
    request.peer_address = session.peer_address;
    request.peer_uid = session.peer_uid;
    request.peer_port = session.peer_port;
    return request;
}

/// Feeds what is pending to the parser, reading more when it needs more, until `done` says so.
/// `progress` is asked after each piece; false ends it as `failed`.
template <class Done, class Progress>
Task<IoOutcome> parse_until(HttpSession& session, std::string& pending, Parser& parser,
                            boost::beast::error_code& error, Done done, Progress progress) {
    while (!done(parser)) {
        const std::size_t used = parser.put(asio::buffer(pending), error);
        pending.erase(0, used);
        if (error == http::error::need_more) error = {};
        if (error || !progress(parser)) co_return IoOutcome::failed;
        if (done(parser)) break;
        if (used != 0 && !pending.empty()) continue;
        if (const IoOutcome read = co_await session.connection.read_append(pending);
            read != IoOutcome::ok)
            co_return read;
    }
    co_return IoOutcome::ok;
}

/// The bytes of a body, counted while they are held (HttpBounds::bodies_bytes).
class HeldBody {
  public:
    explicit HeldBody(HttpSessionContext& context) : context_(context) {}
    ~HeldBody() { release_body(context_, size_); }
    HeldBody(const HeldBody&) = delete;
    HeldBody& operator=(const HeldBody&) = delete;

    bool grow_to(std::size_t size) {
        if (size <= size_) return true;
        if (!hold_body(context_, size - size_)) return false;
        size_ = size;
        return true;
    }

  private:
    HttpSessionContext& context_;
    std::size_t size_ = 0;
};

/// Last words of a connection: a status and nothing else.
void refuse(HttpSessionContext& context, HttpSession& session, unsigned status) {
    HttpServerReply reply;
    reply.status = status;
    session.connection.write_now(serialize(context, reply, {.keep_alive = false}));
}

/// Ends a connection whose request head cannot be understood.
void refuse_head(HttpSessionContext& context, HttpSession& session, unsigned status) {
    context.counters.heads_refused.add();
    refuse(context, session, status);
}

/// Reads and drops what is left of an announced body. A peer that is still sending would otherwise
/// be reset before it has read the answer. False when the connection is lost.
Task<bool> discard(HttpSession& session, std::string& pending, std::uint64_t length) {
    std::uint64_t dropped = std::min<std::uint64_t>(pending.size(), length);
    pending.clear();
    while (dropped < length) {
        if (co_await session.connection.read_append(pending) != IoOutcome::ok) co_return false;
        dropped += pending.size();
        pending.clear();
    }
    co_return true;
}

/// Reads the body into `request`, within `limit` bytes. False when the connection is lost.
Task<bool> read_body(HttpSessionContext& context, HttpSession& session, std::string& pending,
                     Parser& parser, HttpServerRequest& request, HeldBody& held) {
    const std::size_t limit = context.options.body_limit ? context.options.body_limit(request)
                                                         : context.options.bounds.body_bytes;
    if (const auto length = parser.content_length(); length && *length > limit) {
        request.body_fault = BodyFault::too_large;
        if (request.header("expect").empty() && *length <= kDiscardBytes) {
            enter(context, session, HttpPhase::body, context.options.bounds.body);
            co_return co_await discard(session, pending, *length);
        }
        co_return true;
    }
    if (parser.is_done()) co_return true;
    parser.body_limit(limit);
    parser.eager(true);
    enter(context, session, HttpPhase::body, context.options.bounds.body);
    if (boost::beast::iequals(request.header("expect"), "100-continue") &&
        co_await session.connection.write_all(kContinue) != IoOutcome::ok)
        co_return false;
    boost::beast::error_code error;
    bool room = true;
    const TimePoint since = context.clock.now();
    const IoOutcome outcome = co_await parse_until(
        session, pending, parser, error, [](const Parser& p) { return p.is_done(); },
        [&](const Parser& p) {
            const std::size_t size = p.get().body().size();
            session.phase_limit = since + body_time(context.options.bounds, size);
            return room = held.grow_to(size);
        });
    if (!room) {
        refuse(context, session, 503);
        co_return false;
    }
    if (outcome == IoOutcome::ok)
        request.body = std::move(parser.get().body());
    else if (error == http::error::body_limit)
        request.body_fault = BodyFault::too_large;
    else if (error || outcome == IoOutcome::end)
        request.body_fault = BodyFault::broken;
    else
        co_return false;
    co_return true;
}

unsigned status_for(const boost::beast::error_code& error) {
    return error == http::error::header_limit ? 431U : 400U;
}

/// Serves one request. False when the connection is to be closed.
Task<bool> serve_one(HttpSessionContext& context, HttpSession& session, std::string& pending,
                     bool last) {
    const HttpBounds& bounds = context.options.bounds;
    enter(context, session, HttpPhase::head, bounds.head);
    std::optional<Parser> parser(std::in_place);
    parser->header_limit(static_cast<std::uint32_t>(bounds.head_bytes));
    parser->body_limit(boost::none);
    boost::beast::error_code error;
    const IoOutcome head = co_await parse_until(
        session, pending, *parser, error, [](const Parser& p) { return p.is_header_done(); },
        [](const Parser&) { return true; });
    if (head != IoOutcome::ok) {
        if (error) refuse_head(context, session, status_for(error));
        if (session.expired && !session.guest) refuse_head(context, session, 408);
        co_return false;
    }
    HttpServerRequest request = head_of(*parser, session);
    if (session.connection.is_tls())
        request.client_certificate = session.connection.client_certificate();
    if (request.headers.size() > bounds.head_fields ||
        request.target.size() > bounds.target_bytes) {
        refuse_head(context, session, request.target.size() > bounds.target_bytes ? 414U : 431U);
        co_return false;
    }
    HeldBody held(context);
    const bool whole = co_await read_body(context, session, pending, *parser, request, held);
    if (!whole) co_return false;
    Framing framing;
    framing.head_only = request.method == "HEAD";
    framing.http_1_0 = parser->get().version() == 10;
    framing.keep_alive =
        parser->get().keep_alive() && !last && request.body_fault == BodyFault::none;
    parser.reset();  // idle and working sessions keep no parser

    enter(context, session, HttpPhase::handler, bounds.handler);
    HttpServerReply reply = co_await answer(context, request);
    framing.keep_alive = framing.keep_alive && !reply.close && !context.stopping;
    enter(context, session, HttpPhase::write, bounds.write);
    std::string text = serialize(context, reply, framing);
    if (reply.secret) wipe(reply.body);
    const IoOutcome written = co_await session.connection.write_all(text, !framing.keep_alive);
    if (reply.secret) wipe(text);
    co_return written == IoOutcome::ok&& framing.keep_alive;
}

void note_handshake(HttpSessionContext& context, IoOutcome outcome, bool resumed) {
    HttpServerCounters& counters = context.counters;
    if (outcome != IoOutcome::ok) counters.handshakes_failed.add();
    if (resumed) counters.tls_resumed.add();
    counters.tls_sessions_expired.store(context.options.tls->sessions_expired());
    counters.tls_sessions_evicted.store(context.options.tls->sessions_evicted());
}

/// Whether the first bytes are HTTP/2's preface (prior knowledge, RFC 9113 section 3.3). Reads on
/// only as long as they may become it; `pending` is empty when the connection was lost meanwhile.
Task<bool> opens_http2(HttpSessionContext& context, HttpSession& session, std::string& pending) {
    if (kHttp2Preface.starts_with(std::string_view(pending).substr(0, kHttp2Preface.size())))
        enter(context, session, HttpPhase::head, context.options.bounds.head);
    while (pending.size() < kHttp2Preface.size() && kHttp2Preface.starts_with(pending)) {
        const IoOutcome outcome = co_await session.connection.read_append(pending);
        if (outcome == IoOutcome::ok) continue;
        pending.clear();
        break;
    }
    co_return pending.starts_with(kHttp2Preface);
}

Task<SessionEnd> serve_requests(HttpSessionContext& context, HttpSession& session) {
    const HttpBounds& bounds = context.options.bounds;
    // A wait that goes on after a rest keeps the limit it began with.
    bool goes_on = session.phase != HttpPhase::handshake;
    if (session.connection.is_tls() && !goes_on) {
        enter(context, session, HttpPhase::handshake, bounds.handshake);
        const IoOutcome outcome = co_await session.connection.handshake();
        note_handshake(context, outcome, session.connection.resumed());
        if (outcome != IoOutcome::ok) co_return SessionEnd::closed;
    }
    std::string pending;  // bytes read ahead of the request at work
    for (; !context.stopping; ++session.served) {
        const bool first = session.served == 0;
        if (pending.empty()) {
            std::string().swap(pending);
            if (!std::exchange(goes_on, false))
                enter(context, session, first ? HttpPhase::first_byte : HttpPhase::idle,
                      first ? bounds.first_byte : bounds.idle);
            const IoOutcome outcome = co_await session.connection.read_append(pending);
            const bool to_rest = std::exchange(session.rest_due, false);
            if (outcome == IoOutcome::cancelled && to_rest && !session.expired)
                co_return SessionEnd::rests;
            if (outcome != IoOutcome::ok) co_return SessionEnd::closed;
        }
        if (first && context.options.http2) {
            bool http2 = session.connection.negotiated_http2();
            if (!http2) http2 = co_await opens_http2(context, session, pending);
            if (http2) {
                co_await serve_http2(context, session, std::move(pending));
                co_return SessionEnd::closed;
            }
            if (pending.empty()) co_return SessionEnd::closed;
        }
        const bool last = session.guest || (bounds.requests_per_connection != 0 &&
                                            session.served + 1 >= bounds.requests_per_connection);
        if (!co_await serve_one(context, session, pending, last)) co_return SessionEnd::closed;
    }
    co_return SessionEnd::closed;
}

Counter& counter_of(HttpServerCounters& counters, HttpPhase phase) {
    switch (phase) {
        case HttpPhase::handshake:
            return counters.timeouts_handshake;
        case HttpPhase::first_byte:
            return counters.timeouts_first_byte;
        case HttpPhase::head:
            return counters.timeouts_head;
        case HttpPhase::body:
            return counters.timeouts_body;
        case HttpPhase::handler:
        case HttpPhase::write:
            return counters.timeouts_write;
        case HttpPhase::idle:
            return counters.timeouts_idle;
    }
    return counters.timeouts_idle;
}

}  // namespace

Task<SessionEnd> serve(HttpSessionContext& context, HttpSession& session) {
    try {
        const SessionEnd end = co_await serve_requests(context, session);
        if (end == SessionEnd::rests) co_return end;
    } catch (const std::exception& failure) {
        // Only the end of a drain cancels a session; anything else is a bug worth a line.
        if (!context.stopping)
            log_error(context.options.log_target, "a session failed",
                      {kv("error", failure.what())});
    }
    session.connection.close();
    co_return SessionEnd::closed;
}

void rest_if_due(HttpSessionContext& context, HttpSession& session, TimePoint now) {
    const HttpBounds& bounds = context.options.bounds;
    const bool first = session.phase == HttpPhase::first_byte;
    // Asio's record of how to end a coroutine that is gone.
    if (session.at_rest) return session.abandon.slot().clear();
    if (session.expired || session.http2) return;
    if (!first && session.phase != HttpPhase::idle) return;
    const TimePoint since = session.phase_limit - (first ? bounds.first_byte : bounds.idle);
    if (now < since + kRestAfter) return;
    session.rest_due = true;
    session.connection.cancel();
}

void turn_away(HttpSessionContext& context, HttpSession& session) {
    context.counters.connections_refused.add();
    HttpServerReply reply;
    reply.status = 503;
    session.connection.write_now(serialize(context, reply, {.keep_alive = false}));
    session.expired = true;
    session.connection.cancel();
}

bool expire_if_due(HttpSessionContext& context, HttpSession& session, TimePoint now) {
    if (session.expired) return true;
    if (session.http2 && session.http2->expire_streams(now)) wake_http2(session);
    // A handler has its own deadline and answers in its own words; the connection's life still
    // bounds it.
    const bool phase_over = now >= session.phase_limit && session.phase != HttpPhase::handler;
    const bool asks_nothing =
        session.phase == HttpPhase::first_byte || session.phase == HttpPhase::head;
    if (session.guest && asks_nothing &&
        now >= session.accepted_at + context.options.bounds.guest_stay) {
        turn_away(context, session);
        return true;
    }
    if (!phase_over && now < session.connection_limit) return false;
    session.expired = true;
    counter_of(context.counters, session.phase).add();
    session.connection.cancel();
    return true;
}

}  // namespace runtime
