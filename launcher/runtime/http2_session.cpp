#include "launcher/runtime/http2_session.hpp"

#include "launcher/runtime/http2_connection.hpp"
#include "launcher/runtime/http_exchange.hpp"
#include "launcher/runtime/log.hpp"
#include "launcher/runtime/secret.hpp"

#include <algorithm>
#include <exception>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace runtime {
namespace {

constexpr std::size_t kWriteBytes = 64 * 1024;  ///< frames gathered for one write

constexpr unsigned kTurnsInARow = 8;  ///< of reading and writing, before others get theirs

using StreamPtr = Http2Connection::StreamPtr;

/// What the parts of one session share; outlives its handlers.
struct Carrier {
    Carrier(HttpSessionContext& server, HttpSession& one, const asio::any_io_executor& on)
        : context(server),
          session(one),
          executor(on),
          handlers_ended(on, asio::steady_timer::time_point::max()) {}

    HttpSessionContext& context;
    HttpSession& session;
    asio::any_io_executor executor;
    asio::steady_timer handlers_ended;
};

/// Once per handler, whichever of its two ends comes first.
void handler_ended(Carrier& carrier, Http2Connection& http2, const StreamPtr& stream) {
    stream->has_handler = false;
    std::erase(http2.with_handler, stream);
    carrier.handlers_ended.cancel();
    wake_http2(carrier.session);
}

Task<void> run_handler(Carrier& carrier, std::shared_ptr<Http2Connection> http2, StreamPtr stream) {
    HttpServerReply reply = co_await answer(carrier.context, stream->request);
    http2->answer(stream, std::move(reply));
    // Here and not in the completion handler: that one is posted, and a busy connection does not
    // return to the loop for many requests.
    handler_ended(carrier, *http2, stream);
}

void start_handlers(Carrier& carrier) {
    const auto& http2 = carrier.session.http2;
    for (StreamPtr& stream : http2->take_complete()) {
        if (http2->with_handler.size() >= carrier.context.options.bounds.streams) {
            // A peer that opens and resets streams leaves handlers behind; they count as its own.
            carrier.context.counters.requests_refused.add();
            HttpServerReply busy;
            busy.status = 503;
            http2->answer(stream, std::move(busy));
            continue;
        }
        stream->has_handler = true;
        http2->with_handler.push_back(stream);
        // After the handler has ended, the session may be gone; before, it is not.
        asio::co_spawn(carrier.executor, run_handler(carrier, http2, stream),
                       asio::bind_cancellation_slot(stream->abandon.slot(),
                                                    [&carrier, http2, stream](std::exception_ptr) {
                                                        if (stream->has_handler)
                                                            handler_ended(carrier, *http2, stream);
                                                    }));
    }
}

/// The session's own bound while nothing is written: idle, or none but those of its streams.
void enter_waiting(Carrier& carrier) {
    HttpSession& session = carrier.session;
    if (!session.http2->is_idle()) {
        session.phase = HttpPhase::handler;
        session.phase_limit = TimePoint::max();
    } else if (session.phase != HttpPhase::idle) {
        // Only here, so that frames without a request do not keep a connection.
        session.phase = HttpPhase::idle;
        session.phase_limit = carrier.context.clock.now() + carrier.context.options.bounds.idle;
    }
}

/// Sends all that is to be sent now. False when the connection is lost.
Task<bool> flush(Carrier& carrier) {
    HttpSession& session = carrier.session;
    std::string output;
    while (true) {
        output.clear();
        session.http2->produce(output, kWriteBytes);
        if (output.empty()) co_return true;
        const HttpPhase phase = session.phase;
        const TimePoint limit = session.phase_limit;
        session.phase = HttpPhase::write;
        session.phase_limit = carrier.context.clock.now() + carrier.context.options.bounds.write;
        const IoOutcome written = co_await session.connection.write_all(output);
        wipe(output);  // an answer may be a key
        if (written != IoOutcome::ok) co_return false;
        session.phase = phase;
        session.phase_limit = limit;
    }
}

Task<void> exchange_frames(Carrier& carrier, std::string received) {
    HttpSession& session = carrier.session;
    Http2Connection& http2 = *session.http2;
    for (unsigned turn = 1;; ++turn) {
        // A peer that always has more to say does not keep the others waiting.
        if (turn % kTurnsInARow == 0) co_await asio::post(carrier.executor, asio::use_awaitable);
        const bool sound = received.empty() || http2.receive(received);
        received.clear();
        start_handlers(carrier);
        if (carrier.context.stopping) http2.shut_down();
        const bool sent = co_await flush(carrier);
        if (!sent || !sound || http2.finished()) co_return;
        enter_waiting(carrier);
        session.waits_for_input = true;
        const IoOutcome outcome = co_await session.connection.read_append(received);
        session.waits_for_input = false;
        const bool woken = outcome == IoOutcome::cancelled && !session.expired;
        if (outcome != IoOutcome::ok && !woken) break;
    }
    // A peer that is told why its connection ends does not have to guess.
    if (session.expired) {
        http2.shut_down();
        std::string last_words;
        http2.produce(last_words, kWriteBytes);
        session.connection.write_now(last_words);
    }
}

/// Waits until every handler has ended; when the server gives up on them, tells them so.
Task<void> join_handlers(Carrier& carrier) {
    Http2Connection& http2 = *carrier.session.http2;
    carrier.session.phase = HttpPhase::handler;
    while (!http2.with_handler.empty()) {
        const auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none) {
            co_await asio::this_coro::reset_cancellation_state();
            const auto at_work =
                http2.with_handler;  // one that ends at once takes itself off the list
            for (const StreamPtr& stream : at_work)
                stream->abandon.emit(asio::cancellation_type::terminal);
        }
        if (http2.with_handler.empty()) break;
        [[maybe_unused]] const auto woken =
            co_await carrier.handlers_ended.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

HttpServerRequest peer_of(const HttpSession& session) {
    HttpServerRequest peer;
    peer.peer_address = session.peer_address;
    peer.peer_port = session.peer_port;
    peer.peer_uid = session.peer_uid;
    if (session.connection.is_tls())
        peer.client_certificate = session.connection.client_certificate();
    return peer;
}

}  // namespace

void wake_http2(HttpSession& session) {
    if (!session.http2 || !session.waits_for_input) return;
    session.waits_for_input = false;
    session.connection.cancel();
}

Task<void> serve_http2(HttpSessionContext& context, HttpSession& session, std::string received) {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto executor = co_await asio::this_coro::executor;
    Carrier carrier(context, session, executor);
    session.http2 = std::make_shared<Http2Connection>(context, peer_of(session));
    try {
        co_await exchange_frames(carrier, std::move(received));
    } catch (const std::exception& failure) {
        // Not passed on before the handlers have ended: they use what lives here.
        log_error(context.options.log_target, "an HTTP/2 session failed",
                  {kv("error", failure.what())});
    }
    session.http2->disconnect();
    session.connection.close();
    co_await join_handlers(carrier);
}

}  // namespace runtime
