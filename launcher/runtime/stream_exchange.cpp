#include "launcher/runtime/stream_exchange.hpp"

#include "launcher/runtime/http_fault.hpp"
#include "launcher/runtime/with_deadline.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <linux/vm_sockets.h>
#include <sys/socket.h>

namespace runtime {
namespace {

namespace http = boost::beast::http;
using Stream = asio::generic::stream_protocol;
using Parser = http::response_parser<http::string_body>;

constexpr std::size_t kHeadBytes = 64 * 1024;
constexpr std::size_t kReadBytes = 4 * 1024;

/// What a failed system call means; an operation that was cancelled has no result, its canceller
/// has.
Result<HttpExchange> broken_off(HttpFault kind, const boost::system::error_code& error) {
    if (error == asio::error::operation_aborted)
        return Error{ErrorCode::deadline_exceeded, "the exchange was cancelled"};
    return failed_exchange({kind, error.message()});
}

std::string request_text(const HttpClientRequest& request) {
    std::string_view rest = request.url;
    rest.remove_prefix(std::min(rest.find("://") + 3, rest.size()));
    const std::size_t host_end = std::min(rest.find_first_of("/?#"), rest.size());
    const std::string_view host = rest.substr(0, host_end);
    rest = rest.substr(host_end);
    rest = rest.substr(0, rest.find('#'));
    std::string text = request.method + " ";
    if (!rest.starts_with('/')) text += '/';
    text.append(rest).append(" HTTP/1.1\r\nHost: ").append(host);
    for (const auto& [name, value] : request.headers)
        text.append("\r\n").append(name).append(": ").append(value);
    if (request.method != "GET" || !request.body.empty())
        text.append("\r\nContent-Length: ").append(std::to_string(request.body.size()));
    return text.append("\r\n\r\n").append(request.body);
}

HttpExchange fault_of(const boost::system::error_code& error) {
    if (error == http::error::body_limit || error == http::error::header_limit)
        return failed_exchange({HttpFault::too_large, "the answer is too large"});
    if (error == http::error::partial_message || error == http::error::end_of_stream)
        return failed_exchange({HttpFault::closed, "the answer ends too early"});
    return failed_exchange({HttpFault::malformed, error.message()});
}

/// What an exchange holds and how far it is; outlives the operation that is cut off.
struct Progress {
    explicit Progress(const asio::any_io_executor& executor) : socket(executor) {}
    Stream::socket socket;
    HttpStage stage = HttpStage::connect;
    bool sent = false;
    bool answered = false;
};

/// The answer as it comes in.
class Answer {
  public:
    Answer(bool without_body, std::size_t limit) : without_body_(without_body), limit_(limit) {
        begin();
    }

    /// Takes what came; interim answers (1xx) leave nothing behind.
    void take(std::string_view bytes, boost::system::error_code& error) {
        pending_.append(bytes);
        while (!error && !pending_.empty() && !parser_->is_done()) {
            const std::size_t used = parser_->put(asio::buffer(pending_), error);
            pending_.erase(0, used);
            if (!error && parser_->is_header_done() && !note_head()) continue;
            if (used == 0) break;
        }
        if (error == http::error::need_more) error = {};
    }
    void end(boost::system::error_code& error) { parser_->put_eof(error); }
    bool has_begun() const { return parser_->got_some(); }
    bool has_head() const { return parser_->is_header_done(); }
    bool is_done() const { return parser_->is_done(); }
    /// Once it is done.
    HttpExchange result() && {
        exchange_.body = std::move(parser_->get().body());
        return std::move(exchange_);
    }

  private:
    void begin() {
        parser_.emplace();
        parser_->skip(without_body_);
        parser_->header_limit(kHeadBytes);
        parser_->body_limit(limit_);
    }
    /// Keeps status and headers: trailers would join them later. False for an interim answer.
    bool note_head() {
        if (exchange_.status != 0) return true;
        const auto& head = parser_->get();
        if (head.result_int() < 200) {
            begin();
            return false;
        }
        parser_->eager(true);  // from here on: trailers must not be taken for headers
        exchange_.status = head.result_int();
        for (const auto& field : head) {
            std::string name(field.name_string());
            for (char& c : name)
                if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
            exchange_.headers.emplace_back(std::move(name), field.value());
        }
        return true;
    }

