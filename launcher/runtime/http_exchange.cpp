#include "launcher/runtime/http_exchange.hpp"

#include "launcher/runtime/log.hpp"

#include <array>
#include <exception>

namespace runtime {

std::string_view HttpServerRequest::header(std::string_view name) const {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    };
    const auto equal = [&](std::string_view other) {
        if (other.size() != name.size()) return false;
        for (std::size_t i = 0; i < name.size(); ++i)
            if (lower(name[i]) != lower(other[i])) return false;
        return true;
    };
    for (const auto& entry : headers)
        if (equal(entry.name)) return entry.value;
    return {};
}

const std::string& date_now(HttpSessionContext& context) {
    const std::time_t second = std::chrono::system_clock::to_time_t(context.clock.wall_now());
    if (second != context.date_second || context.date.empty()) {
        std::tm calendar{};
        gmtime_r(&second, &calendar);
        std::array<char, 40> text{};
        std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &calendar);
        context.date = text.data();
        context.date_second = second;
    }
    return context.date;
}

void split_target(HttpServerRequest& request) {
    std::string_view rest = request.target;
    if (const auto scheme = rest.find("://");
        scheme != std::string_view::npos && rest.front() != '/') {
        const auto path = rest.find_first_of("/?#", scheme + 3);
        rest = path == std::string_view::npos ? "/" : rest.substr(path);
    }
    rest = rest.substr(0, rest.find('#'));
    const auto question = rest.find('?');
    request.path = rest.substr(0, question);
    if (question != std::string_view::npos) request.query = rest.substr(question + 1);
}

Duration body_time(const HttpBounds& bounds, std::size_t received) {
    if (bounds.body_rate == 0) return bounds.body;
    const std::chrono::duration<double> earned(static_cast<double>(received) /
                                               static_cast<double>(bounds.body_rate));
    return bounds.body + std::chrono::duration_cast<Duration>(earned);
}

bool hold_body(HttpSessionContext& context, std::size_t bytes) {
    const auto limit = static_cast<std::int64_t>(context.options.bounds.bodies_bytes);
    if (context.counters.body_bytes.load() + static_cast<std::int64_t>(bytes) > limit) {
        context.counters.bodies_refused.add();
        return false;
    }
    context.counters.body_bytes.fetch_add(static_cast<std::int64_t>(bytes));
    return true;
}

void release_body(HttpSessionContext& context, std::size_t bytes) {
    context.counters.body_bytes.fetch_sub(static_cast<std::int64_t>(bytes));
}

Task<HttpServerReply> answer(HttpSessionContext& context, const HttpServerRequest& request) {
    auto& counters = context.counters;
    if (counters.requests_in_flight.load() >=
        static_cast<std::int64_t>(context.options.bounds.requests_in_flight)) {
        counters.requests_refused.add();
        HttpServerReply busy;
        busy.status = 503;
        busy.content_type = "text/plain; charset=utf-8";
        busy.body = "too many requests at work\n";
        co_return busy;
    }
    counters.requests.add();
    counters.requests_in_flight.fetch_add(1);
    HttpServerReply reply;
    try {
        reply = co_await context.options.handler(
            request, Deadline::after(context.clock.now(), context.options.bounds.handler));
    } catch (const std::exception& failure) {
        log_error(context.options.log_target, "a request handler failed",
                  {kv("error", failure.what())});
        reply = HttpServerReply();
        reply.status = 500;
        reply.content_type = "text/plain; charset=utf-8";
        reply.body = "internal error\n";
        reply.close = true;
    }
    counters.requests_in_flight.fetch_sub(1);
    co_return reply;
}

}  // namespace runtime
