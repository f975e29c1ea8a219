#include "launcher/control/health.hpp"

#include "launcher/control/health_checks.hpp"
#include "launcher/control/status_page.hpp"
#include "launcher/control/wakeup.hpp"
#include "launcher/plan/url_parts.hpp"
#include "launcher/runtime/log.hpp"

#include <algorithm>
#include <chrono>
#include <future>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

namespace launcher {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using runtime::HttpServerReply;
using runtime::HttpServerRequest;
using runtime::MetricsText;
using runtime::Task;

constexpr std::string_view kPlainText = "text/plain; charset=utf-8";
constexpr auto kDrain = 200ms;        ///< for answers at work when the endpoint ends
constexpr auto kEndOfThread = 450ms;  ///< then the thread is abandoned
constexpr auto kSampleAge = 1s;

HttpServerReply text_reply(unsigned status, std::string body) {
    HttpServerReply reply;
    reply.status = status;
    reply.content_type = kPlainText;
    reply.body = std::move(body);
    return reply;
}

std::string line_of(const HealthCheck& check) {
    return check.name + ": " + check.text + "\n";
}

/// "ok", or the failing checks, one line each; with `verbose` all of them, marked.
HttpServerReply check_reply(const std::vector<HealthCheck>& checks, bool verbose) {
    const bool ok = std::all_of(checks.begin(), checks.end(),
                                [](const HealthCheck& check) { return check.ok; });
    if (ok && !verbose) return text_reply(200, "ok");
    std::string body;
    for (const auto& check : checks) {
        if (verbose)
            body += (check.ok ? "[+] " : "[-] ") + line_of(check);
        else if (!check.ok)
            body += line_of(check);
    }
    return text_reply(ok ? 200 : 503, std::move(body));
}

bool wants_all(std::string_view query) {
    return query == "verbose" || query.starts_with("verbose=") || query.starts_with("verbose&");
}

HttpServerReply page_reply() {
    HttpServerReply reply;
    reply.content_type = "text/html; charset=utf-8";
    reply.body = status_page();
    reply.headers.push_back({"Content-Security-Policy", status_page_policy()});
    reply.headers.push_back({"X-Frame-Options", "DENY"});
    reply.headers.push_back({"Referrer-Policy", "no-referrer"});
    return reply;
}

HttpServerReply metrics_reply(const HttpServerRequest& request, const Status& status,
                              runtime::TimePoint now, const EndpointNumbers& numbers) {
    const auto format = MetricsText::preferred(request.header("accept"));
    HttpServerReply reply = text_reply(200, metrics_text(status, now, numbers, format));
    reply.content_type = MetricsText::content_type(format);
    return reply;
}

HttpServerReply service_reply(std::string_view service, const Status& status,
                              runtime::TimePoint now, bool verbose) {
    const bool known = std::any_of(status.services.begin(), status.services.end(),
                                   [&](const ServiceStatus& each) { return each.name == service; });
    if (!known) return text_reply(404, "there is no service of that name\n");
    return check_reply(ready_checks(status, now, service), verbose);
}

HttpServerReply answer_path(const HttpServerRequest& request, const Status& status,
                            runtime::TimePoint now, const EndpointNumbers& numbers) {
    const std::string_view path = request.path;
    const bool verbose = wants_all(request.query);
    constexpr std::string_view kReady = "/readyz/";
    if (path == "/livez") return check_reply(live_checks(status, now), verbose);
    if (path == "/startupz") return check_reply(startup_checks(status), verbose);
    if (path == "/readyz") return check_reply(ready_checks(status, now), verbose);
    if (path == "/healthz") return check_reply(process_checks(status, now), verbose);
    if (path.starts_with(kReady))
        return service_reply(path.substr(kReady.size()), status, now, verbose);
    if (path == "/metrics") return metrics_reply(request, status, now, numbers);
    if (path == "/") return page_reply();
    if (path == "/status") {
        HttpServerReply reply = text_reply(200, status_json(status, now));
        reply.content_type = "application/json";
        return reply;
    }
    return text_reply(404,
                      "nothing is here; see /livez /startupz /readyz /healthz /status /metrics\n");
}

runtime::HttpBounds health_bounds() {
    runtime::HttpBounds bounds;
    bounds.first_byte = 5s;
    bounds.head = 5s;
    bounds.body = 1s;
    bounds.handler = 8s;  // evidence takes its time; everything else is answered at once
    bounds.write = 5s;
    bounds.idle = 15s;
    bounds.connection = 10s;
    bounds.head_bytes = 8 * 1024;
    bounds.body_bytes = 0;
    bounds.connections = 16;
    bounds.give_way = 100ms;
    bounds.guests = 128;
    bounds.requests_in_flight = 16;
    bounds.requests_per_connection = 100;
    return bounds;
}

void finish(HttpServerReply& reply) {
    reply.headers.push_back({"Cache-Control", "no-store"});
    reply.headers.push_back({"X-Content-Type-Options", "nosniff"});
}

}  // namespace

