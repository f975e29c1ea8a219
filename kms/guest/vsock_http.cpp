#include "kms/guest/vsock_http.hpp"

#include "launcher/runtime/with_deadline.hpp"

#include <array>
#include <cstring>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <linux/vm_sockets.h>
#include <sys/socket.h>

namespace kms {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using runtime::Deadline;
using runtime::Error;
using runtime::ErrorCode;
using runtime::HttpExchange;
using runtime::HttpFault;
using runtime::Result;
using runtime::Task;
using Stream = asio::generic::stream_protocol;
using Parser = http::response_parser<http::string_body>;

/// What a failed system call means; an operation that was cancelled has no result, its canceller
/// has.
Result<HttpExchange> broken_off(HttpFault kind, const boost::system::error_code& error) {
    if (error == asio::error::operation_aborted)
        return Error{ErrorCode::deadline_exceeded, "the exchange was cancelled"};
    HttpExchange exchange;
    exchange.fault = kind;
    exchange.fault_detail = error.message();
    return exchange;
}

HttpExchange fault(HttpFault kind, std::string detail) {
    HttpExchange exchange;
    exchange.fault = kind;
    exchange.fault_detail = std::move(detail);
    return exchange;
}

std::string request_text(const runtime::HttpClientRequest& request) {
    std::string_view rest = request.url;
    rest.remove_prefix(std::min(rest.find("://") + 3, rest.size()));
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    std::string text = request.method + " ";
    text.append(slash == rest.size() ? "/" : rest.substr(slash)).append(" HTTP/1.1\r\nhost: ");
    text.append(rest.substr(0, slash)).append("\r\ncontent-length: ");
    text.append(std::to_string(request.body.size())).append("\r\nconnection: close\r\n\r\n");
    return text + request.body;
}

/// The whole exchange, bounded by whoever awaits it.
Task<Result<HttpExchange>> run(Stream::endpoint peer, runtime::HttpClientRequest request) {
    Stream::socket socket(co_await asio::this_coro::executor);
    const auto [refused] = co_await socket.async_connect(peer, asio::as_tuple(asio::use_awaitable));
    if (refused) co_return broken_off(HttpFault::cannot_connect, refused);
    const std::string text = request_text(request);
    const auto [broken, sent] =
        co_await asio::async_write(socket, asio::buffer(text), asio::as_tuple(asio::use_awaitable));
    if (broken) co_return broken_off(HttpFault::closed, broken);

    Parser parser;
    parser.eager(true);
    parser.body_limit(request.max_response_bytes);
    std::string pending;
    std::array<char, 16 * 1024> piece{};
    while (!parser.is_done()) {
        const auto [ended, size] = co_await socket.async_read_some(
            asio::buffer(piece), asio::as_tuple(asio::use_awaitable));
        boost::system::error_code error;
        if (ended == asio::error::eof && parser.got_some())
            parser.put_eof(error);
        else if (ended)
            co_return broken_off(HttpFault::closed, ended);
        pending.append(piece.data(), size);
        while (!error && !pending.empty() && !parser.is_done()) {
            const std::size_t used = parser.put(asio::buffer(pending), error);
            pending.erase(0, used);
            if (used == 0) break;
        }
        if (error == http::error::need_more) error = {};
        if (error == http::error::body_limit)
            co_return fault(HttpFault::too_large, "the answer is too large");
        if (error == http::error::partial_message)
            co_return fault(HttpFault::closed, "the answer ends too early");
        if (error) co_return fault(HttpFault::malformed, error.message());
    }
    HttpExchange exchange;
    exchange.status = parser.get().result_int();
    exchange.body = std::move(parser.get().body());
    exchange.request_sent = exchange.answer_began = true;
    co_return exchange;
}

}  // namespace

Task<HttpExchange> stream_exchange(runtime::Clock& clock, Stream::endpoint peer,
                                   runtime::HttpClientRequest request, Deadline deadline) {
    auto outcome = co_await runtime::with_deadline(clock, deadline, "the exchange",
                                                   run(std::move(peer), std::move(request)));
    if (outcome) co_return std::move(*outcome);
    co_return fault(HttpFault::timed_out, std::move(outcome.error().context));
}

Task<HttpExchange> vsock_exchange(runtime::Clock& clock, std::uint32_t cid, std::uint32_t port,
                                  runtime::HttpClientRequest request, Deadline deadline) {
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = cid;
    address.svm_port = port;
    co_return co_await stream_exchange(clock, Stream::endpoint(&address, sizeof address),
                                       std::move(request), deadline);
}

}  // namespace kms
