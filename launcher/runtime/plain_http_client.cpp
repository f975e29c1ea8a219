#include "launcher/runtime/plain_http_client.hpp"

#include "launcher/runtime/http_fault.hpp"
#include "launcher/runtime/stream_exchange.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <exception>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/system/error_code.hpp>

namespace runtime {
namespace {

constexpr std::string_view kScheme = "http://";
constexpr std::uint16_t kHttpPort = 80;
constexpr std::size_t kMaxUnixPath = 107;  // sockaddr_un::sun_path without its final zero

bool is_set(const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && *value != '\0';
}

/// The variables that libcurl reads for http:// URLs; the upper-case form of the first is not one.
bool proxy_in_environment() {
    return is_set("http_proxy") || is_set("all_proxy") || is_set("ALL_PROXY");
}

/// What libcurl's road refuses or writes in another way is left to it.
bool is_simple(const HttpClientRequest& request) {
    const auto printable = [](std::string_view text) {
        return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
    };
    if (!printable(request.url) || !printable(request.method)) return false;
    return std::all_of(request.headers.begin(), request.headers.end(), [&](const auto& header) {
        return !header.first.empty() && printable(header.first) &&
               header.first.find(':') == std::string::npos && !header.second.empty() &&
               std::all_of(header.second.begin(), header.second.end(),
                           [](char c) { return c >= ' ' && c != '\x7f'; });
    });
}

}  // namespace

std::optional<PlainTarget> plain_target(const HttpClientRequest& request) {
    if (!request.url.starts_with(kScheme) || !is_simple(request)) return std::nullopt;
    std::string_view host = std::string_view(request.url).substr(kScheme.size());
    host = host.substr(0, host.find_first_of("/?#"));
    PlainTarget target;
    // What a backslash means in a URL is disputed.
    if (request.url.find_first_of("@\\") != std::string::npos) return std::nullopt;
    if (!request.unix_socket.empty()) {
        if (host.empty() || request.unix_socket.size() > kMaxUnixPath) return std::nullopt;
        return target;
    }
    std::string_view port;
    if (host.starts_with('[')) {
        const std::size_t end = host.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        target.address = host.substr(1, end - 1);
        port = host.substr(end + 1);
    } else {
        const std::size_t end = std::min(host.find(':'), host.size());
        target.address = host.substr(0, end);
        port = host.substr(end);
    }
    boost::system::error_code error;
    asio::ip::make_address(target.address, error);
    if (error || target.address.find('%') != std::string::npos) return std::nullopt;
    target.port = kHttpPort;
    if (port.empty()) return target;
    const auto [end, bad] =
        std::from_chars(port.data() + 1, port.data() + port.size(), target.port);
    if (port.front() != ':' || bad != std::errc() || end != port.data() + port.size() ||
        target.port == 0)
        return std::nullopt;
    return target;
}

struct PlainHttpClient::Impl {
    asio::any_io_executor executor;
    Clock& clock;
    CurlHttpClient::Options options;
    std::size_t at_work = 0;
    bool closed = false;
    std::unique_ptr<CurlHttpClient> curl{};

    Task<HttpExchange> plain(PlainTarget target, HttpClientRequest request, Deadline deadline);
};

namespace {

/// Counts an exchange while it lasts.
class Turn {
  public:
    explicit Turn(std::size_t& at_work) : at_work_(at_work) { ++at_work_; }
    ~Turn() { --at_work_; }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

  private:
    std::size_t& at_work_;
};

}  // namespace

PlainHttpClient::PlainHttpClient(asio::any_io_executor executor, Clock& clock,
                                 CurlHttpClient::Options options)
    : impl_(std::make_shared<Impl>(Impl{std::move(executor), clock, std::move(options)})) {}

PlainHttpClient::~PlainHttpClient() {
    impl_->closed = true;
    impl_->curl.reset();
}

Task<HttpExchange> PlainHttpClient::exchange(HttpClientRequest request, Deadline deadline) {
    const std::shared_ptr<Impl> impl = impl_;
    HttpFaultText refusal = refuse_to_begin(impl->closed, deadline, impl->clock.now(),
                                            impl->at_work, impl->options.max_in_flight);
    if (refusal.fault != HttpFault::none) co_return failed_exchange(std::move(refusal));
    const Turn turn(impl->at_work);
    const bool by_proxy =
        request.use_proxy_from_environment && request.unix_socket.empty() && proxy_in_environment();
    auto target = by_proxy ? std::nullopt : plain_target(request);
    if (target) co_return co_await impl->plain(*target, std::move(request), deadline);
    try {
        if (!impl->curl)
            impl->curl =
                std::make_unique<CurlHttpClient>(impl->executor, impl->clock, impl->options);
    } catch (const std::exception& failure) {
        refusal = {HttpFault::internal, failure.what()};
        co_return failed_exchange(std::move(refusal));
    }
    co_return co_await impl->curl->exchange(std::move(request), deadline);
}

Task<HttpExchange> PlainHttpClient::Impl::plain(PlainTarget target, HttpClientRequest request,
                                                Deadline deadline) {
    if (!options.user_agent.empty()) request.headers.emplace_back("user-agent", options.user_agent);
    asio::generic::stream_protocol::endpoint peer;
    if (!request.unix_socket.empty())
        peer = asio::local::stream_protocol::endpoint(request.unix_socket);
    else
        peer = asio::ip::tcp::endpoint(asio::ip::make_address(target.address), target.port);
    co_return co_await stream_exchange(clock, std::move(peer), std::move(request), deadline);
}

}  // namespace runtime
