#include "tests/support/fake_http_client.hpp"

#include <algorithm>

namespace test {

namespace {

/// Also counts down when the coroutine is destroyed in the middle.
class InFlight {
  public:
    explicit InFlight(std::size_t& count) : count_(count) { ++count_; }
    InFlight(const InFlight&) = delete;
    InFlight& operator=(const InFlight&) = delete;
    ~InFlight() { --count_; }

  private:
    std::size_t& count_;
};

}  // namespace

FakeHttpClient::Reply FakeHttpClient::Reply::ok(std::string_view body, unsigned status,
                                                Headers headers) {
    Reply reply;
    reply.exchange.status = status;
    reply.exchange.body = body;
    reply.exchange.headers = std::move(headers);
    reply.exchange.request_sent = true;
    return reply;
}

FakeHttpClient::Reply FakeHttpClient::Reply::fault(runtime::HttpFault fault,
                                                   std::string_view detail) {
    using runtime::HttpFault;
    Reply reply;
    reply.exchange.fault = fault;
    reply.exchange.fault_detail = detail;
    reply.exchange.request_sent = fault == HttpFault::closed || fault == HttpFault::malformed ||
                                  fault == HttpFault::too_large || fault == HttpFault::timed_out;
    return reply;
}

FakeHttpClient::Reply FakeHttpClient::Reply::hang() {
    Reply reply = fault(runtime::HttpFault::timed_out);
    reply.hangs = true;
    return reply;
}

FakeHttpClient::Reply FakeHttpClient::Reply::later(runtime::Duration span) const {
    Reply reply = *this;
    reply.after = span;
    return reply;
}

FakeHttpClient::Reply FakeHttpClient::Reply::on_reused_connection() const {
    Reply reply = *this;
    reply.exchange.reused_connection = true;
    return reply;
}

FakeHttpClient::Reply FakeHttpClient::next(const runtime::HttpClientRequest& request) {
    if (!replies_.empty()) {
        Reply reply = std::move(replies_.front());
        replies_.pop_front();
        return reply;
    }
    if (handler_) return handler_(request);
    return Reply::fault(runtime::HttpFault::internal, "the test has no reply for this request");
}

runtime::Task<runtime::HttpExchange> FakeHttpClient::exchange(runtime::HttpClientRequest request,
                                                              runtime::Deadline deadline) {
    const InFlight counted(in_flight_);
    asked_.push_back({request, deadline});
    Reply reply = next(request);
    const runtime::TimePoint due = clock_.now() + reply.after;
    const bool in_time = !reply.hangs && !deadline.expired(due);
    co_await clock_.sleep_until(in_time ? due : deadline.at());
    if (!in_time) reply = Reply::fault(runtime::HttpFault::timed_out);
    co_return std::move(reply.exchange);
}

}  // namespace test
