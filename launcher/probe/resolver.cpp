#include "launcher/probe/resolver.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace launcher {
namespace {

namespace asio = boost::asio;
using Addresses = std::vector<asio::ip::address>;
using runtime::Error;
using runtime::ErrorCode;
using runtime::Result;
using runtime::Task;

constexpr std::size_t kMaxAddresses = 4;
std::atomic<int> lookups_running{0};

/// What the thread and the waiter share. The descriptor, not an executor, carries the news: the
/// waiter's io_context may be gone when getaddrinfo returns.
struct Lookup {
    explicit Lookup(std::string name)
        : host(std::move(name)), event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~Lookup() {
        if (event >= 0) close(event);
    }
    Lookup(const Lookup&) = delete;
    Lookup& operator=(const Lookup&) = delete;

    const std::string host;
    const int event;
    std::mutex mutex;
    Result<Addresses> result;
};

asio::ip::address to_address(const addrinfo& info) {
    if (info.ai_family == AF_INET)
        return asio::ip::address_v4(
            ntohl(reinterpret_cast<const sockaddr_in*>(info.ai_addr)->sin_addr.s_addr));
    const auto& v6 = *reinterpret_cast<const sockaddr_in6*>(info.ai_addr);
    asio::ip::address_v6::bytes_type bytes{};
    std::copy_n(v6.sin6_addr.s6_addr, bytes.size(), bytes.begin());
    return asio::ip::address_v6(bytes, v6.sin6_scope_id);
}

Result<Addresses> look_up(const std::string& host) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* list = nullptr;
    if (const int code = getaddrinfo(host.c_str(), nullptr, &hints, &list); code != 0)
        return Error{ErrorCode::not_found, "cannot resolve '" + host + "': " + gai_strerror(code)};
    Addresses addresses;
    for (const addrinfo* entry = list; entry != nullptr && addresses.size() < kMaxAddresses;
         entry = entry->ai_next)
        if (entry->ai_family == AF_INET || entry->ai_family == AF_INET6)
            addresses.push_back(to_address(*entry));
    freeaddrinfo(list);
    if (addresses.empty())
        return Error{ErrorCode::not_found, "cannot resolve '" + host + "': it has no IP address"};
    return addresses;
}

void run_lookup(const std::shared_ptr<Lookup>& lookup) {
    auto result = look_up(lookup->host);
    {
        const std::lock_guard lock(lookup->mutex);
        lookup->result = std::move(result);
    }
    lookups_running.fetch_sub(1);
    const std::uint64_t one = 1;
    // Cannot fail for a counter at zero; the waiter has its own deadline anyway.
    [[maybe_unused]] const auto written = write(lookup->event, &one, sizeof one);
}

Result<std::shared_ptr<Lookup>> start_lookup(const std::string& host) {
    auto lookup = std::make_shared<Lookup>(host);
    if (lookup->event < 0)
        return Error{ErrorCode::resource_exhausted, "no descriptor is left for a name look-up"};
    if (lookups_running.fetch_add(1) >= kMaxAbandonedLookups) {
        lookups_running.fetch_sub(1);
        return Error{ErrorCode::resource_exhausted,
                     "cannot resolve '" + host + "': earlier look-ups still hang"};
    }
    try {
        std::thread([lookup] { run_lookup(lookup); }).detach();
    } catch (const std::system_error& error) {
        lookups_running.fetch_sub(1);
        return Error{ErrorCode::resource_exhausted,
                     std::string("no thread for a name look-up: ") + error.what()};
    }
    return lookup;
}

}  // namespace

Task<Result<Addresses>> resolve_host(std::string host) {
    boost::system::error_code not_numeric;
    const auto address = asio::ip::make_address(host, not_numeric);
    if (!not_numeric) co_return Addresses{address};
    if (host == "localhost")
        co_return Addresses{asio::ip::address_v4::loopback(), asio::ip::address_v6::loopback()};

    CO_TRY(const auto lookup, start_lookup(host));
    const int own = fcntl(lookup->event, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        co_return Error{ErrorCode::resource_exhausted, "no descriptor is left for a name look-up"};
    asio::posix::stream_descriptor event(co_await asio::this_coro::executor, own);
    const auto [error] = co_await event.async_wait(asio::posix::stream_descriptor::wait_read,
                                                   asio::as_tuple(asio::use_awaitable));
    if (error)
        co_return Error{ErrorCode::unavailable, "the look-up of '" + host + "' was given up"};
    const std::lock_guard lock(lookup->mutex);
    co_return lookup->result;
}

}  // namespace launcher