    bool without_body_;
    std::size_t limit_;
    std::optional<Parser> parser_;
    std::string pending_;
    HttpExchange exchange_;
};

/// No exchange when connected, else why not.
Task<Result<std::optional<HttpExchange>>> connect(std::shared_ptr<Progress> progress,
                                                  Stream::endpoint peer) {
    const auto [refused] =
        co_await progress->socket.async_connect(peer, asio::as_tuple(asio::use_awaitable));
    if (!refused) co_return std::optional<HttpExchange>();
    CO_TRY(auto why, broken_off(HttpFault::cannot_connect, refused));
    co_return std::optional<HttpExchange>(std::move(why));
}

/// Request and answer, bounded by whoever awaits it.
Task<Result<HttpExchange>> converse(std::shared_ptr<Progress> progress, HttpClientRequest request) {
    Stream::socket& socket = progress->socket;
    const std::string text = request_text(request);
    progress->sent = true;
    progress->stage = HttpStage::answer;
    const auto [broken, sent] =
        co_await asio::async_write(socket, asio::buffer(text), asio::as_tuple(asio::use_awaitable));
    // A peer that refuses what is sent may have answered already: its words count.
    if (broken == asio::error::operation_aborted) co_return broken_off(HttpFault::closed, broken);

    Answer answer(request.method == "HEAD", request.max_response_bytes);
    std::array<char, kReadBytes> piece{};
    while (!answer.is_done()) {
        const auto [ended, size] = co_await socket.async_read_some(
            asio::buffer(piece), asio::as_tuple(asio::use_awaitable));
        if (size > 0 && !std::exchange(progress->answered, true)) progress->stage = HttpStage::head;
        boost::system::error_code error;
        answer.take(std::string_view(piece.data(), size), error);
        if (!error && ended == asio::error::eof && answer.has_begun())
            answer.end(error);
        else if (!error && ended)
            co_return broken_off(HttpFault::closed, ended);
        if (error) co_return fault_of(error);
        if (answer.has_head()) progress->stage = HttpStage::body;
    }
    co_return std::move(answer).result();
}

}  // namespace

Task<HttpExchange> stream_exchange(Clock& clock, Stream::endpoint peer, HttpClientRequest request,
                                   Deadline deadline) {
    const TimePoint began = clock.now();
    const std::string where = request.unix_socket.empty() ? url_origin(request.url)
                                                          : "unix socket " + request.unix_socket;
    const auto progress = std::make_shared<Progress>(co_await asio::this_coro::executor);
    const auto late = [&](Deadline limit) {
        const auto span = std::chrono::round<std::chrono::milliseconds>(limit.at() - began);
        return failed_exchange(
            {HttpFault::timed_out, explain_timeout(progress->stage, span, where)});
    };
    const Deadline connected_by = deadline.narrowed(began, request.connect_timeout);
    auto outcome = co_await with_deadline(clock, connected_by, "connecting",
                                          connect(progress, std::move(peer)));
    HttpExchange exchange;
    if (!outcome) {
        exchange = late(connected_by);
    } else if (*outcome) {
        exchange = std::move(**outcome);
    } else {
        auto answer = co_await with_deadline(clock, deadline, "the exchange",
                                             converse(progress, std::move(request)));
        exchange = answer ? std::move(*answer) : late(deadline);
    }
    if (exchange.fault != HttpFault::none && exchange.fault != HttpFault::timed_out)
        exchange.fault_detail = where + ": " + exchange.fault_detail;
    exchange.request_sent = progress->sent;
    exchange.answer_began = progress->answered;
    co_return exchange;
}

Task<HttpExchange> vsock_exchange(Clock& clock, std::uint32_t cid, std::uint32_t port,
                                  HttpClientRequest request, Deadline deadline) {
    sockaddr_vm address{};
    address.svm_family = AF_VSOCK;
    address.svm_cid = cid;
    address.svm_port = port;
    co_return co_await stream_exchange(clock, Stream::endpoint(&address, sizeof address),
                                       std::move(request), deadline);
}

}  // namespace runtime
