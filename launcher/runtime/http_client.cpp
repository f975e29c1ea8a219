#include "launcher/runtime/http_client.hpp"

#include "launcher/runtime/curl_loop.hpp"
#include "launcher/runtime/http_transfer.hpp"

#include <map>
#include <new>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace runtime {

namespace {

constexpr std::size_t kKeptHandles = 64;  // idle easy handles; about 6 KiB each
constexpr int kCurlOk = 0;

/// The handler that resumes a coroutine, whatever its type.
class Waiter {
  public:
    virtual ~Waiter() = default;
    virtual void resume() = 0;
};

template <class Handler>
class HandlerWaiter final : public Waiter {
  public:
    explicit HandlerWaiter(Handler handler) : handler_(std::move(handler)) {}
    void resume() override {
        asio::get_associated_cancellation_slot(handler_).clear();
        asio::post(std::move(handler_));
    }

  private:
    Handler handler_;
};

struct Exchange final : HttpTransfer {
    using HttpTransfer::HttpTransfer;
    std::multimap<TimePoint, Exchange*>::iterator place;  ///< in Impl::expiries, while active
    bool active = false;                                  ///< in the loop's hands
    std::unique_ptr<Waiter> waiter;
};

}  // namespace

struct CurlHttpClient::Impl : std::enable_shared_from_this<Impl> {
    Impl(asio::any_io_executor executor_, Clock& clock_, Options options_)
        : executor(std::move(executor_)),
          clock(clock_),
          options(std::move(options_)),
          loop(std::make_unique<CurlLoop>(
              executor, options.kept_connections,
              [this](CurlWire& wire, int code) { on_done(static_cast<Exchange&>(wire), code); })) {}

    std::unique_ptr<Exchange> begin(HttpClientRequest request, Deadline deadline,
                                    HttpFaultText& refusal);
    void start(Exchange& exchange, std::unique_ptr<Waiter> waiter);
    void on_done(Exchange& exchange, int code);
    void abort(Exchange& exchange);
    void complete(Exchange& exchange);
    void release(std::unique_ptr<Exchange> exchange);
    void shut_down();

    void expire();
    void keep_sleeper();

    asio::any_io_executor executor;
    Clock& clock;
    Options options;
    LookupGate gate;
    std::unique_ptr<CurlLoop> loop;  ///< null once shut down
    std::vector<std::unique_ptr<Exchange>> kept;
    std::multimap<TimePoint, Exchange*> expiries;  ///< every active exchange, by its next limit
    bool addresses_suspect =
        false;  ///< the last connection failed: do not trust remembered addresses

    // One sleeper serves all exchanges. It may sleep shorter than needed, never longer.
    std::shared_ptr<asio::cancellation_signal> sleeper;  ///< null when nobody sleeps
    TimePoint sleeps_until;
    bool sleeper_woken = false;
};

/// Prepares an exchange. When it cannot even begin, the answer is null and `refusal` says why.
std::unique_ptr<Exchange> CurlHttpClient::Impl::begin(HttpClientRequest request, Deadline deadline,
                                                      HttpFaultText& refusal) {
    const TimePoint now = clock.now();
    refusal =
        refuse_to_begin(loop == nullptr, deadline, now, expiries.size(), options.max_in_flight);
    if (refusal.fault != HttpFault::none) return nullptr;
    std::unique_ptr<Exchange> exchange;
    if (kept.empty()) {
        exchange = std::make_unique<Exchange>(*loop, gate, clock, options.user_agent);
    } else {
        exchange = std::move(kept.back());
        kept.pop_back();
    }
    refusal = exchange->prepare(std::move(request), deadline, now,
                                {.keep_connection = options.kept_connections > 0,
                                 .trust_known_addresses = !addresses_suspect});
    if (refusal.fault == HttpFault::none) return exchange;
    release(std::move(exchange));
    return nullptr;
}

void CurlHttpClient::Impl::start(Exchange& exchange, std::unique_ptr<Waiter> waiter) {
    exchange.waiter = std::move(waiter);
    exchange.active = true;
    exchange.place = expiries.emplace(exchange.connect_by(), &exchange);
    keep_sleeper();
    if (!loop->add(exchange)) {
        exchange.result = failed_exchange({HttpFault::internal, "libcurl refused the request"});
        complete(exchange);
    }
}

void CurlHttpClient::Impl::on_done(Exchange& exchange, int code) {
    const TimePoint now = clock.now();
    if (code == kCurlOk) {
        addresses_suspect = false;
        exchange.succeed(now);
    } else {
        addresses_suspect = addresses_suspect || !exchange.sent;
        exchange.fail(code, now);
    }
    loop->finish(exchange);
    complete(exchange);
}

/// Ends an exchange before its time; its result is filled in, its connection is closed.
void CurlHttpClient::Impl::abort(Exchange& exchange) {
    if (exchange.in_lookup()) gate.abandon(clock.now());
    addresses_suspect = addresses_suspect || !exchange.sent;
    loop->abort(exchange);
    complete(exchange);
}

