// Name lookups, played by a getaddrinfo() of this program: libcurl finds it before the C library's.
#include "launcher/runtime/http_transfer.hpp"
#include "tests/unit/runtime/http_client_fixture.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>

#include <dlfcn.h>
#include <netdb.h>

using namespace std::chrono_literals;
using runtime::HttpClientRequest;
using runtime::HttpFault;
using test::HttpClientFixture;
using test::ScriptedServer;

namespace {

/// Lookups of "stuck.test" wait here, as for name servers that do not answer.
struct Resolver {
    std::mutex mutex;
    std::condition_variable changed;
    bool stuck = false;
    int waiting = 0;
    std::string moving_address;  ///< of "moving.test"

    void set_stuck(bool value) {
        const std::lock_guard lock(mutex);
        stuck = value;
        changed.notify_all();
    }
    void wait() {
        std::unique_lock lock(mutex);
        ++waiting;
        changed.wait(lock, [this] { return !stuck; });
        --waiting;
    }
    void move_to(const std::string& address) {
        const std::lock_guard lock(mutex);
        moving_address = address;
    }
    std::string address_of(const std::string& name) {
        const std::lock_guard lock(mutex);
        if (name == "moving.test") return moving_address;
        return name == "stuck.test" || name == "known.test" ? "127.0.0.1" : name;
    }
    int now_waiting() {
        const std::lock_guard lock(mutex);
        return waiting;
    }
};

Resolver& resolver() {
    static Resolver& instance = *new Resolver;  // threads of lookups may outlive everything
    return instance;
}

/// Makes "stuck.test" hang; on the way out lets go and waits until nobody hangs any more.
class StuckNameServers {
  public:
    StuckNameServers() { resolver().set_stuck(true); }
    ~StuckNameServers() {
        resolver().set_stuck(false);
        boost::asio::io_context io;
        test::run_until(io, [] { return resolver().now_waiting() == 0; });
    }
    StuckNameServers(const StuckNameServers&) = delete;
    StuckNameServers& operator=(const StuckNameServers&) = delete;
};

HttpClientRequest request_to(const std::string& host, const ScriptedServer& server) {
    HttpClientRequest request;
    request.url = "http://who:secret@" + host + ":" + std::to_string(server.port()) + "/";
    request.connect_timeout = 1h;
    return request;
}

}  // namespace

extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints,
                           addrinfo** result) {
    static const auto next =
        reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    if (name == nullptr) return next(name, service, hints, result);
    const std::string asked = name;
    if (asked == "unknown.test") return EAI_NONAME;
    if (asked == "stuck.test") resolver().wait();
    if (asked == "two.test") {
        const int error = next("127.0.0.2", service, hints, result);
        return error != 0 ? error : next("127.0.0.1", service, hints, &(*result)->ai_next);
    }
    return next(resolver().address_of(asked).c_str(), service, hints, result);
}

TEST_CASE("names are looked up") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    const auto known = fixture.get(request_to("known.test", server));
    CHECK(known.fault_detail == "");
    CHECK(known.ok());
    CHECK(known.times.connected >= known.times.resolved);
}

TEST_CASE("a service that moved is found by the first request after its old address failed") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    resolver().move_to("127.0.0.2");  // nobody listens there
    CHECK(fixture.get(request_to("moving.test", server)).fault == HttpFault::cannot_connect);
    resolver().move_to("127.0.0.1");
    CHECK(fixture.get(request_to("moving.test", server)).ok());
}

TEST_CASE("an address that fails is given up in favour of the next one") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    auto request = request_to("two.test", server);
    std::optional<test::FullListener> full;

    SECTION("at once when it refuses") {}
    SECTION("after a while when it does not answer") {
        // Half of this (real time, libcurl's own) is for the first address.
        full.emplace("127.0.0.2", server.port());
        request.connect_timeout = 500ms;
    }
    const auto exchange = fixture.get(request);
    CHECK(exchange.fault_detail == "");
    CHECK(exchange.ok());
}