HttpServerReply answer_health(const HttpServerRequest& request, const Status& status,
                              runtime::TimePoint now, const EndpointNumbers& numbers) {
    HttpServerReply reply;
    if (request.method != "GET" && request.method != "HEAD") {
        reply = text_reply(405, "only GET and HEAD are answered here\n");
        reply.headers.push_back({"Allow", "GET, HEAD"});
        reply.close = request.body_fault != runtime::BodyFault::none;
    } else if (request.body_fault != runtime::BodyFault::none) {
        reply = text_reply(413, "a request here has no body\n");
        reply.close = true;
    } else {
        reply = answer_path(request, status, now, numbers);
    }
    finish(reply);
    return reply;
}

struct HealthEndpoint::Impl {
    Impl(HealthGuard given, runtime::Clock& time, std::shared_ptr<const StatusBoard> from)
        : guard(std::move(given)), clock(time), board(std::move(from)) {}

    HealthGuard guard;
    runtime::Clock& clock;
    std::shared_ptr<const StatusBoard> board;
    std::string host = "127.0.0.1";
    ControlDoor door;
    std::weak_ptr<Impl> keep_alive;  ///< to this, for answers that come late
    RequestCounters requests;
    SystemSample sample;
    runtime::TimePoint sampled_at{};
    asio::io_context io{1};
    std::unique_ptr<runtime::HttpServer> server;
    std::thread thread;
    std::promise<void> ended;

    HttpServerReply answer(const HttpServerRequest& request) {
        const auto now = clock.now();
        auto reply = guard.refusal(request);
        if (reply) {
            finish(*reply);
        } else {
            if (request.path == "/metrics" && now - sampled_at > kSampleAge) {
                sample = sample_system();
                sampled_at = now;
            }
            const auto status = board->current();
            reply = answer_health(request, *status, now, {server->counters(), requests, sample});
        }
        requests.add(request.path, reply->status);
        return std::move(*reply);
    }

    /// Whether it came in by the door for the launcher's owner.
    bool for_control(const HttpServerRequest& request) const {
        return door.answer && request.peer_address == "unix" &&
               std::string_view(request.path).starts_with(kControlPath);
    }

    // The server outlives its sessions, and this object the server; so a plain pointer will do.
    static Task<HttpServerReply> handle(Impl* self, const HttpServerRequest& request,
                                        runtime::Deadline deadline) {
        if (!self->for_control(request)) co_return self->answer(request);
        HttpServerReply reply;
        if (request.peer_uid != 0U && request.peer_uid != static_cast<unsigned>(::geteuid()))
            reply = text_reply(403, "only root and the launcher's own user may control it\n");
        else if (request.body_fault != runtime::BodyFault::none)
            reply = text_reply(413, "the body is too large, or cut short\n");
        else
            reply = co_await self->ask_main(request, deadline);
        reply.close = reply.close || request.body_fault != runtime::BodyFault::none;
        finish(reply);
        self->requests.add(kControlPath, reply.status);
        co_return reply;
    }

