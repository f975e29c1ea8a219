/// FakeHttpClient: plays the peer for code that asks through runtime::HttpClient. No socket, no
/// real time.
#pragma once

#include "launcher/runtime/http_client.hpp"

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

class FakeHttpClient final : public runtime::HttpClient {
  public:
    using Headers = std::vector<std::pair<std::string, std::string>>;

    /// What happens to one request.
    struct Reply {
        runtime::HttpExchange exchange;
        runtime::Duration after{
            0};              ///< on the clock; at the deadline the exchange times out instead
        bool hangs = false;  ///< until the deadline

        static Reply ok(std::string_view body, unsigned status = 200, Headers headers = {});
        static Reply fault(runtime::HttpFault fault,
                           std::string_view detail = "played by the test");
        static Reply hang();
        Reply later(runtime::Duration span) const;
        Reply on_reused_connection() const;
    };
    struct Asked {
        runtime::HttpClientRequest request;
        runtime::Deadline deadline;
    };
    using Handler = std::function<Reply(const runtime::HttpClientRequest&)>;

    explicit FakeHttpClient(runtime::Clock& clock) : clock_(clock) {}

    /// Queued replies are used first, one per request, in order; then the handler. A request beyond
    /// both is a fault (internal) that says so.
    void add(Reply reply) { replies_.push_back(std::move(reply)); }
    void handle(Handler handler) { handler_ = std::move(handler); }

    const std::vector<Asked>& asked() const { return asked_; }
    std::size_t in_flight() const { return in_flight_; }
    std::size_t replies_left() const { return replies_.size(); }

    runtime::Task<runtime::HttpExchange> exchange(runtime::HttpClientRequest request,
                                                  runtime::Deadline deadline) override;

  private:
    Reply next(const runtime::HttpClientRequest& request);

    runtime::Clock& clock_;
    std::deque<Reply> replies_;
    Handler handler_;
    std::vector<Asked> asked_;
    std::size_t in_flight_ = 0;
};

}  // namespace test
