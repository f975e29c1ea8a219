#include "launcher/control/wakeup.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>

using namespace std::chrono_literals;
using launcher::Wakeup;

namespace {

struct Scene {
    boost::asio::io_context io;
    runtime::SystemClock clock;
    Wakeup wakeup{io.get_executor()};
    bool woken = false;
};

runtime::Task<void> wait(Scene& scene, runtime::Duration limit) {
    co_await scene.wakeup.wait(scene.clock, runtime::Deadline::after(scene.clock.now(), limit));
    scene.woken = true;
}

}  // namespace

TEST_CASE("a wakeup ends a wait, also one that is only about to begin") {
    Scene scene;
    boost::asio::co_spawn(scene.io, wait(scene, 1h), boost::asio::detached);
    SECTION("while it waits") {
        while (scene.io.poll() > 0) {
        }
        CHECK_FALSE(scene.woken);
        scene.wakeup.notify();
    }
    SECTION("between its begin and the arming of its timer") {
        boost::asio::post(scene.io, [&] { scene.wakeup.notify(); });
    }
    scene.io.run_for(10s);
    CHECK(scene.woken);
}

TEST_CASE("without a wakeup the deadline ends the wait") {
    Scene scene;
    const auto limit = GENERATE(runtime::Duration(-1s), runtime::Duration(20ms));
    boost::asio::co_spawn(scene.io, wait(scene, limit), boost::asio::detached);
    scene.io.run_for(10s);
    CHECK(scene.woken);
}