    /// An answer that is made on the main thread. Whoever comes first ends the wait: the answer, or
    /// the deadline; the other finds nobody.
    struct Asked {
        explicit Asked(asio::any_io_executor executor) : answered(std::move(executor)) {}
        std::optional<HttpServerReply> reply;
        Wakeup answered;
    };
    Task<HttpServerReply> ask_main(const HttpServerRequest& request, runtime::Deadline deadline) {
        auto asked = std::make_shared<Asked>(io.get_executor());
        asio::co_spawn(
            door.executor, door.answer(request, deadline),
            [asked, back = keep_alive.lock()](std::exception_ptr failure, HttpServerReply reply) {
                if (failure) reply = text_reply(500, "the launcher failed to answer\n");
                if (!back) return;
                asio::post(back->io, [asked, reply = std::move(reply)]() mutable {
                    asked->reply = std::move(reply);
                    asked->answered.notify();
                });
            });
        while (!asked->reply && !deadline.expired(clock.now()))
            co_await asked->answered.wait(clock, deadline);
        if (asked->reply) co_return std::move(*asked->reply);
        co_return text_reply(503, "the launcher did not answer in time\n");
    }

    static Task<void> end(Impl* self) {
        co_await self->server->stop(runtime::Deadline::after(self->clock.now(), kDrain));
        self->io.stop();
    }
};

runtime::Result<std::unique_ptr<HealthEndpoint>> HealthEndpoint::start(
    const HealthPlan& plan, runtime::Clock& clock, std::shared_ptr<const StatusBoard> board,
    ControlDoor door) {
    TRY(auto guard, HealthGuard::create(plan));
    auto impl = std::make_shared<Impl>(std::move(guard), clock, std::move(board));
    impl->door = std::move(door);
    impl->keep_alive = impl;
    runtime::HttpServerOptions options;
    options.bounds = health_bounds();
    options.log_target = "launcher::health";
    options.handler = [self = impl.get()](const HttpServerRequest& request,
                                          runtime::Deadline deadline) {
        return Impl::handle(self, request, deadline);
    };
    options.body_limit = [self = impl.get()](const HttpServerRequest& head) {
        return self->for_control(head) ? kMaxControlBody : std::size_t{0};
    };
    impl->server =
        std::make_unique<runtime::HttpServer>(impl->io.get_executor(), clock, std::move(options));
    bool first = true;
    for (const auto& address : plan.listen) {
        TRY_VOID(impl->server->listen(address));
        const auto parts = split_address(address, true);
        if (first && parts && parts->host != "0.0.0.0" && parts->host != "::")
            impl->host = parts->host;
        first = false;
        if (parts && !is_loopback(parts->host))
            runtime::log_warn("launcher::health",
                              "the health listener can be reached from other machines",
                              {runtime::kv("address", address)});
    }
    // The directory is usually ours alone (/run/kms-launcher); listen() tells when it is missing.
    if (const auto slash = plan.unix_path.rfind('/'); slash != std::string::npos && slash > 0)
        ::mkdir(plan.unix_path.substr(0, slash).c_str(), 0755);
    if (!plan.unix_path.empty()) TRY_VOID(impl->server->listen("unix:" + plan.unix_path));
    impl->server->start();
    impl->thread = std::thread([impl] {
        pthread_setname_np(pthread_self(), "health");
        const auto work = asio::make_work_guard(impl->io);
        impl->io.run();
        impl->ended.set_value();
    });
    return std::unique_ptr<HealthEndpoint>(new HealthEndpoint(std::move(impl)));
}

HealthEndpoint::HealthEndpoint(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

HealthEndpoint::~HealthEndpoint() {
    auto ended = impl_->ended.get_future();
    asio::co_spawn(impl_->io, Impl::end(impl_.get()), asio::detached);
    const bool in_time = ended.wait_for(kEndOfThread) == std::future_status::ready;
    // A thread stuck in a read of /proc owns what it uses and is left behind.
    if (in_time)
        impl_->thread.join();
    else
        impl_->thread.detach();
}

std::string HealthEndpoint::url() const {
    const auto port = impl_->server->port();
    if (port == 0) return {};
    const bool v6 = impl_->host.find(':') != std::string::npos;
    return "http://" + (v6 ? "[" + impl_->host + "]" : impl_->host) + ":" + std::to_string(port);
}

}  // namespace launcher