/// Resumes whoever waits. The exchange is out of the loop and its result is filled in.
void CurlHttpClient::Impl::complete(Exchange& exchange) {
    exchange.active = false;
    expiries.erase(exchange.place);
    keep_sleeper();
    if (const auto waiter = std::move(exchange.waiter)) waiter->resume();
}

void CurlHttpClient::Impl::release(std::unique_ptr<Exchange> exchange) {
    if (exchange->active) abort(*exchange);
    exchange->clear();
    if (loop != nullptr && kept.size() < kKeptHandles) kept.push_back(std::move(exchange));
}

void CurlHttpClient::Impl::shut_down() {
    while (!expiries.empty()) {
        Exchange& exchange = *expiries.begin()->second;
        exchange.fail(HttpFault::internal, "the HTTP client was closed during the exchange",
                      clock.now());
        abort(exchange);
    }
    kept.clear();
    loop.reset();
}

void CurlHttpClient::Impl::expire() {
    const TimePoint now = clock.now();
    while (!expiries.empty() && expiries.begin()->first <= now) {
        Exchange& exchange = *expiries.begin()->second;
        if (exchange.sent && !exchange.deadline().expired(now)) {
            // Connected in time; from here on the deadline counts.
            expiries.erase(exchange.place);
            exchange.place = expiries.emplace(exchange.deadline().at(), &exchange);
            continue;
        }
        exchange.time_out(exchange.place->first, now);
        abort(exchange);
    }
}

/// Makes sure that somebody sleeps until the first limit at the latest, and that nobody does when
/// there is none: a sleeper keeps a program running.
void CurlHttpClient::Impl::keep_sleeper() {
    const bool needed = !expiries.empty();
    if (sleeper) {
        if (sleeper_woken || (needed && expiries.begin()->first >= sleeps_until)) return;
        sleeper_woken = true;  // and comes back here
        sleeper->emit(asio::cancellation_type::terminal);
        return;
    }
    if (!needed) return;
    sleeper = std::make_shared<asio::cancellation_signal>();
    sleeper_woken = false;
    sleeps_until = expiries.begin()->first;
    asio::co_spawn(executor, clock.sleep_until(sleeps_until),
                   asio::bind_cancellation_slot(
                       sleeper->slot(),
                       [weak = weak_from_this(), signal = sleeper](const std::exception_ptr&) {
                           const auto impl = weak.lock();
                           if (!impl || !impl->loop) return;
                           impl->expire();
                           impl->sleeper = nullptr;
                           impl->keep_sleeper();
                       }));
}

namespace {

/// Holds an exchange for a coroutine, and ends it when the coroutine is destroyed instead of
/// resumed.
template <class Impl>
class Lease {
  public:
    Lease(std::shared_ptr<Impl> impl, std::unique_ptr<Exchange> exchange)
        : impl_(std::move(impl)), exchange_(std::move(exchange)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
        if (exchange_) impl_->release(std::move(exchange_));
    }
    Exchange* get() const { return exchange_.get(); }

  private:
    std::shared_ptr<Impl> impl_;
    std::unique_ptr<Exchange> exchange_;
};

}  // namespace

CurlHttpClient::CurlHttpClient(asio::any_io_executor executor, Clock& clock, Options options)
    : impl_(std::make_shared<Impl>(std::move(executor), clock, std::move(options))) {}

CurlHttpClient::~CurlHttpClient() {
    impl_->shut_down();
}

Task<HttpExchange> CurlHttpClient::exchange(HttpClientRequest request, Deadline deadline) try {
    const std::shared_ptr<Impl> impl = impl_;  // the client may be destroyed while this waits
    HttpFaultText refusal;
    const Lease<Impl> lease(impl, impl->begin(std::move(request), deadline, refusal));
    if (lease.get() == nullptr) co_return failed_exchange(std::move(refusal));
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, Impl* owner, Exchange* exchange) {
            if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected())
                slot.assign([owner, exchange](asio::cancellation_type) {
                    exchange->fail(HttpFault::internal, "the exchange was cancelled by its caller",
                                   owner->clock.now());
                    owner->abort(*exchange);
                });
            owner->start(*exchange,
                         std::make_unique<HandlerWaiter<decltype(handler)>>(std::move(handler)));
        },
        asio::use_awaitable, impl.get(), lease.get());
    co_return std::move(lease.get()->result);
} catch (const std::bad_alloc&) {
    co_return failed_exchange({HttpFault::internal, "no memory for an HTTP exchange"});
}

std::string_view to_string(HttpFault fault) {
    switch (fault) {
        case HttpFault::none:
            return "none";
        case HttpFault::bad_url:
            return "bad URL";
        case HttpFault::cannot_resolve:
            return "cannot resolve";
        case HttpFault::cannot_connect:
            return "cannot connect";
        case HttpFault::timed_out:
            return "timed out";
        case HttpFault::closed:
            return "closed";
        case HttpFault::malformed:
            return "malformed";
        case HttpFault::too_large:
            return "too large";
        case HttpFault::busy:
            return "busy";
        case HttpFault::internal:
            return "internal";
    }
    return "internal";
}

std::string_view HttpExchange::header(std::string_view lower_case_name) const {
    for (const auto& [name, value] : headers)
        if (name == lower_case_name) return value;
    return {};
}

}  // namespace runtime
