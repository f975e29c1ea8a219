// Any bytes as what a peer sends on a plain connection, HTTP/1.1 or HTTP/2: the session ends when
// the peer does, and holds nothing then.
#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/http_session.hpp"
#include "launcher/runtime/log.hpp"
#include "tests/support/manual_clock.hpp"

#include <csignal>
#include <cstdlib>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using runtime::Deadline;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;
using runtime::Task;

Task<HttpServerReply> echo(const HttpServerRequest& request, Deadline) {
    HttpServerReply reply;
    reply.headers = {{"x-query", std::to_string(request.query.size())}};
    reply.body = request.path + request.body;
    co_return reply;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::signal(SIGPIPE, SIG_IGN);
    boost::asio::io_context io(1);
    test::ManualClock clock;
    runtime::HttpServerOptions options;
    options.handler = echo;
    options.http2 = true;
    options.bounds.body_bytes = 4096;
    options.bounds.bodies_bytes = 16 * 1024;
    runtime::HttpServerCounters counters;
    runtime::HttpSessionContext context{clock, options, counters};
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        std::abort();
    const auto session = std::make_shared<runtime::HttpSession>(
        runtime::HttpConnection(boost::asio::posix::stream_descriptor(io, ends[0]), nullptr),
        "unix", 0);
    bool ended = false, rests = false;
    const auto serve = [&] {
        rests = false;
        boost::asio::co_spawn(io, runtime::serve(context, *session),
                              [&](std::exception_ptr, runtime::SessionEnd end) {
                                  (end == runtime::SessionEnd::rests ? rests : ended) = true;
                              });
        test::run_ready(io);
    };
    serve();
    std::string_view input = runtime::as_text({data, size});
    while (!input.empty() && !ended) {
        // In pieces, so that what is read is cut in odd places.
        const ssize_t put =
            ::send(ends[1], input.data(), std::min<std::size_t>(input.size(), 997), MSG_NOSIGNAL);
        if (put <= 0) break;
        input.remove_prefix(static_cast<std::size_t>(put));
        if (rests) serve();
        test::run_ready(io);
        clock.advance(std::chrono::milliseconds(300));
        runtime::rest_if_due(context, *session, clock.now());
        test::run_ready(io);
        char answers[65536];
        while (::recv(ends[1], answers, sizeof answers, 0) > 0) {
        }
    }
    ::close(ends[1]);
    if (rests) serve();
    test::run_ready(io);
    if (!ended || counters.body_bytes.load() != 0 || counters.requests_in_flight.load() != 0)
        std::abort();
    return 0;
}
