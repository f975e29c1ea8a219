// Any bytes as what an HTTP/2 peer sends after the preface: requests within their bounds, an answer
// to each, and no stream left when the peer is gone.
#include "launcher/runtime/bytes.hpp"
#include "launcher/runtime/http2_connection.hpp"
#include "tests/support/manual_clock.hpp"

#include <cstdlib>

namespace {

constexpr std::size_t kPiece = 61;  ///< bytes per read, so that frames are cut anywhere

runtime::HttpServerOptions options() {
    runtime::HttpServerOptions options;
    options.bounds.streams = 8;
    options.bounds.head_bytes = 2048;
    options.bounds.body_bytes = 1000;
    options.bounds.bodies_bytes = 4000;
    options.bounds.stream_resets = 20;
    options.bounds.control_frames = 50;
    return options;
}

void check(const runtime::Http2Stream& stream, const runtime::HttpBounds& bounds) {
    if (stream.request.body.size() > bounds.body_bytes) std::abort();
    if (stream.request.headers.size() > bounds.head_fields) std::abort();
    if (stream.request.method.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    test::ManualClock clock;
    const runtime::HttpServerOptions given = options();
    runtime::HttpServerCounters counters;
    runtime::HttpSessionContext context{clock, given, counters};
    {
        runtime::Http2Connection connection(context, {});
        std::string input = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        input.append(
            std::string("\0\0\0\4\0\0\0\0\0", 9));  // SETTINGS, without which nothing goes on
        input.append(runtime::as_text({data, size}));
        std::string output;
        for (std::size_t at = 0; at < input.size(); at += kPiece) {
            if (!connection.receive(std::string_view(input).substr(at, kPiece))) break;
            for (const auto& stream : connection.take_complete()) {
                check(*stream, given.bounds);
                runtime::HttpServerReply reply;
                reply.body = stream->request.path;
                connection.answer(stream, std::move(reply));
            }
            output.clear();
            connection.produce(output, 1 << 16);
            clock.advance(std::chrono::milliseconds(500));
            connection.expire_streams(clock.now());
        }
        connection.disconnect();
        if (!connection.is_idle()) std::abort();
    }
    if (counters.body_bytes.load() != 0) std::abort();  // all that was held was released
    return 0;
}