TEST_CASE("an unknown name is told, without credentials") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    const auto unknown = fixture.get(request_to("unknown.test", server));
    CHECK(unknown.fault == HttpFault::cannot_resolve);
    CHECK(unknown.fault_detail ==
          "cannot resolve the name in http://unknown.test:" + std::to_string(server.port()) +
              "; check its spelling and the machine's DNS servers");
    CHECK_FALSE(unknown.request_sent);
}

TEST_CASE(
    "a lookup that hangs holds up nobody but its own exchange, and that only until its deadline") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    const StuckNameServers stuck;
    const auto watched = fixture.start(request_to("stuck.test", server), 3s);
    REQUIRE(test::run_until(fixture.io, [] { return resolver().now_waiting() == 1; }));
    CHECK(fixture.get(request_to("known.test", server)).ok());
    CHECK(fixture.get(request_to("127.0.0.1", server)).ok());
    CHECK_FALSE(watched->over());

    SECTION("the deadline") {
        fixture.clock.advance(3s);
        test::run_ready(fixture.io);
        REQUIRE(watched->over());
        CHECK(watched->result->fault == HttpFault::timed_out);
        CHECK(watched->result->fault_detail ==
              "no answer from http://stuck.test:" + std::to_string(server.port()) +
                  " within 3s: its name was not resolved");
        // The thread still hangs; a new lookup does not wait for it.
        CHECK(resolver().now_waiting() == 1);
        resolver().set_stuck(false);
        CHECK(fixture.get(request_to("stuck.test", server)).ok());
    }
    SECTION("cancellation") {
        watched->cancel.emit(boost::asio::cancellation_type::terminal);
        test::run_ready(fixture.io);
        CHECK(watched->over());
        CHECK(resolver().now_waiting() == 1);
    }
    SECTION("the end of the client") {
        fixture.client.reset();
        test::run_ready(fixture.io);
        CHECK(watched->over());
        CHECK(resolver().now_waiting() == 1);
    }
}

TEST_CASE("while many lookups hang new ones come one by one") {
    runtime::LookupGate gate;
    runtime::TimePoint now{1000h};
    for (int i = 0; i < 64; ++i) {
        CHECK(gate.may_begin(now));
        gate.abandon(now);
    }
    CHECK_FALSE(gate.may_begin(now + 1ms));
    CHECK(gate.may_begin(now + 100ms));
    CHECK_FALSE(gate.may_begin(now + 199ms));
    CHECK(gate.may_begin(now + 200ms));
    // The C library has given up by then.
    CHECK(gate.may_begin(now + 30s));
    CHECK(gate.may_begin(now + 30s));
}

TEST_CASE("a refusal because of hanging lookups says so and leaves numeric hosts alone") {
    HttpClientFixture fixture;
    ScriptedServer server(fixture.io);
    const StuckNameServers stuck;
    std::vector<std::shared_ptr<test::Watched>> hung;
    for (int i = 0; i < 64; ++i)
        hung.push_back(fixture.start(request_to("stuck.test", server), 3s));
    REQUIRE(test::run_until(fixture.io, [] { return resolver().now_waiting() == 64; }));
    fixture.clock.advance(3s);
    test::run_ready(fixture.io);
    for (const auto& watched : hung) REQUIRE(watched->over());

    const auto allowed = fixture.start(request_to("stuck.test", server), 3s);
    const auto refused = fixture.get(request_to("stuck.test", server));
    CHECK(refused.fault == HttpFault::cannot_resolve);
    CHECK(refused.fault_detail.find("too many lookups hang already") != std::string::npos);
    CHECK_FALSE(allowed->over());
    CHECK(fixture.get(request_to("127.0.0.1", server)).ok());
    CHECK(fixture.get(request_to("localhost", server)).ok());
}
